"""How often one symbol's book is asked for anew: at once, but a book that fails again and again waits ever longer."""

_NS = 1_000_000_000
_HEALED_AFTER_NS = 120 * _NS  # a failure this long after the last one is the first again
_PAUSE_MAX_NS = 64 * _NS


class ResyncPace:
    """The pace of each symbol of a connection. Times are monotonic.

    >>> pace = ResyncPace()
    >>> pace.may_ask("BTC-USD", 0), pace.may_ask("BTC-USD", 10), pace.is_due("BTC-USD", 20)
    (True, False, False)
    >>> pace.is_due("BTC-USD", 3_000_000_000), pace.is_due("BTC-USD", 3_000_000_001)
    (True, False)
    """

    def __init__(self) -> None:
        self._failed: dict[str, tuple[int, int]] = {}  # how often in a row, and when last
        self._due_ns: dict[str, int] = {}

    def may_ask(self, symbol: str, mono_ns: int) -> bool:
        """Whether a book that has just failed is asked for now; if not, `is_due` says when."""
        count, last_ns = self._failed.get(symbol, (0, mono_ns))
        count = 1 if mono_ns - last_ns > _HEALED_AFTER_NS else count + 1
        self._failed[symbol] = count, mono_ns
        if count == 1:
            self._due_ns.pop(symbol, None)
            return True
        self._due_ns[symbol] = mono_ns + min(2 ** (count - 1) * _NS, _PAUSE_MAX_NS)
        return False

    def is_due(self, symbol: str, mono_ns: int) -> bool:
        """Whether the time has come to ask for a book that was put off; True once."""
        if not self._due_ns or mono_ns < self._due_ns.get(symbol, mono_ns + 1):
            return False
        del self._due_ns[symbol]
        return True
