"""The journal's framing, pure: bytes in, whole frames and damage out.

A frame is `FRM2`, the table's name, lengths, a running number and a CRC-32 over header and payload. Arrow's own
stream format is not enough: a zeroed block or a flipped bit is read back as other values without an error, and
everything behind a hole is lost. With a CRC per frame a reader resumes at the next whole frame.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"FRM2"
HEADER_FRAME = "@journal"  # the first frame of a journal: JSON about the journal itself
_NAME_BYTES = 16
_HEAD = struct.Struct(f"<4s{_NAME_BYTES}sIIQ")
_CRC = struct.Struct("<I")
HEAD_BYTES = _HEAD.size + _CRC.size
FRAME_BYTES_MAX = 1 << 30


@dataclass(frozen=True, slots=True)
class Frame:
    """One intact frame: which table it is of, how many rows it holds, and its Arrow message."""

    table: str
    rows: int
    number: int
    payload: memoryview


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that are no frame. At the end of a journal that is a torn write; before a frame it is a loss."""

    start: int
    end: int
    zeroes_only: bool


def encode(table: str, rows: int, number: int, payload: bytes) -> bytes:
    """The bytes of one frame.

    >>> [frame.table for frame in scan(encode("trades", 2, 0, b"payload"))]
    ['trades']
    """
    name = table.encode()
    assert len(name) <= _NAME_BYTES, f"{table} does not fit into a frame's head"
    head = _HEAD.pack(MAGIC, name, len(payload), rows, number)
    return b"".join((head, _CRC.pack(zlib.crc32(payload, zlib.crc32(head))), payload))


def scan(data: bytes | memoryview) -> Iterator[Frame | Damage]:
    """Every intact frame of a journal in order, and every stretch of bytes that is none."""
    view = memoryview(data)
    position = damage_start = 0
    while position < len(view):
        frame, size = _frame_at(view, position)
        if frame is None:
            position = _next_magic(view, position + 1)
            continue
        if damage_start < position:
            yield _damage(view, damage_start, position)
        yield frame
        position += size
        damage_start = position
    if damage_start < len(view):
        yield _damage(view, damage_start, len(view))


def _frame_at(view: memoryview, position: int) -> tuple[Frame | None, int]:
    if len(view) - position < HEAD_BYTES or view[position : position + 4] != MAGIC:
        return None, 0
    _, name, length, rows, number = _HEAD.unpack_from(view, position)
    end = position + HEAD_BYTES + length
    if length > FRAME_BYTES_MAX or end > len(view):
        return None, 0
    (crc,) = _CRC.unpack_from(view, position + _HEAD.size)
    payload = view[position + HEAD_BYTES : end]
    if zlib.crc32(payload, zlib.crc32(view[position : position + _HEAD.size])) != crc:
        return None, 0
    return Frame(name.rstrip(b"\0").decode(), rows, number, payload), end - position


def _next_magic(view: memoryview, position: int) -> int:
    step = 1 << 20
    while position < len(view):
        found = bytes(view[position : position + step + 3]).find(MAGIC)
        if found >= 0:
            return position + found
        position += step
    return len(view)


def _damage(view: memoryview, start: int, end: int) -> Damage:
    return Damage(start, end, zeroes_only=not view[start:end].tobytes().strip(b"\0"))
