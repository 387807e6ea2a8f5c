"""Objects in a bucket of S3 or of anything that speaks like it."""

import base64
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from http import HTTPStatus
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from shared.errors import ObjectConflict, ObjectMissing, StorageRefused
from storage.base import (
    Content,
    ObjectContent,
    ObjectInfo,
    Unfinished,
    checked_conditions,
    checked_key,
    checked_prefix,
    is_key,
)
from storage.checksum import Checksum
from storage.s3_direct import Answer, DirectPut, direct_put
from storage.s3_errors import code_of, is_absent, no_bucket, not_s3, translated
from storage.s3_options import S3Options, client_of
from storage.s3_parts import PART_BYTES, PartsUpload, crc32_text, parts_of

_CHUNK_BYTES = 1 << 20
_HEADERS = {"IfNoneMatch": "if-none-match", "IfMatch": "if-match"}


class S3Storage:
    """The store of one bucket, or of the keys below one prefix of it.

    Every request that carries content carries its CRC-32, which the store compares with what arrived. Content larger
    than one part goes up in parts, a few at a time: at most `parts_at_once + 1` of them are in memory for each `put`.
    """

    def __init__(self, options: S3Options) -> None:
        self._bucket = options.bucket
        self._prefix = f"{checked_key(options.prefix.strip('/'))}/" if options.prefix.strip("/") else ""
        self.name = f"s3://{self._bucket}/{self._prefix}".rstrip("/")
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
        parts = parts_of(content, self._options.part_mb << 20)
        ahead = deque(islice(parts, 2))
        with translated(self._place(key), is_conditional=bool(condition)):
            if len(ahead) > 1:
                upload = PartsUpload(
                    self._client, self._object(key), self._put_part, place=self._place(key), options=self._options
                )
                stored = upload.put(ahead, parts, condition)
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
        asked = {**self._object(key), **condition}
        headers = {_HEADERS[name]: value for name, value in condition.items()}
        return self._stored(self._client.put_object, asked, whole, headers=headers, query={})

    def _put_part(self, part: bytes, asked: dict[str, Any]) -> Any:
        query = {"partNumber": str(asked["PartNumber"]), "uploadId": asked["UploadId"]}
        return self._stored(self._client.upload_part, asked, part, headers={}, query=query)

    def _stored(
        self, put: Any, asked: dict[str, Any], body: bytes, *, headers: dict[str, str], query: dict[str, str]
    ) -> Any:
        """What the store says of a body: directly, else as botocore's `put` is asked for it."""
        answer, crc32 = Answer(), crc32_text(body)
        if self._direct:
            answer = self._direct.put(asked["Key"], body, {"x-amz-checksum-crc32": crc32, **headers}, query)
        if answer.status == HTTPStatus.PRECONDITION_FAILED:
            place = self._place(asked["Key"].removeprefix(self._prefix))
            raise ObjectConflict(place, "it is not in the state that was asked for")
        if answer.etag:
            return {"ETag": answer.etag, **({"ChecksumCRC32": answer.crc32} if answer.crc32 else {})}
        said = put(**asked, Body=body, ChecksumCRC32=crc32)
        if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            self._direct = None  # it was refused what botocore is not: another region, perhaps
        return said

    def _pages(self, pages: Any) -> Iterator[Any]:
        with translated(self.name):
            try:
                for page in pages:
                    if not page.keys() & {"IsTruncated", "Bucket"}:  # a login page may parse, as an empty listing
                        raise not_s3(self.name)
                    yield page
            except ClientError as error:
                if code_of(error) != "NoSuchUpload":  # rclone's word for a bucket in which there is none
                    raise

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
    part_bytes = {name.lower(): value for name, value in metadata.items()}.get(PART_BYTES)
    if of_parts and part_bytes is None:  # put in parts by somebody else: their size is not known
        return None
    return Checksum(
        int.from_bytes(base64.b64decode(crc32), "big"), int(part_bytes) if of_parts and part_bytes else None
    )


def _received(body: Any, place: str) -> Iterator[bytes]:
    with translated(place):
        yield from body.iter_chunks(_CHUNK_BYTES)
