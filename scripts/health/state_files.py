"""What the processes say in the small files in `state`."""

from msgspec import Struct, field

from shared.state_files import Pid, Spoken


class ChildSaid(Struct, frozen=True):
    """One child of the supervisor."""

    pid: Pid | None = None
    state: str = "off"
    started_wall_ns: int | None = None
    again_s: float | None = None
    restarts: int = 0
    last_exit: int | str | None = None


class SupervisorSaid(Spoken, kw_only=True):
    """`supervisor.json`."""

    children: dict[str, ChildSaid] = field(default_factory=dict)
