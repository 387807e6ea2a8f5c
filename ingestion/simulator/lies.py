"""What a lying exchange makes of a sound frame: pure, bytes to bytes, every kind by its fault's name."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

HUGE_BYTES = 20 << 20
_DIGITS = 20
_NUMBER = re.compile(
    rb'"(price|size|qty|price_level|new_quantity|best_bid|best_ask|bid|ask|last)":("?)(\d+(?:\.\d+)?)("?)'
)
_PRICE = re.compile(rb'("price(?:_level)?":"?)(\d+(?:\.\d+)?)')
_CHECKSUM = re.compile(rb'"checksum":(\d+)')


def floats(frame: bytes) -> bytes:
    """Numbers that were texts as JSON numbers.

    >>> floats(b'{"price":"65000.5","size":"1"}')
    b'{"price":65000.5,"size":1}'
    """
    return _NUMBER.sub(rb'"\1":\3', frame)


def strings(frame: bytes) -> bytes:
    """Numbers that were JSON numbers as texts.

    >>> strings(b'{"price":65000.5,"qty":1}')
    b'{"price":"65000.5","qty":"1"}'
    """
    return _NUMBER.sub(rb'"\1":"\3"', frame)


def exponents(frame: bytes) -> bytes:
    """The same numbers with an exponent, as texts or JSON numbers as before.

    >>> exponents(b'{"price":"65000.50","qty":0.00003844}')
    b'{"price":"6.500050E+4","qty":3.844E-5}'
    """
    return _NUMBER.sub(lambda m: _rewritten(m, f"{Decimal(m[3].decode()):E}"), frame)


def digits(frame: bytes) -> bytes:
    """Numbers with 20 significant digits, of which the last are invented.

    >>> digits(b'{"price":"65000.5","qty":0.00003844}')
    b'{"price":"65000.512345678901234","qty":0.000038441234567890123456}'
    """
    return _NUMBER.sub(lambda m: _rewritten(m, _lengthened(m[3].decode())), frame)


def half_utf8(frame: bytes) -> bytes:
    r"""The frame up to its middle, where a character of three bytes begins and does not end.

    >>> half_utf8(b"abcdef")
    b'abc\xe2\x82'
    """
    return frame[: len(frame) // 2] + "€".encode()[:2]


def huge(frame: bytes) -> bytes:
    """The same JSON with a field of 20 MiB that nobody knows.

    >>> len(huge(b'{"a":1}')) - HUGE_BYTES
    0
    """
    head, tail = b'{"padding":"', b'",' + frame[1:]
    return head + b"x" * (HUGE_BYTES - len(head) - len(tail)) + tail


def bad_checksum(frame: bytes) -> bytes:
    """A checksum that is wrong by one.

    >>> bad_checksum(b'{"checksum":4294967295}')
    b'{"checksum":4294967294}'
    """
    return _CHECKSUM.sub(lambda m: b'"checksum":%d' % (int(m[1]) ^ 1), frame)


def crossed(frame: bytes) -> bytes:
    """The first level as a bid at twice its price, which is above every ask.

    >>> crossed(b'{"updates":[{"side":"offer","price_level":"10.5","new_quantity":"1"}]}')
    b'{"updates":[{"side":"bid","price_level":"21.0","new_quantity":"1"}]}'
    """
    doubled = _PRICE.sub(lambda m: m[1] + str(Decimal(m[2].decode()) * 2).encode(), frame, count=1)
    return re.sub(rb'"side":"\w+"', b'"side":"bid"', doubled, count=1)


class Mute:
    """Whose moments a connection does not speak of, and for how many more."""

    def __init__(self) -> None:
        self._left: dict[str, int] = {}

    def begin(self, symbol: str, moments: int) -> None:
        """Fall silent about `symbol`, or about everything where it is empty."""
        self._left[symbol] = moments

    def covers(self, symbol: str) -> bool:
        """Whether nothing may be said of `symbol` now."""
        return symbol in self._left or "" in self._left

    @property
    def covers_all(self) -> bool:
        """Whether not even a heartbeat may be sent."""
        return "" in self._left

    def swallows(self, symbol: str) -> bool:
        """Whether a moment of `symbol` goes untold; it is counted."""
        key = symbol if symbol in self._left else ""
        if key not in self._left:
            return False
        self._left[key] -= 1
        if not self._left[key]:
            del self._left[key]
        return True


def _rewritten(match: "re.Match[bytes]", text: str) -> bytes:
    return b'"%b":%b%b%b' % (match[1], match[2], text.encode(), match[4])


def _lengthened(text: str) -> str:
    significant = len(text.replace(".", "").lstrip("0"))
    point = "" if "." in text else "."
    return text + point + ("1234567890" * 3)[: max(0, _DIGITS - significant)]


LIES: Mapping[str, Callable[[bytes], bytes]] = {
    each.__name__: each for each in (floats, strings, exponents, digits, half_utf8, huge, bad_checksum, crossed)
}
