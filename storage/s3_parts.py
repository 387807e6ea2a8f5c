"""Content that goes up in parts, a few at a time, and goes on where an earlier attempt broke off."""

import base64
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from shared.errors import StorageFailed, StorageRefused, StorageUnreachable
from storage.base import Content, chunks
from storage.s3_errors import failure, translated
from storage.s3_options import S3Options

PART_BYTES = "part-bytes"  # in the metadata of an object that was stored in parts
_PARTS_MAX = 10_000  # S3's own bound

_Said: TypeAlias = dict[str, Any]  # by the store of one part


class PartsUpload:
    """One object on its way into a bucket; `target` names both. `put_part` sends a part, as it is asked for."""

    def __init__(
        self,
        client: Any,
        target: dict[str, str],
        put_part: Callable[[bytes, dict[str, Any]], _Said],
        *,
        place: str,
        options: S3Options,
    ) -> None:
        self._client, self._target, self._put_part, self._place = client, target, put_part, place
        self._part_mb, self._parts_at_once = options.part_mb, options.parts_at_once

    def put(self, ahead: deque[bytes], rest: Iterator[bytes], condition: dict[str, str]) -> Any:
        """Send the parts `ahead`, which is emptied, and the `rest`; the store's answer.

        A name that is to be put once has one content, so where it broke off the parts are left there for the next
        attempt. That takes up an upload which begins with our first part, and sends of it what is not there yet:
        a part is kept if it has the size and the CRC-32 of ours.
        """
        is_resumable = "IfNoneMatch" in condition
        upload_id, there = self._begun(ahead[0]) if is_resumable else ("", {})
        upload = {**self._target, "UploadId": upload_id or self._begin()}
        try:
            sent = self._send(_queued(ahead, rest), upload, there)
            return self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent}, **condition)
        except BaseException as error:
            if not (is_resumable and self._broke_off(error)):
                with suppress(StorageFailed), translated(self._place):  # what is left is found by `unfinished`
                    self._client.abort_multipart_upload(**upload)
            raise

    def _begin(self) -> str:
        metadata = {PART_BYTES: str(self._part_mb << 20)}
        begun = self._client.create_multipart_upload(**self._target, ChecksumAlgorithm="CRC32", Metadata=metadata)
        return str(begun["UploadId"])

    def _begun(self, first: bytes) -> tuple[str, dict[int, _Said]]:
        """An unfinished upload that begins with our first part, and its parts by number."""
        bucket, key = self._target["Bucket"], self._target["Key"]
        listing = self._client.get_paginator("list_multipart_uploads")
        with suppress(StorageFailed), translated(self._place):  # where they cannot be looked at, it is begun anew
            for page in listing.paginate(Bucket=bucket, Prefix=key):
                for found in page.get("Uploads", ()):
                    if found["Key"] != key:
                        continue
                    there = self._there(found["UploadId"])
                    if _is_same(there.get(1), first):
                        return found["UploadId"], there
        return "", {}

    def _there(self, upload_id: str) -> dict[int, _Said]:
        pages = self._client.get_paginator("list_parts").paginate(**self._target, UploadId=upload_id)
        return {part["PartNumber"]: part for page in pages for part in page.get("Parts", ())}

    def _send(self, parts: Iterator[bytes], upload: dict[str, Any], there: dict[int, _Said]) -> list[_Said]:
        """Send the parts, a few at a time, and return what the store says of each, in order."""
        sent: list[_Said] = []
        under_way = deque[Future[_Said]]()
        with ThreadPoolExecutor(self._parts_at_once) as pool:
            for number, part in enumerate(parts, 1):
                if number > _PARTS_MAX:
                    raise StorageRefused(
                        self._place,
                        f"larger than {_PARTS_MAX} parts of {self._part_mb} MB",
                        hint="Raise part_mb in the settings of this store",
                    )
                if len(under_way) == self._parts_at_once:
                    sent.append(under_way.popleft().result())
                under_way.append(
                    pool.submit(self._send_part, part, {**upload, "PartNumber": number}, there.get(number))
                )
            return sent + [part.result() for part in under_way]

    def _send_part(self, part: bytes, numbered: dict[str, Any], there: _Said | None) -> _Said:
        said = there
        if said is None or not _is_same(said, part):
            said = self._put_part(part, numbered)
        kept: _Said = {name: said[name] for name in ("ETag", "ChecksumCRC32") if name in said}
        return {"PartNumber": numbered["PartNumber"], **kept}

    def _broke_off(self, error: BaseException) -> bool:
        """Whether it may go on later: there was no answer, or we were told to end."""
        if not isinstance(error, Exception):
            return True
        known = error if isinstance(error, StorageFailed) else failure(error, self._place)
        return isinstance(known, StorageUnreachable)


def parts_of(content: Content, part_bytes: int) -> Iterator[bytes]:
    """The content cut into parts of equal size, the last may be smaller."""
    if isinstance(content, Path):
        with content.open("rb") as file:
            is_one = os.fstat(file.fileno()).st_size <= part_bytes
            while part := file.read() if is_one else file.read(part_bytes):  # no room is taken for a whole part
                yield part
        return
    pending: list[bytes] = []
    pending_bytes = 0
    for chunk in chunks(content):
        pending.append(chunk)
        pending_bytes += len(chunk)
        if pending_bytes < part_bytes:
            continue
        joined = b"".join(pending)  # the one copy, where chunks and parts fit
        pending.clear()
        whole_bytes = pending_bytes - pending_bytes % part_bytes
        for start in range(0, whole_bytes, part_bytes):
            yield joined[start : start + part_bytes]
        pending.append(joined[whole_bytes:])
        pending_bytes -= whole_bytes
        del joined
    if pending_bytes:
        yield b"".join(pending)


def crc32_text(content: bytes) -> str:
    """The CRC-32 as S3 writes it."""
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


def _is_same(said: _Said | None, part: bytes) -> bool:
    return said is not None and said.get("Size") == len(part) and said.get("ChecksumCRC32") == crc32_text(part)


def _queued(ahead: deque[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    while ahead:  # not itertools.chain: that would keep the first part in memory
        yield ahead.popleft()
    yield from rest
