"""OKX v5's frames: which stream each belongs to, and values as OKX writes them: every number is a text.

Source: okx.com/docs-v5 as of August 2026; recorded frames of 2022-05-13.
"""

from typing import Any

import msgspec

from ingestion.exchanges.wire_values import ID_DIGITS_MAX, UNKNOWN_SYMBOL
from shared.errors import FrameMalformed
from shared.rows import Reject

EXCHANGE_NAME = "okx"
_MS_MAX = 253_402_300_800_000  # the year 10000
_NULL = msgspec.Raw(b"null")


class Arg(msgspec.Struct, rename="camel", gc=False):
    """Which stream a frame belongs to."""

    channel: str
    inst_id: str = ""
    inst_type: str = ""


class Envelope(msgspec.Struct, gc=False):
    """A frame: data of a channel, or an event that answers or announces."""

    arg: Arg | None = None
    action: str = ""
    data: msgspec.Raw = _NULL
    event: str = ""
    code: str = ""
    msg: str = ""
    id: str = ""


_envelope = msgspec.json.Decoder(Envelope)


def open_envelope(frame: bytes) -> Envelope:
    """What kind of frame it is; its data is still closed. Raises: FrameMalformed."""
    try:
        return _envelope.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FrameMalformed(EXCHANGE_NAME, str(error)) from error


def ms_us(text: str) -> int:
    """Microseconds of a time in milliseconds; `ValueError` for none.

    >>> ms_us("1597026383085")
    1597026383085000
    """
    if not text.isascii() or not text.isdecimal() or len(text) > ID_DIGITS_MAX or int(text) >= _MS_MAX:
        raise ValueError(f"{text[:40]!r} is not a time in milliseconds")
    return int(text) * 1000


def reject(symbol: str | None, table: str, reason: str, record: Any, row_id: str | None = None) -> Reject:
    """What OKX sent and cannot be a row."""
    payload = msgspec.json.encode(record).decode(errors="backslashreplace")
    return Reject(symbol or UNKNOWN_SYMBOL, None, table, reason[:300], payload, row_id=row_id)


def is_spot(inst_id: str) -> bool:
    """Whether an instrument is spot, by its name: BTC-USDT is, BTC-USDT-SWAP and BTC-USD-220527 are not."""
    return inst_id.count("-") == 1


def text_of(raw: msgspec.Raw) -> str:
    """The digits of a text that holds a number, or of a number."""
    return bytes(raw).decode().strip('"')
