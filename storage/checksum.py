"""The CRC-32 of content that passes by in chunks, as object stores compute it: over the whole, or over parts."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Checksum:
    """A CRC-32 and what it is of; equal for equal content and equal `part_bytes`.

    Of an object stored in parts, S3 keeps the CRC-32 of its parts' CRC-32s, which depends on their size.
    """

    crc32: int
    part_bytes: int | None = None
    """Size of the parts, the last may be smaller; None: the CRC is of the content itself."""

    def is_of(self, path: Path) -> bool:
        """Whether a local file has exactly the content that this checksum is of; reads the file once."""
        with path.open("rb") as file:
            return checksum_of(file, part_bytes=self.part_bytes) == self


class Digest:
    """Takes content in chunks of any size, gives its `Checksum`.

    >>> digest = Digest()
    >>> digest.update(b"1234"), digest.update(b"56789")
    (None, None)
    >>> hex(digest.checksum().crc32)
    '0xcbf43926'
    """

    def __init__(self, *, part_bytes: int | None = None) -> None:
        self._part_bytes = part_bytes
        self._crc = 0  # of the content, or of the part that is being filled
        self._filled_bytes = 0
        self._crc_of_parts = 0

    def update(self, chunk: bytes) -> None:
        """Take the next bytes of the content."""
        if self._part_bytes is None:
            self._crc = zlib.crc32(chunk, self._crc)
            return
        view = memoryview(chunk)
        while view:
            taken = view[: self._part_bytes - self._filled_bytes]
            self._crc = zlib.crc32(taken, self._crc)
            self._filled_bytes += len(taken)
            view = view[len(taken) :]
            if self._filled_bytes == self._part_bytes:
                self._end_part()

    def checksum(self) -> Checksum:
        """The checksum of everything taken; the content ends here."""
        if self._part_bytes is None:
            return Checksum(self._crc)
        if self._filled_bytes:
            self._end_part()
        return Checksum(self._crc_of_parts, self._part_bytes)

    def _end_part(self) -> None:
        self._crc_of_parts = zlib.crc32(self._crc.to_bytes(4, "big"), self._crc_of_parts)
        self._crc = self._filled_bytes = 0


class SummedFile:
    """A new file that is written from front to back. Its CRC-32 is of what came, whatever the disk kept."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self.crc32 = 0

    @property
    def closed(self) -> bool:
        """Whether nothing more can come."""
        return self._file.closed

    def write(self, chunk: bytes | memoryview) -> int:
        """Append all of it."""
        self.crc32 = zlib.crc32(chunk, self.crc32)
        return self._file.write(chunk)

    def flush(self) -> None:
        """Hand the system what it does not have yet."""
        self._file.flush()

    def close(self) -> None:
        """Let the file go."""
        self._file.close()


def checksum_of(file: BinaryIO, *, part_bytes: int | None = None) -> Checksum:
    """The checksum of what an open file holds from here on."""
    digest = Digest(part_bytes=part_bytes)
    for chunk in read_chunks(file):
        digest.update(chunk)
    return digest.checksum()


def read_chunks(file: BinaryIO) -> Iterator[bytes]:
    """What an open file holds from here on, in chunks of at most 1 MiB."""
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk
