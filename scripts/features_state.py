"""The file in which a run over features keeps what the next run goes on from."""

from pathlib import Path
from typing import TypeVar

import msgspec

from scripts.whole_file import written_whole
from shared.disk import Disk, translated
from shared.errors import StateMismatch

VERSION = 1
T = TypeVar("T")
_ANEW = "Name another file with --state-path, or remove this one to begin anew"


class _Version(msgspec.Struct, frozen=True):
    """What every state file can say, of whatever version."""

    version: int


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run ended."""

    version: int = VERSION
    made_of: tuple[str, str, str, str]  # table of features, exchange, symbol, what was read: native/l2
    position: dict[str, int]  # of what was read: behind it the next run begins
    processor: msgspec.Raw = msgspec.Raw(b"\xc0")  # its own state


def load(path: Path) -> RunState | None:
    """What the file keeps; None where there is none yet.

    Raises: StateMismatch: it is no such file, or one of another version.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateMismatch(f"{path}: cannot be read: {(error.strerror or '').lower()}", hint=_ANEW) from error
    try:
        version = msgspec.msgpack.decode(data, type=_Version).version
        if version != VERSION:
            raise StateMismatch(f"{path}: is a state of version {version}, this is version {VERSION}", hint=_ANEW)
        return msgspec.msgpack.decode(data, type=RunState)
    except msgspec.DecodeError as error:
        raise StateMismatch(f"{path}: is no state of features: {error}", hint=_ANEW) from error


def processor_state(state: RunState, kind: type[T], *, path: Path) -> T:
    """The state of the processor within. Raises: StateMismatch: it is of another version."""
    try:
        return msgspec.msgpack.decode(state.processor, type=kind)
    except msgspec.DecodeError as error:
        raise StateMismatch(f"{path}: is a state of another version: {error}", hint=_ANEW) from error


def require_same(state: RunState, made_of: tuple[str, str, str, str], *, path: Path) -> None:
    """Make sure that a state is of these features of this stream. Raises: StateMismatch."""
    if state.made_of != made_of:
        there, here = (
            f"{table} of {exchange} {symbol} from {read}" for table, exchange, symbol, read in (state.made_of, made_of)
        )
        raise StateMismatch(f"{path}: is a state of {there}, not of {here}", hint=_ANEW)


def save(path: Path, state: RunState) -> None:
    """Put the state in the place of the one before, whole."""
    Disk().make_dirs(path.parent)
    with translated(path), written_whole(path) as part:
        part.write_bytes(msgspec.msgpack.encode(state))
