"""Coinbase Advanced Trade's book frames: a frame in one piece where it is sound, level by level where it is not."""

from typing import Annotated, Literal, TypeAlias

import msgspec

from ingestion.exchanges.wire_values import (
    UNKNOWN_SYMBOL,
    is_plain_symbol,
    not_negative,
    positive,
    possible_levels,
    utc_us,
)
from shared.errors import FrameMalformed
from shared.rows import L2Message, Reject, Row

EXCHANGE = "coinbaseadvanced"
SequenceNum: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_BOOK_SIDE = {"bid": "bid", "offer": "ask"}


class _Update(msgspec.Struct, gc=False):
    side: Literal["bid", "offer"]
    event_time: str
    price_level: float  # a text on the wire; read by a decoder that is not strict, and exact
    new_quantity: float  # in this order: the fields become columns


class _UpdateText(msgspec.Struct, gc=False):
    """The same, where a number in the message is none."""

    side: str
    event_time: str
    price_level: str
    new_quantity: str


class L2Event(msgspec.Struct, gc=False):
    """A product's levels, all of the snapshot or those that changed."""

    type: str
    product_id: str
    updates: list[_Update]


class _L2EventText(msgspec.Struct, gc=False):
    type: str
    product_id: str
    updates: list[_UpdateText]


class L2Data(msgspec.Struct, tag_field="channel", tag="l2_data", gc=False):
    """A frame of the channel `level2`."""

    sequence_num: SequenceNum
    timestamp: str
    events: list[L2Event]


class _L2DataText(msgspec.Struct, tag_field="channel", tag="l2_data", gc=False):
    sequence_num: SequenceNum
    timestamp: str
    events: list[_L2EventText]


_l2_text = msgspec.json.Decoder(_L2DataText)


def nameless(table: str, product_id: str, record: msgspec.Struct) -> Reject:
    """What says of itself that it belongs to a product that cannot exist."""
    reason = f"product_id {product_id[:80]!r} cannot name a symbol"
    return Reject(UNKNOWN_SYMBOL, None, table, reason, msgspec.json.encode(record).decode())


def add_book(rows: list[Row], event: L2Event, sequence_num: int) -> bool:
    """Add the event as one book message; False where something in it must be looked at level by level."""
    updates = event.updates
    if not updates or not is_plain_symbol(event.product_id):
        return False
    times = [each.event_time for each in updates]
    moments: list[int | None] | None = None
    try:
        sides = [_BOOK_SIDE[each.side] for each in updates]
        moment = utc_us(times[0])
        if times.count(times[0]) < len(times):
            moments = [utc_us(each) for each in times]
    except (KeyError, ValueError):
        return False
    prices, sizes = [each.price_level for each in updates], [each.new_quantity for each in updates]
    if not possible_levels(prices, sizes):  # msgspec does not hold a number written as a text to every bound
        return False
    is_snapshot = event.type == "snapshot"
    numbers = (None, None, None)
    rows.append(L2Message(event.product_id, moment, sequence_num, is_snapshot, sides, prices, sizes, *numbers, moments))
    return True


def level_by_level(frame: bytes | str) -> tuple[int, list[Row]]:
    """A book frame with something impossible in it: what is possible is kept, the rest is rejected, each by itself."""
    try:
        message = _l2_text.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FrameMalformed(EXCHANGE, str(error)) from error
    rows: list[Row] = []
    for event in message.events:
        rows += _sound_levels(event, message.sequence_num)
    return message.sequence_num, rows


def _sound_levels(event: _L2EventText, sequence_num: int) -> list[Row]:
    if not is_plain_symbol(event.product_id):
        return [nameless("l2", event.product_id, event)]
    rejects: list[Row] = []
    sound: list[tuple[str, float, float, int | None]] = []
    for update in event.updates:
        try:
            side = _BOOK_SIDE.get(update.side)
            if side is None:
                raise ValueError(f"side {update.side[:40]!r} is neither bid nor offer")
            price, size = positive(update.price_level), not_negative(update.new_quantity)
            sound.append((side, price, size, utc_us(update.event_time)))
        except ValueError as error:
            payload = msgspec.json.encode(update).decode()
            rejects.append(Reject(event.product_id, None, "l2", str(error), payload))
    if not sound:
        return rejects
    sides, prices, sizes, moments = map(list, zip(*sound, strict=True))
    is_snapshot = event.type == "snapshot"
    message = L2Message(
        event.product_id, moments[0], sequence_num, is_snapshot, sides, prices, sizes, timestamps=moments
    )
    return [message, *rejects]
