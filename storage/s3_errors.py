"""What S3 and the way to it can answer, as our errors: one clear line each, and no secret in any."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from shared.errors import (
    ObjectConflict,
    ObjectDamaged,
    ObjectMissing,
    StorageFailed,
    StorageRefused,
    StorageUnreachable,
)

_SKEW_S_MAX = 300  # S3 itself allows 900
_SHOWN_CHARS = 200
_CLOCK = "Set the clock (`timedatectl set-ntp true`); S3 refuses requests signed more than 15 minutes off"
_CREDENTIALS = "Correct access_key_id and secret_access_key, or the machine's own credentials"
_REFUSALS = {
    "InvalidAccessKeyId": ("the access key is not known there", _CREDENTIALS),
    "SignatureDoesNotMatch": ("the secret key does not belong to the access key", _CREDENTIALS),
    "InvalidToken": ("the session token is not valid", _CREDENTIALS),
    "ExpiredToken": ("the session token has expired", _CREDENTIALS),
    "AccessDenied": ("access denied", "Give this access key the right to list, read, write and delete in the bucket"),
    "RequestTimeTooSkewed": ("this machine's clock is too far off", _CLOCK),
    "RequestExpired": ("this machine's clock is too far off", _CLOCK),
    "NoSuchBucket": ("no such bucket", "Create it, or correct the bucket in the settings"),
    "PermanentRedirect": ("the bucket is in another region", "Correct the region in the settings"),
    "AuthorizationHeaderMalformed": ("the bucket is in another region", "Correct the region in the settings"),
    "NotImplemented": ("the store does not know this kind of request", "Use one with conditional writes and checksums"),
}
_OF_STATUS = {401: "AccessDenied", 403: "AccessDenied", 404: "NoSuchKey", 409: "ConditionalRequestConflict"}
_OF_STATUS |= {301: "PermanentRedirect", 412: "PreconditionFailed", 416: "InvalidRange", 501: "NotImplemented"}
_CONFLICTS = {
    "PreconditionFailed": "it is not in the state that was asked for",
    "ConditionalRequestConflict": "it was being changed at the same time",
    "InvalidRange": "it has fewer bytes than were asked for",
}
_DAMAGES = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"}
_LATER = {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "RequestLimitExceeded", "NoSuchUpload"}
_ABSENT = {"NoSuchKey", "404", "NotFound"}


@contextmanager
def translated(place: str, *, is_conditional: bool = False) -> Iterator[None]:
    """Errors of botocore and of urllib3 as ours about `place`; with a condition, a missing object is a conflict."""
    try:
        yield
    except (boto.BotoCoreError, boto.ClientError, ResponseParserError, RecursionError, HTTPError) as error:
        raise failure(error, place, is_conditional=is_conditional) from error


def failure(error: Exception, place: str, *, is_conditional: bool = False) -> StorageFailed:
    """The one of our errors that one of botocore's means."""
    match error:
        case boto.ClientError():
            return _answered(error, place, is_conditional=is_conditional)
        case boto.SSLError() if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return StorageRefused(
                place, "its certificate is not trusted here", hint="Give ca_file, or correct endpoint_url"
            )
        case boto.IncompleteReadError() | boto.FlexibleChecksumError():
            return ObjectDamaged(place, "the content that came is not whole")
        case boto.ResponseStreamingError() | HTTPError():  # urllib3's own comes through where the answer is small
            return StorageUnreachable(place, "the answer broke off")
        case boto.HTTPClientError() | boto.ConnectionError():
            return StorageUnreachable(place, f"no answer{_of_address(error)} ({type(error).__name__})")
        case RecursionError():  # what botocore makes of a redirect that does not name a region
            return StorageRefused(place, "it redirects elsewhere", hint="Correct endpoint_url (https?) or the region")
        case ResponseParserError():
            return not_s3(place)
        case boto.NoCredentialsError() | boto.PartialCredentialsError() | boto.CredentialRetrievalError():
            return StorageRefused(
                place, "no credentials on this machine", hint=f"{_CREDENTIALS}; anonymous: true signs nothing"
            )
        case _:
            return StorageRefused(place, _shown(str(error)), hint="Correct the settings of this store")


def is_absent(error: boto.ClientError) -> bool:
    """Whether an answer says that there is no such object, or no such bucket."""
    return code_of(error) in _ABSENT


def no_bucket(place: str) -> StorageRefused:
    """The error for a bucket that is not there."""
    reason, hint = _REFUSALS["NoSuchBucket"]
    return StorageRefused(place, reason, hint=hint)


def not_s3(place: str) -> StorageRefused:
    """The error for an answer that S3 would not give, such as a login page's."""
    return StorageRefused(place, "what answers there is not S3", hint="Correct endpoint_url in the settings")


def _answered(error: boto.ClientError, place: str, *, is_conditional: bool) -> StorageFailed:
    code = code_of(error)
    if code in _ABSENT:
        return ObjectConflict(place, "it is gone") if is_conditional else ObjectMissing(place)
    if code in _CONFLICTS:
        return ObjectConflict(place, _CONFLICTS[code])
    if code in _DAMAGES:
        return ObjectDamaged(place, "what arrived at the store is not what was sent")
    if skew_s := _skew_s(error):
        return StorageRefused(place, f"this machine's clock is {_span(skew_s)}", hint=_CLOCK)
    if code in _REFUSALS:
        reason, hint = _REFUSALS[code]
        return StorageRefused(place, reason, hint=hint)
    if code in _LATER or _status(error) >= 500 or _status(error) == 429:
        return StorageUnreachable(place, f"the store is busy or failing ({code})")
    said = _shown(error.response.get("Error", {}).get("Message", ""))
    return StorageRefused(place, f"refused: {code} {said}".rstrip(), hint="See the store's documentation for this code")


def code_of(error: boto.ClientError) -> str:
    """The code of S3; where an answer has no body, its status stands for one."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return _OF_STATUS.get(int(code), code) if code.isdecimal() else code


def _status(error: boto.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _skew_s(error: boto.ClientError) -> int:
    """How far our clock is ahead of the store's where that can be why a signature was refused; 0: it is not."""
    said = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if _status(error) not in {400, 401, 403} or not said:
        return 0
    try:
        skew_s = round((datetime.now(UTC) - parsedate_to_datetime(said)).total_seconds())
    except (ValueError, TypeError):
        return 0
    return skew_s if abs(skew_s) > _SKEW_S_MAX else 0


def _of_address(error: boto.BotoCoreError) -> str:
    """Which server it is that did not answer, as a clause: a wrong `endpoint_url` is seen there."""
    parts = urlsplit(str(error.kwargs.get("endpoint_url") or ""))
    return f" from {parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _span(skew_s: int) -> str:
    hours, minutes = divmod(abs(skew_s) // 60, 60)
    return f"{hours} h {minutes} min {'ahead of' if skew_s > 0 else 'behind'} the store's"


def _shown(text: str) -> str:
    return " ".join(text.split())[:_SHOWN_CHARS]
