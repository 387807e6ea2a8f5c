"""Book messages, which come as columns, level by level as the table `l2` has them."""

from collections.abc import Sequence

from shared.rows import L2, L2Message, Row


def by_level(message: L2Message) -> list[L2]:
    """A row of the table for each level."""
    last = len(message) - 1
    moments = message.timestamps or [message.timestamp] * len(message)
    own = (message.msg_seq, message.is_snapshot)
    numbers = (message.update_id, message.prev_update_id, message.checksum)
    columns = zip(moments, message.side, message.price, message.size, strict=True)
    return [
        L2(message.symbol, moment, *own, place == last, side, price, size, *numbers)
        for place, (moment, side, price, size) in enumerate(columns)
    ]


def row_count(rows: Sequence[Row]) -> int:
    """How many table rows these are: a book message holds several."""
    return sum(len(row) if isinstance(row, L2Message) else 1 for row in rows)
