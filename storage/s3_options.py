"""What it takes to speak to a bucket, and the client made of it."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from botocore import UNSIGNED, handlers
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.loaders import create_loader
from botocore.session import Session

from shared.errors import SettingsInvalid
from storage.s3_errors import translated

Addressing: TypeAlias = Literal["auto", "path", "virtual"]
CONNECTIONS_MAX = 64  # kept open for the next request; more may be open at once
_PART_MB_MIN, _PART_MB_MAX = 5, 5120  # S3's own bounds
_BODY_CHANGES = (  # our bodies are bytes: they are sent at once, without asking first (Expect: 100-continue)
    ("before-parameter-build.s3.PutObject", handlers.convert_body_to_file_like_object),
    ("before-parameter-build.s3.UploadPart", handlers.convert_body_to_file_like_object),
    ("before-call.s3", handlers.add_expect_header),
)


@dataclass(frozen=True, kw_only=True)
class S3Options:
    """A bucket, how to reach it, and the bounds on what a request may take.

    Raises: SettingsInvalid where they do not fit together.
    """

    bucket: str
    prefix: str = ""
    region: str | None = None
    """None: as the environment says, else us-east-1."""
    endpoint_url: str | None = None
    """None: AWS."""
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    """With `access_key_id`, or neither: then the machine's own credentials, as AWS tools find them."""
    anonymous: bool = False
    """Sign nothing."""
    addressing: Addressing = "auto"
    ca_file: Path | None = None
    """Certificates to trust in place of the machine's."""
    part_mb: int
    """Content larger than this goes up in parts of this size."""
    parts_at_once: int
    attempts_max: int
    timeout_s: float
    """Longest wait for a connection, and for the next bytes of an answer."""

    def __post_init__(self) -> None:
        for is_wrong, problem in (
            (not _is_address(self.endpoint_url), _address_problem(self.endpoint_url)),
            (
                bool(self.access_key_id) != bool(self.secret_access_key),
                "one of access_key_id and secret_access_key, expected both",
            ),
            (self.anonymous and self.access_key_id, "both anonymous and an access_key_id"),
            (self.ca_file and not self.ca_file.is_file(), f"ca_file {self.ca_file}, which is no file"),
            (not _PART_MB_MIN <= self.part_mb <= _PART_MB_MAX, f"part_mb {self.part_mb}, expected 5 to 5120"),
        ):
            if is_wrong:
                raise SettingsInvalid(f"storage in bucket {self.bucket}: found {problem}")


def client_of(options: S3Options, *, name: str) -> tuple[Any, Any]:
    """A client that any thread may use, and the credentials it signs with, or None; asks nothing of the network.

    `name` is the store's, for messages.
    """
    config = Config(
        signature_version=UNSIGNED if options.anonymous else "s3v4",
        s3={"addressing_style": options.addressing},
        retries={"mode": "standard", "total_max_attempts": options.attempts_max},
        connect_timeout=options.timeout_s,
        read_timeout=options.timeout_s,
        tcp_keepalive=True,
        max_pool_connections=CONNECTIONS_MAX,
        # We give and check the CRC-32 ourselves: what botocore adds of itself, many other stores than AWS refuse.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    with translated(name):
        session = Session()
        session.register_component("data_loader", _loader())
        client = session.create_client(
            "s3",
            region_name=options.region or session.get_config_variable("region") or "us-east-1",
            endpoint_url=options.endpoint_url,
            aws_access_key_id=options.access_key_id,
            aws_secret_access_key=options.secret_access_key,
            verify=str(options.ca_file) if options.ca_file else None,
            config=config,
        )
        if options.access_key_id:
            credentials = Credentials(options.access_key_id, options.secret_access_key)
        else:
            credentials = None if options.anonymous else session.get_credentials()
    for event, change in _BODY_CHANGES:
        client.meta.events.unregister(event, change)
    return client, credentials


@cache
def _loader() -> Any:
    """The description of S3's protocol, which takes longer to read than a client to make; once for all stores."""
    return create_loader()


def _is_address(url: str | None) -> bool:
    if url is None:
        return True
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
        )
    except ValueError:
        return False


def _address_problem(url: str | None) -> str:
    shown = "one with a user or password" if url and "@" in url else repr(url)
    return f"endpoint_url {shown}, expected an address such as https://s3.example.com:9000"
