"""The file in which a run over features keeps what the next run goes on from."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from scripts.whole_file import written_whole
from shared.disk import Disk, translated
from shared.errors import StateMismatch

VERSION = 1
T = TypeVar("T")
_CRC_BYTES = 4  # at the end of the file, of all before: a state with a flipped bit still makes numbers
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

    Raises: StateMismatch: it is no such file, a damaged one, or one of another version.
    """
    try:
        kept = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateMismatch(f"{path}: cannot be read: {(error.strerror or '').lower()}", hint=_ANEW) from error
    data = kept[:-_CRC_BYTES]
    if zlib.crc32(data).to_bytes(_CRC_BYTES) != kept[-_CRC_BYTES:]:
        raise StateMismatch(f"{path}: is damaged, or no state of features", hint=_ANEW)
    try:
        version = msgspec.msgpack.decode(data, type=_Version).version
        if version != VERSION:
            raise StateMismatch(f"{path}: is a state of version {version}, this is version {VERSION}", hint=_ANEW)
        return msgspec.msgpack.decode(data, type=RunState)
    except msgspec.DecodeError as error:
        raise StateMismatch(f"{path}: is no state of features: {error}", hint=_ANEW) from error


def processor_state(state: RunState, kind: type[T]) -> T:
    """The state of the processor within. Raises: StateMismatch: it is of another version."""
    try:
        return msgspec.msgpack.decode(state.processor, type=kind)
    except msgspec.DecodeError as error:
        raise StateMismatch(f"is a state of another version: {error}", hint=_ANEW) from error


def require_same(state: RunState, made_of: Sequence[str], *, path: Path) -> None:
    """Make sure that a state is of these features of this stream, and of what is read if that is known yet.

    Raises: StateMismatch.
    """
    if state.made_of[: len(made_of)] != tuple(made_of):
        there, here = (
            f"{table} of {exchange} {symbol}" + "".join(f" from {name}" for name in read)
            for table, exchange, symbol, *read in (state.made_of, made_of)
        )
        raise StateMismatch(f"{path}: is a state of {there}, not of {here}", hint=_ANEW)


def save(path: Path, state: RunState) -> None:
    """Put the state in the place of the one before, whole."""
    Disk().make_dirs(path.parent)
    with translated(path), written_whole(path) as part:
        data = msgspec.msgpack.encode(state)
        part.write_bytes(data + zlib.crc32(data).to_bytes(_CRC_BYTES))
