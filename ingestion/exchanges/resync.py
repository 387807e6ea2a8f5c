"""What becomes of a book that is lost: what is stored of the message that showed it, how often it is asked for."""

from collections.abc import Iterable

import msgspec

from shared.rows import L2Message, OrderBook, Row

_NS = 1_000_000_000
_HEALED_AFTER_NS = 120 * _NS  # asked for this long ago: the next failure is the first again
_PAUSE_MAX_NS = 64 * _NS


def untrusted(rows: Iterable[Row]) -> list[Row]:
    """The rows of a message after which the book is wrong: kept, but nothing that a reader would begin a book with."""
    return [
        msgspec.structs.replace(row, is_snapshot=False) if isinstance(row, L2Message) else row
        for row in rows
        if not isinstance(row, OrderBook)
    ]


class ResyncPace:
    """How often one symbol's book is asked for: at once, but one that fails again and again waits ever longer.

    Times are monotonic.

    >>> pace = ResyncPace()
    >>> pace.may_ask("BTC-USD", 0), pace.may_ask("BTC-USD", 1_999_999_999), pace.may_ask("BTC-USD", 2_000_000_000)
    (True, False, True)
    """

    def __init__(self) -> None:
        self._asked: dict[str, tuple[int, int]] = {}  # how often in a row, and when last

    def may_ask(self, symbol: str, mono_ns: int) -> bool:
        """Whether a book that is lost is asked for now; ask again with its next message if not."""
        count, last_ns = self._asked.get(symbol, (0, 0))
        if count and mono_ns - last_ns < min(2**count * _NS, _PAUSE_MAX_NS):
            return False
        self._asked[symbol] = 1 if mono_ns - last_ns > _HEALED_AFTER_NS else count + 1, mono_ns
        return True
