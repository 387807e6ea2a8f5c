"""The rule of what may go, over any lake: ages in whole days, the cap, and everything that is never let go."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from storage.retention import NEVER, Held, Rules, Stays, day_of, removable

NOW = datetime(2026, 6, 20, 13, 37, tzinfo=UTC)
MIDNIGHT = NOW.replace(hour=0, minute=0)


def held(
    days_ago: int, *, channel: str = "trades", tier: str = "bronze", size_bytes: int = 10, name: int = 0, **more: bool
) -> Held:
    """A file of the day so many days before today."""
    end = MIDNIGHT - timedelta(days=days_ago - 1)
    key = f"{tier}/{channel}/{end:%Y%m%d}/{name}"
    return Held(path=Path(key), key=key, tier=tier, channel=channel, end=end, size_bytes=size_bytes, **more)


FILES = st.lists(
    st.builds(
        held,
        st.integers(0, 12),
        channel=st.sampled_from(["trades", "l2", "frames", *sorted(NEVER)]),
        tier=st.sampled_from(["bronze", "bronze", "silver", "gold"]),
        size_bytes=st.integers(0, 50),
        name=st.integers(0, 10**9),
        is_newest=st.booleans(),
    ),
    unique_by=lambda file: file.key,
    max_size=40,
)
AGES = st.none() | st.integers(1, 10)
RULES = st.builds(
    Rules,
    days=st.fixed_dictionaries({"bronze": AGES, "silver": AGES, "gold": AGES}),
    bronze_days=st.dictionaries(st.sampled_from(["l2", "trades"]), st.integers(1, 10)),
    max_bytes=st.none() | st.integers(0, 600),
)


@given(FILES, RULES, st.sets(st.integers(0, 40)))
def test_nothing_goes_that_is_young_unused_or_a_proof(files: list[Held], rules: Rules, unused: set[int]) -> None:
    needed = {file.key for at, file in enumerate(files) if at in unused}
    plan = removable(files, rules, now=NOW, is_used=lambda file: file.key not in needed)
    aged = [file for group in plan.aged for file in group]
    by_size = [file for group in plan.by_size for file in group]
    for file in (*aged, *by_size):
        assert file.key not in needed
        assert not file.is_newest
        assert file.end <= MIDNIGHT - timedelta(days=1)  # neither today nor yesterday
        assert file.tier != "bronze" or file.channel not in NEVER
    for file in aged:
        own = rules.bronze_days.get(file.channel) if file.tier == "bronze" else None
        days = own or rules.days[file.tier]
        assert days is not None
        assert (MIDNIGHT - file.end) >= timedelta(days=days)
    assert all(file.tier == "bronze" for file in by_size)
    assert rules.max_bytes is not None or (not by_size and plan.excess_bytes is None)
    every = sorted([*aged, *by_size, *(file for file, _ in plan.stays)], key=lambda file: file.key)
    assert every == sorted(files, key=lambda file: file.key)  # each once


@given(FILES, st.integers(0, 600))
def test_by_size_the_oldest_day_goes_first_and_of_it_the_largest_channel(files: list[Held], max_bytes: int) -> None:
    plan = removable(files, Rules(max_bytes=max_bytes), now=NOW, is_used=lambda _: True)
    assert plan.excess_bytes == sum(file.size_bytes for file in files) - max_bytes
    days = [{day_of(file) for file in group} for group in plan.by_size]
    assert all(len(found) == 1 for found in days)
    assert days == sorted(days, key=min)
    for one, other in zip(plan.by_size, plan.by_size[1:], strict=False):
        sizes = [sum(file.size_bytes for file in group) for group in (one, other)]
        assert day_of(one[0]) < day_of(other[0]) or sizes[0] >= sizes[1]
        assert {file.channel for file in one} != {file.channel for file in other} or day_of(one[0]) != day_of(other[0])


def test_an_age_counts_from_the_end_of_the_day() -> None:
    files = [held(days_ago) for days_ago in range(6)]
    plan = removable(files, Rules(days={"bronze": 2}), now=NOW, is_used=lambda _: True)
    assert [file for group in plan.aged for file in group] == [files[5], files[4], files[3]]
    assert {reason for _, reason in plan.stays} == {Stays.YOUNG}


def test_a_table_may_have_an_age_of_its_own_shorter_or_longer() -> None:
    files = [held(9, channel=channel) for channel in ("l2", "trades", "frames")]
    rules = Rules(days={"bronze": 5}, bronze_days={"l2": 3, "trades": 90})
    plan = removable(files, rules, now=NOW, is_used=lambda _: True)
    assert [group[0].channel for group in plan.aged] == ["frames", "l2"]
