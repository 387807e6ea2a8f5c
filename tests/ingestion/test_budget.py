"""The allowance against a plain simulation of it: never more than it permits, and never a needless wait."""

from hypothesis import given
from hypothesis import strategies as st

from ingestion.budget import Bucket

ASKS = st.lists(st.tuples(st.floats(0, 20), st.floats(0.1, 5)), min_size=1, max_size=40)


@given(asks=ASKS, per_minute=st.floats(6, 600), burst=st.floats(1, 20))
def test_no_span_of_time_gets_more_than_it_may(
    asks: list[tuple[float, float]], per_minute: float, burst: float
) -> None:
    bucket, now_s = Bucket(per_minute, burst=burst), 0.0
    used: list[tuple[float, float]] = []
    for after_s, weight in asks:
        now_s += after_s
        used.append((now_s + bucket.reserve(weight, now_s=now_s), weight))
    for begin in range(len(used)):
        for end in range(begin, len(used)):
            span_s = used[end][0] - used[begin][0]
            spent = sum(weight for _, weight in used[begin : end + 1])
            assert spent <= span_s * per_minute / 60 + max(burst, used[begin][1]) + used[begin][1] + 1e-6


@given(asks=ASKS, pause_s=st.floats(1, 600))
def test_nothing_goes_while_it_is_paused(asks: list[tuple[float, float]], pause_s: float) -> None:
    bucket, now_s = Bucket(60, burst=5), 0.0
    for after_s, weight in asks:
        now_s += after_s
        bucket.reserve(weight, now_s=now_s)
    bucket.pause(pause_s, now_s=now_s)
    assert bucket.paused_s(now_s=now_s) >= pause_s - 1e-6
    assert bucket.reserve(1, now_s=now_s + pause_s / 2) >= pause_s / 2


def test_what_was_not_used_is_there_at_once() -> None:
    bucket = Bucket(60, burst=10)
    assert [bucket.reserve(1, now_s=0) for _ in range(10)] == [0.0] * 10
    assert bucket.reserve(1, now_s=0) == 1.0
    assert bucket.reserve(10, now_s=1000) == 0.0
