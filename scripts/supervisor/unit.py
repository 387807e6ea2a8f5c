"""The systemd unit: scripts/daedalus.service with this machine's values in place of the standard ones. Pure text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.alongside import Supervisor

UNIT = "daedalus.service"
TEMPLATE = Path(__file__).parents[1] / UNIT
_ENDINGS = 4  # ingest with compact, watch, sync, and sync's last pass, one after the other
_SLACK_S = 15.0
_WATCHDOG_S_MIN = 1800.0
_WATCHDOG_PATIENCES = 15  # the supervisor itself waits up to eight for one collector
_HOMES = ("/home", "/root", "/run/user")
# What a user's own systemd cannot do without rights, or does not have.
_SYSTEM_ONLY = {
    "User",
    "Group",
    "Wants",
    "After",
    "RequiresMountsFor",
    "ReadWritePaths",
    "CapabilityBoundingSet",
    "AmbientCapabilities",
    "RemoveIPC",
}
_SYSTEM_ONLY_KINDS = ("Private", "Protect")


@dataclass(frozen=True)
class Place:
    """Where a service runs, and as whom."""

    user: str
    group: str
    python: Path  # of the environment that Daedalus is installed in
    config: Path
    folders: Sequence[Path]  # that it writes to
    working_folder: Path  # what relative paths in the settings begin at


def unit_text(template: str, place: Place, section: Supervisor, *, of_user: bool = False) -> str:
    """The unit of a place; `of_user`: for that user's own systemd, without what needs rights.

    Raises: ValueError where a path holds a line break.
    """
    values = _of_user(place, section) if of_user else _of_system(place, section)
    return "\n".join(_lines(template.splitlines(), values, of_user=of_user)) + "\n"


def _of_user(place: Place, section: Supervisor) -> dict[str, str]:
    command = [str(place.python), "-m", "scripts.daedalus_supervisor", "-c", str(place.config)]
    watchdog_s = max(_WATCHDOG_S_MIN, _WATCHDOG_PATIENCES * section.stale_after_s)
    return {
        "WorkingDirectory": _specified(place.working_folder),
        "ExecStart": " ".join(_quoted(each).replace("$", "$$") for each in command),
        "WatchdogSec": f"{watchdog_s:.0f}",
        "TimeoutStopSec": f"{_ENDINGS * section.stop_timeout_s + _SLACK_S:.0f}",
        "WantedBy": "default.target",
    }


def _of_system(place: Place, section: Supervisor) -> dict[str, str]:
    folders = " ".join(_quoted(folder) for folder in place.folders)
    in_homes = any(str(path).startswith(_HOMES) for path in (place.python, place.config, *place.folders))
    return _of_user(place, section) | {
        "User": place.user,
        "Group": place.group,
        "RequiresMountsFor": folders,
        "ReadWritePaths": folders,
        "ProtectHome": "read-only" if in_homes else "yes",
        "WantedBy": "multi-user.target",
    }


def _lines(template: Sequence[str], values: Mapping[str, str], *, of_user: bool) -> Iterator[str]:
    """The template's lines with these values; a comment goes with the line that it stands above."""
    comments: list[str] = []
    left = set(values)
    for line in template:
        if line.startswith("#"):
            comments.append(line)
            continue
        key, is_setting, _ = line.partition("=")
        if of_user and is_setting and (key in _SYSTEM_ONLY or key.startswith(_SYSTEM_ONLY_KINDS)):
            comments.clear()
            continue
        yield from comments
        comments.clear()
        left.discard(key)
        yield f"{key}={values[key]}" if key in values else line
    assert not left, f"{UNIT} has no {left}"


def _quoted(value: Path | str) -> str:
    """One word of several in a unit.

    >>> _quoted("/data/lake"), _quoted("/my lake/100%")
    ('/data/lake', '"/my lake/100%%"')
    """
    text = _specified(value)
    if not any(char in text for char in " \t\"'\\"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _specified(value: Path | str) -> str:
    if "\n" in str(value):
        raise ValueError(f"{str(value)!r} holds a line break; a unit cannot name it")
    return str(value).replace("%", "%%")
