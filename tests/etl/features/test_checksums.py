"""A book rebuilt from l2 is compared with the exchange's checksum wherever that can be told."""

from zlib import crc32

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from etl.features.book_levels import levels_of
from etl.features.checksums import UNKNOWN, checksum_of, decimals_that_fit
from shared.rows import L2Message
from tests.etl.features.event_frames import rows_of
from tests.etl.features.test_messages import frame_of
from tests.levels import by_level

S = 10**9
UNITS = st.tuples(st.integers(1, 10**9), st.integers(1, 10**9))


def kraken(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> int:
    """As its guide says: texts, best first, ten levels, asks before bids."""
    levels = [*asks[:10], *bids[:10]]
    return crc32("".join(text.replace(".", "").lstrip("0") for level in levels for text in level).encode())


def text(units: int, decimals: int) -> str:
    return f"{units // 10**decimals}.{units % 10**decimals:0{decimals}d}" if decimals else str(units)


@given(
    bids=st.lists(UNITS, max_size=12, unique_by=lambda level: level[0]),
    asks=st.lists(UNITS, max_size=12, unique_by=lambda level: level[0]),
    decimals=st.tuples(st.integers(0, 8), st.integers(0, 8)),
)
def test_digits_are_hashed_as_the_guide_says(
    bids: list[tuple[int, int]], asks: list[tuple[int, int]], decimals: tuple[int, int]
) -> None:
    sides = [sorted(bids, reverse=True), sorted(asks)]
    texts = [[(text(p, decimals[0]), text(q, decimals[1])) for p, q in side] for side in sides]
    keys = [
        np.array([(sign * float(p), float(q)) for p, q in side][::-1]).reshape(-1, 2).T
        for sign, side in zip((1, -1), texts, strict=True)
    ]
    levels = levels_of(*keys, room=0)
    assert checksum_of(levels, *decimals) == kraken(*texts)
    price, size = decimals_that_fit(levels, kraken(*texts))
    assert checksum_of(levels, price, size) == kraken(*texts)
    assert decimals_that_fit(levels, 0 if kraken(*texts) else 1) == (UNKNOWN, UNKNOWN)


def kraken_messages() -> list[L2Message]:
    """A book of one level a side with a change a second, each with its checksum: 2 decimals of price, 3 of size."""
    bids, asks = [("100.10", "1.500")], [("100.20", "2.000")]
    made = [L2Message("X", S, 0, True, ["bid", "ask"], [100.1, 100.2], [1.5, 2.0], checksum=kraken(bids, asks))]
    for k in range(2, 6):
        bids = [("100.10", f"{k}.000")]
        made.append(L2Message("X", k * S, k, False, ["bid"], [100.1], [float(k)], checksum=kraken(bids, asks)))
    return made


def frame(messages: list[L2Message]) -> pl.DataFrame:
    return frame_of([row for message in messages for row in by_level(message)])


def test_books_that_fit_are_counted_and_used() -> None:
    rows, counts = rows_of(frame(kraken_messages()))
    assert rows.bid_size[:, 0].tolist() == [1.5, 2, 3, 4, 5]
    assert (counts["checked_messages"], counts["checksum_breaks"]) == (4, 0)


def test_a_book_that_does_not_fit_is_not_used_until_the_next_snapshot() -> None:
    messages = kraken_messages()
    messages[2] = replace(messages[2], size=[3.25])
    again = replace(messages[0], timestamp=9 * S)
    rows, counts = rows_of(frame([*messages, again]))
    assert rows.t_ns.tolist() == [S, 2 * S, 9 * S]
    assert (rows.is_reset.tolist(), rows.has_gap.tolist()) == ([True, False, True], [False, False, True])
    assert (counts["checked_messages"], counts["checksum_breaks"], counts["untrusted_messages"]) == (2, 1, 2)


@pytest.mark.parametrize("checksum", [None, 1])
def test_a_checksum_that_cannot_be_told_says_nothing(checksum: int | None) -> None:
    messages = [replace(message, checksum=checksum) for message in kraken_messages()]
    rows, counts = rows_of(frame(messages))
    assert len(rows) == 5
    assert (counts["checked_messages"], counts["checksum_breaks"]) == (0, 0)
