"""One PUT without what botocore does around it, which for an object of 1 MB takes as long as all the rest together,
and for a part of a large one as long as its CRC-32 and signature: botocore hands it to the socket in pieces of 16 KiB.

Only the plain case: one attempt, keys that sign, no proxy. Whatever else comes, and whatever the store answers but
success, is for botocore to ask again, which knows of retries, regions and the meaning of errors.
"""

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from botocore.exceptions import BotoCoreError
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from storage.s3_options import CONNECTIONS_MAX, S3Options


@dataclass(frozen=True)
class Answer:
    """What came of a request."""

    status: int = 0
    """0: no answer."""
    etag: str | None = None
    crc32: str | None = None
    """What the store says that it keeps."""


class DirectPut:
    """Puts objects of one bucket; any thread may use it."""

    def __init__(self, address: str, *, region: str, credentials: Any, options: S3Options) -> None:
        parts = urlsplit(address)
        self._host, self._path, self._region = parts.netloc, parts.path, region
        self._credentials = credentials
        self._signs_body = parts.scheme != "https"  # over TLS the CRC-32 is enough
        trust = {"ca_certs": get_cert_path(str(options.ca_file) if options.ca_file else True)}
        self._pool = urllib3.connection_from_url(
            address,
            maxsize=CONNECTIONS_MAX,
            timeout=options.timeout_s,
            retries=False,
            **({} if self._signs_body else trust),
        )

    def put(self, key: str, body: bytes, headers: dict[str, str], query: dict[str, str]) -> Answer:
        """Try to store `body`. Of an answer that did not come, nothing is known."""
        path, question = quote(self._path + key, safe="/~"), urlencode(sorted(query.items()), quote_via=quote, safe="~")
        try:
            signed = self._signed(path, question, body, headers)
            address = f"{path}?{question}" if question else path
            answer = self._pool.urlopen("PUT", address, body=body, headers=signed, redirect=False)
        except (urllib3.exceptions.HTTPError, BotoCoreError):
            return Answer()
        if answer.status != HTTPStatus.OK:
            return Answer(answer.status)
        return Answer(answer.status, answer.headers.get("ETag"), answer.headers.get("x-amz-checksum-crc32"))

    def _signed(self, path: str, question: str, body: bytes, headers: dict[str, str]) -> dict[str, str]:
        """Source: AWS Signature Version 4, "Signature calculations for the Authorization header"."""
        keys, now = self._credentials.get_frozen_credentials(), f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        content = sha256(body).hexdigest() if self._signs_body else "UNSIGNED-PAYLOAD"
        own = {"host": self._host, "x-amz-content-sha256": content, "x-amz-date": now}
        token = {"x-amz-security-token": keys.token} if keys.token else {}
        signed = dict(sorted({**headers, **own, **token}.items()))
        names = ";".join(signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
        request = f"PUT\n{path}\n{question}\n{lines}\n{names}\n{content}"
        scope = [now[:8], self._region, "s3", "aws4_request"]
        place = "/".join(scope)
        signature = f"AWS4-HMAC-SHA256\n{now}\n{place}\n{sha256(request.encode()).hexdigest()}".encode()
        secret = b"AWS4" + keys.secret_key.encode()
        for step in scope:
            secret = hmac.digest(secret, step.encode(), "sha256")
        by = f"Credential={keys.access_key}/{place}, SignedHeaders={names}"
        proof = hmac.digest(secret, signature, "sha256").hex()
        return {**signed, "authorization": f"AWS4-HMAC-SHA256 {by}, Signature={proof}"}


def direct_put(client: Any, credentials: Any, options: S3Options) -> DirectPut | None:
    """The short way to where `client` puts the objects of a bucket; None: there is none."""
    if credentials is None or not options.bucket.replace("-", "").replace(".", "").isalnum():
        return None  # nothing is signed, or the bucket is named by an ARN, which is signed otherwise
    try:
        shown: str = client.generate_presigned_url("put_object", Params={"Bucket": options.bucket, "Key": "k"})
    except BotoCoreError:
        return None
    address = shown.partition("?")[0].removesuffix("k")
    if get_environ_proxies(address):
        return None
    return DirectPut(address, region=client.meta.region_name, credentials=credentials, options=options)
