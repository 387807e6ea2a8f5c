"""Ranges of numbers behave as sets do."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from storage.spans import Spans

RANGES = st.lists(st.tuples(st.integers(-20, 40), st.integers(0, 12)).map(lambda r: (r[0], r[0] + r[1])), max_size=12)


def numbers(spans: Spans) -> set[int]:
    return {number for begin, end in spans for number in range(begin, end)}


@given(RANGES)
def test_ranges_hold_what_was_added_and_say_what_came_again(ranges: list[tuple[int, int]]) -> None:
    spans, known = Spans(), set[int]()
    for begin, end in ranges:
        assert spans.add(begin, end) == len(known & set(range(begin, end)))
        known |= set(range(begin, end))
    assert numbers(spans) == known
    assert len(spans) == len(known)
    pairs = list(spans)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(pairs))
    inside = set(range(min(known), max(known))) if known else set()
    assert {n for begin, end in spans.holes() for n in range(begin, end)} == inside - known


@given(RANGES, RANGES)
def test_without_is_the_difference(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    assert numbers(Spans(one).without(Spans(other))) == numbers(Spans(one)) - numbers(Spans(other))


@given(st.lists(st.integers(0, 30), max_size=40), RANGES)
def test_numbers_in_any_order_are_counted_when_they_come_again(found: list[int], ranges: list[tuple[int, int]]) -> None:
    spans = Spans(ranges)
    before = numbers(spans)
    again = spans.add_all(np.array(found, np.int64))
    assert numbers(spans) == before | set(found)
    assert again == len(found) - len(set(found) - before)
