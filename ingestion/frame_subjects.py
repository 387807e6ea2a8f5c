"""What the `subject` of a stored frame says: enough to bring a fresh session where the recorded one was."""

import msgspec

from ingestion.exchanges.protocol import Request, SessionOptions, Subscription


class Subject(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of a frame that was sent, or a note: what happened on the connection, and what it carries from then on."""

    call: str  # sent: opening | subscribe | unsubscribe | resync; note: open | end | replaces | replaced
    wanted: tuple[Subscription, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()  # asked for, or ended
    symbol: str = ""  # whose book comes anew
    number: int = 0  # the connection that is, or was, replaced
    options: SessionOptions | None = None  # at the opening
    cause: str = ""  # of the end
    evidence: str = ""


class Asked(msgspec.Struct, frozen=True):
    """Of a REST document: the request, and whether it could be had."""

    request: Request
    came: bool


def encoded(subject: Subject | Asked) -> str:
    """The subject as it is stored."""
    return msgspec.json.encode(subject).decode()


def subject_of(text: str) -> Subject:
    """What a sent frame or a note says. Raises: msgspec.DecodeError."""
    return msgspec.json.decode(text, type=Subject)


def asked_of(text: str) -> Asked:
    """What a REST document answers. Raises: msgspec.DecodeError."""
    return msgspec.json.decode(text, type=Asked)
