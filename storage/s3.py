"""Objects in a bucket of S3 or of anything that speaks like it."""

import base64
import os
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from botocore.exceptions import ClientError

from shared.errors import ObjectConflict, ObjectMissing, StorageFailed, StorageRefused
from storage.base import (
    Content,
    ObjectContent,
    ObjectInfo,
    Unfinished,
    checked_conditions,
    checked_key,
    checked_prefix,
    chunks,
    is_key,
)
from storage.checksum import Checksum
from storage.s3_direct import Answer, DirectPut, direct_put
from storage.s3_errors import code_of, is_absent, no_bucket, not_s3, translated
from storage.s3_options import S3Options, client_of

_CHUNK_BYTES = 1 << 20
_PARTS_MAX = 10_000  # S3's own bound
_HEADERS = {"IfNoneMatch": "if-none-match", "IfMatch": "if-match"}
_PART_BYTES = "part-bytes"  # in the metadata of an object that was stored in parts

_Sent: TypeAlias = list[dict[str, Any]]  # a name, because `list` means the verb inside the class


class S3Storage:
    """The store of one bucket, or of the keys below one prefix of it.

    Every request that carries content carries its CRC-32, which the store compares with what arrived. Content larger
    than one part goes up in parts, a few at a time: at most `parts_at_once + 1` of them are in memory for each `put`.
    """

    def __init__(self, options: S3Options) -> None:
        self._bucket = options.bucket
        self._prefix = f"{checked_key(options.prefix.strip('/'))}/" if options.prefix.strip("/") else ""
        self.name = f"s3://{self._bucket}/{self._prefix}".rstrip("/")
        self._part_bytes = options.part_mb << 20
        self._parts_at_once = options.parts_at_once
        self._options = options
        self._client, self._credentials = client_of(options, name=self.name)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `ObjectStore`."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + checked_prefix(prefix)
        )
        for page in self._pages(pages):
            for found in page.get("Contents", ()):
                key = found["Key"].removeprefix(self._prefix)
                if is_key(key):  # some tools put empty objects `folder/`
                    yield ObjectInfo(
                        key=key,
                        size_bytes=found["Size"],
                        etag=found["ETag"].strip('"'),
                        last_modified=found["LastModified"],
                    )

    def head(self, key: str) -> ObjectInfo:
        """See `ObjectStore`."""
        with translated(self._place(key)):
            try:
                found = self._client.head_object(**self._object(key), ChecksumMode="ENABLED")
            except ClientError as error:
                if is_absent(error):  # the answer to HEAD has no body to say whether it is the bucket that is missing
                    self._check_bucket()
                raise
        return _info(key, found, place=self._place(key))

    @contextmanager
    def get(self, key: str, *, start: int = 0, if_match: str | None = None) -> Iterator[ObjectContent]:
        """See `ObjectStore`."""
        asked: dict[str, Any] = _matching(if_match)
        if start:
            asked["Range"] = f"bytes={start}-"
        else:  # some servers answer a range with the checksum of the whole
            asked["ChecksumMode"] = "ENABLED"
        place = self._place(key)
        with translated(place):
            found = self._client.get_object(**self._object(key), **asked)
        with closing(found["Body"]) as body:
            info = _info(key, found, place=place)
            if start and not found.get("ContentRange", "").startswith(f"bytes {start}-"):
                raise StorageRefused(place, "the store ignores ranges", hint="It cannot resume; get the whole object")
            yield ObjectContent(info, _received(body, place), place=place, start=start)

    def put(self, key: str, content: Content, *, if_absent: bool = False, if_match: str | None = None) -> str:
        """See `ObjectStore`."""
        checked_conditions(if_absent=if_absent, if_match=if_match)
        condition = {"IfNoneMatch": "*"} if if_absent else _matching(if_match)
        parts = _parts(content, self._part_bytes)
        ahead = deque(islice(parts, 2))
        with translated(self._place(key), is_conditional=bool(condition)):
            if len(ahead) > 1:
                stored = self._put_in_parts(key, _queued(ahead, parts), condition)
            else:
                stored = self._put_whole(key, ahead.popleft() if ahead else b"", condition)
        if "ETag" not in stored:
            raise not_s3(self._place(key))
        return str(stored["ETag"]).strip('"')

    def delete(self, key: str, *, if_match: str | None = None) -> None:
        """See `ObjectStore`."""
        with suppress(ObjectMissing), translated(self._place(key), is_conditional=if_match is not None):
            self._client.delete_object(**self._object(key), **_matching(if_match))

    def unfinished(self) -> Iterator[Unfinished]:
        """See `ObjectStore`."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=self._prefix)
        for page in self._pages(pages):
            for found in page.get("Uploads", ()):
                yield Unfinished(
                    key=found["Key"].removeprefix(self._prefix),
                    upload_id=found["UploadId"],
                    started_at=found["Initiated"],
                )

    def discard(self, upload: Unfinished) -> None:
        """See `ObjectStore`."""
        with translated(self._place(upload.key)):
            try:
                self._client.abort_multipart_upload(**self._object(upload.key), UploadId=upload.upload_id)
            except ClientError as error:
                if code_of(error) != "NoSuchUpload":
                    raise

    @cached_property
    def _direct(self) -> DirectPut | None:
        return direct_put(self._client, self._credentials, self._options)

    def _put_whole(self, key: str, whole: bytes, condition: dict[str, str]) -> Any:
        target, crc32 = self._object(key), _crc32_text(whole)
        answer = Answer()
        if self._direct:
            headers = {"x-amz-checksum-crc32": crc32, **{_HEADERS[name]: value for name, value in condition.items()}}
            answer = self._direct.put(target["Key"], whole, headers)
            if answer.status == HTTPStatus.PRECONDITION_FAILED:
                raise ObjectConflict(self._place(key), "it is not in the state that was asked for")
        if answer.etag:
            return {"ETag": answer.etag}
        stored = self._client.put_object(**target, Body=whole, ChecksumCRC32=crc32, **condition)
        if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            self._direct = None  # it was refused what botocore is not: another region, perhaps
        return stored

    def _put_in_parts(self, key: str, parts: Iterator[bytes], condition: dict[str, str]) -> Any:
        target = self._object(key)
        begun = self._client.create_multipart_upload(
            **target, ChecksumAlgorithm="CRC32", Metadata={_PART_BYTES: str(self._part_bytes)}
        )
        upload = {**target, "UploadId": begun["UploadId"]}
        try:
            sent = self._send(parts, upload)
            return self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent}, **condition)
        except BaseException:
            with suppress(StorageFailed), translated(self._place(key)):  # what is left is found by `unfinished`
                self._client.abort_multipart_upload(**upload)
            raise

    def _send(self, parts: Iterator[bytes], upload: dict[str, Any]) -> _Sent:
        """Send the parts, a few at a time, and return what the store says of each, in order."""
        sent: _Sent = []
        under_way = deque[Future[dict[str, Any]]]()
        with ThreadPoolExecutor(self._parts_at_once) as pool:
            for number, part in enumerate(parts, 1):
                if number > _PARTS_MAX:
                    raise StorageRefused(
                        self._place(upload["Key"].removeprefix(self._prefix)),
                        f"larger than {_PARTS_MAX} parts of {self._part_bytes >> 20} MB",
                        hint="Raise part_mb in the settings of this store",
                    )
                if len(under_way) == self._parts_at_once:
                    sent.append(under_way.popleft().result())
                under_way.append(pool.submit(self._send_part, part, number, upload))
            return sent + [part.result() for part in under_way]

    def _send_part(self, part: bytes, number: int, upload: dict[str, Any]) -> dict[str, Any]:
        answer = self._client.upload_part(**upload, PartNumber=number, Body=part, ChecksumCRC32=_crc32_text(part))
        said = {name: answer[name] for name in ("ETag", "ChecksumCRC32") if name in answer}
        return {"PartNumber": number, **said}

    def _pages(self, pages: Any) -> Iterator[Any]:
        with translated(self.name):
            for page in pages:
                if "IsTruncated" not in page:  # a login page may parse, and would be an empty listing
                    raise not_s3(self.name)
                yield page

    def _check_bucket(self) -> None:
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            if is_absent(error):
                raise no_bucket(self.name) from error

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + checked_key(key)}

    def _place(self, key: str) -> str:
        return f"{self.name}/{key}"


def _matching(etag: str | None) -> dict[str, str]:
    return {} if etag is None else {"IfMatch": f'"{etag}"'}


def _info(key: str, found: dict[str, Any], *, place: str) -> ObjectInfo:
    """The answer to a HEAD or GET; of a range, the whole object is described."""
    if "ETag" not in found or "LastModified" not in found:
        raise not_s3(place)
    size_bytes = found["ContentLength"]
    if part_of := found.get("ContentRange"):
        size_bytes = int(part_of.rpartition("/")[2])
    return ObjectInfo(
        key=key,
        size_bytes=size_bytes,
        etag=found["ETag"].strip('"'),
        last_modified=found["LastModified"],
        checksum=_checksum(found.get("ChecksumCRC32"), found["Metadata"]),
    )


def _checksum(text: str | None, metadata: dict[str, str]) -> Checksum | None:
    if text is None:
        return None
    crc32, of_parts, _ = text.partition("-")
    part_bytes = {name.lower(): value for name, value in metadata.items()}.get(_PART_BYTES)
    if of_parts and part_bytes is None:  # put in parts by somebody else: their size is not known
        return None
    return Checksum(
        int.from_bytes(base64.b64decode(crc32), "big"), int(part_bytes) if of_parts and part_bytes else None
    )


def _crc32_text(content: bytes) -> str:
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


def _received(body: Any, place: str) -> Iterator[bytes]:
    with translated(place):
        yield from body.iter_chunks(_CHUNK_BYTES)


def _parts(content: Content, part_bytes: int) -> Iterator[bytes]:
    """The content cut into parts of equal size, the last may be smaller."""
    if isinstance(content, Path):
        with content.open("rb") as file:
            is_one = os.fstat(file.fileno()).st_size <= part_bytes
            while part := file.read() if is_one else file.read(part_bytes):  # no room is taken for a whole part
                yield part
        return
    filled = bytearray()
    for chunk in chunks(content):
        filled += chunk
        while len(filled) >= part_bytes:
            yield bytes(filled[:part_bytes])
            del filled[:part_bytes]
    if filled:
        yield bytes(filled)


def _queued(ahead: deque[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    while ahead:  # not itertools.chain: that would keep the first part in memory
        yield ahead.popleft()
    yield from rest
