"""What `state/etl/positions.json` says. Apart from the executor: who reads it loads nothing of that."""

from msgspec import Struct, field


class Positions(Struct, frozen=True):
    """How far refining has read the logs of published names."""

    tables: frozenset[str] = frozenset()  # that it took from them
    logs: dict[str, int] = field(default_factory=dict)  # bytes of each
