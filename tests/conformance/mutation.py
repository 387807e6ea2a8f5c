"""Frames gone wrong, by a seeded generator: bytes flipped, values swapped, keys gone, numbers no machine holds."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

ODD_VALUES: tuple[Any, ...] = (
    None, True, False, [], {}, [[]], [{}], "", "x", "0", "-1", 0, -1, 1, 1.5, -0.0, 1e-8, 1e308, 10**20, 2**63,
    -(2**63), 2**64, 10**400, float("inf"), float("nan"), "1e5", "1E-8", "1e400", "-1e400", "NaN", "Infinity", "9" * 20,
    "9" * 400, "0." + "1234567890" * 2, "1_000", " 1", "\u0661", "\ud800", "\0", "..", "A" * 300, "update", "snapshot",
    "buy", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59.999999999-10:00",
    "2026-02-30T00:00:00Z", "2026-08-09T21:05:42", 253402300800000, -62135596800001, "253402300800000", "9" * 17,
)  # fmt: skip
ODD_BYTES = (
    b"\xff",
    b"\x00",
    b"\xed\xa0\x80",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"-",
    b"e999",
    b"0" * 30,
)
ODD_BYTES += (b"null", b"1e308", b"9" * 25, b"\\ud800", b"\\u0000", b"NaN", b"Infinity", b"\n", b"ping", b"pong")


def mutated(frame: bytes, other: bytes, random: Random) -> bytes:
    """One frame made wrong in one to three ways; `other` lends it parts."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        frame = random.choice(_WAYS)(frame, other, random)
    return frame


def _flip(frame: bytes, _: bytes, random: Random) -> bytes:
    changed = bytearray(frame)
    for _ in range(random.randint(1, 4)):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut(frame: bytes, _: bytes, random: Random) -> bytes:
    return frame[: random.randint(0, len(frame))]


def _insert(frame: bytes, _: bytes, random: Random) -> bytes:
    place = random.randint(0, len(frame))
    return frame[:place] + random.choice(ODD_BYTES) + frame[place + random.choice((0, 0, 1, 5)) :]


def _repeat(frame: bytes, _: bytes, random: Random) -> bytes:
    first = random.randint(0, len(frame))
    return frame[:first] + frame[max(0, first - random.randint(1, 40)) :]


def _splice(frame: bytes, other: bytes, random: Random) -> bytes:
    return frame[: random.randint(0, len(frame))] + other[random.randint(0, len(other)) :]


def _digits(frame: bytes, _: bytes, random: Random) -> bytes:
    places = [place for place, byte in enumerate(frame) if 48 <= byte <= 57]
    if not places:
        return frame
    place = random.choice(places)
    return frame[:place] + random.choice((b"0", b"9", b"-1", b"99999999999999999999", b"1e9", b"")) + frame[place + 1 :]


def _value(frame: bytes, other: bytes, random: Random) -> bytes:
    """A change to the document: a value replaced, taken away, doubled, renamed, or lent by another frame."""
    try:
        document, lender = json.loads(frame), json.loads(other)
    except (ValueError, RecursionError):
        return frame
    slots = _slots(document)
    if not slots:
        return frame
    leaves = [(each, place) for each, place in slots if not isinstance(each[place], dict | list)]
    container, key = random.choice(leaves if leaves and random.random() < 0.7 else slots)
    way = random.randrange(6)
    if way <= 1:
        kind = next((kind for kind in (str, int | float) if isinstance(container[key], kind)), object)
        alike = [each for each in ODD_VALUES if isinstance(each, kind)]  # reaches behind the check of types
        container[key] = random.choice(alike if random.random() < 0.8 else ODD_VALUES)
    elif way == 2:
        del container[key]
    elif way == 3 and isinstance(container, list):
        container.insert(0, container[key])
    elif way == 3:
        container[random.choice(("x", "event", "type", "ts", "id"))] = container.pop(key)
    elif way == 4:
        container[key] = str(container[key]) if isinstance(container[key], int | float) else [container[key]]
    else:
        lent = _slots(lender)
        if lent:
            source, place = random.choice(lent)
            container[key] = source[place]
    return json.dumps(document).encode()


def _slots(document: Any) -> list[tuple[Any, Any]]:
    """Every place in a document that holds a value."""
    slots: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting:
        container = waiting.pop()
        if isinstance(container, dict | list):
            keys = list(container) if isinstance(container, dict) else range(len(container))
            slots += [(container, key) for key in keys]
            waiting += [container[key] for key in keys]
    return slots


_WAYS: tuple[Callable[[bytes, bytes, Random], bytes], ...] = (
    _flip, _cut, _insert, _repeat, _splice, _digits, *[_value] * 14,
)  # fmt: skip
