"""Arrays that grow at the end and go at the start: what plain copying gives, without copying."""

import random

import numpy as np
import pytest

from etl.features.saved import Arrays, restored, saved
from etl.features.tails import Tail


@pytest.mark.parametrize("seed", range(5))
def test_the_rows_are_those_that_copying_keeps(seed: int) -> None:
    rng = random.Random(seed)
    state: Arrays = {}
    tail, kept = Tail(state, "x", np.empty((0, 2))), np.empty((0, 2))
    for step in range(300):
        new = np.full((rng.choice((0, 1, 1, 1, 7, 400)), 2), float(step))
        kept = np.concatenate([kept, new])
        assert np.array_equal(tail.with_rows(new), kept)
        gone = rng.choice((0, rng.randint(0, len(kept)), max(0, len(kept) - 20)))
        kept = kept[gone:]
        tail.drop(gone)
        assert np.array_equal(state["x"], kept)
        if rng.random() < 0.1:
            state.update(restored(saved(state)))


def test_one_row_does_not_move_all_others() -> None:
    state: Arrays = {}
    tail = Tail(state, "x", np.empty(0))
    tail.with_rows(np.zeros(10_000))
    tail.drop(0)
    rooms = set()
    for _ in range(9_000):
        rooms.add(id(tail.with_rows(np.ones(1)).base))
        tail.drop(1)
    assert len(rooms) <= 2
    assert len(state["x"]) == 10_000


def test_the_room_of_what_is_gone_is_let_go() -> None:
    state: Arrays = {}
    tail = Tail(state, "x", np.empty(0))
    tail.with_rows(np.zeros(1_000_000))
    tail.drop(999_990)
    assert state["x"].base is None
    assert np.array_equal(tail.with_rows(np.ones(1)), [0.0] * 10 + [1.0])
