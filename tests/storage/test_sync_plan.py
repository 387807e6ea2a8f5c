"""The plans of a synchronisation, as properties of any lake and any archive."""

import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from storage.sync.ledger import Ledger
from storage.sync.names import Stage, checkpoint_number, home_of, named
from storage.sync.plan import Local, Remote, planned
from storage.sync.plan_down import Found, Here, newest_checkpoints, planned_down
from storage.sync.turns import in_turns

PART = "exchange=kraken/symbol=A-B"
BRONZE = [
    f"raw/ready/native/{table}/{PART}/year=2026/month=6/day={day}/hour=4/segment_202606{day:02}T04_00000{n}_x.parquet"
    for table in ("trades", "gaps")
    for day in (8, 9)
    for n in (1, 2)
]
MADE = [
    f"raw/daily/native/trades/{PART}/year=2026/month=6/day={day}/daily_2026060{day}_000_ab.parquet" for day in (8, 9)
]
LOGS = ["raw/published/20260608T035959Z-1a2b.log", "raw/published/compacted.jsonl", "raw/quarantine/a.journal"]
TREES = [
    f"processed/{table}/{PART}/{home}year=2026/month=6/{name}"
    for table, name in (
        ("silver/trades", "day=8/trades_20260608T04.parquet"),
        ("gold/bars/bar_set=tick-5", "bars_20260608.parquet"),
    )
    for home in ("", "r3/", "r7/")
]
STATE = [
    f"state/etl/{chain}/kraken/A-B/{n:012d}-20260608.checkpoint"
    for chain in ("trades", "bars-tick-5")
    for n in (2, 3, 7)
]
POSITIONS = "state/etl/positions.json"
KEYS = [*BRONZE, *MADE, *LOGS, *TREES, *STATE, POSITIONS]
keys = st.sampled_from(KEYS)
versions = st.integers(1, 2)


@st.composite
def states(draw, old=(*BRONZE, *TREES), new=(*MADE, *STATE), keys=keys):
    """What is here, what is there, and what is superseded: always by another key."""
    local = draw(st.dictionaries(keys, versions))
    remote = draw(st.dictionaries(keys, versions))
    superseded = draw(st.dictionaries(st.sampled_from(old), st.sampled_from(new)))
    files = [Local(key=key, size_bytes=5, version=version) for key, version in local.items()]
    there = {key: Remote(key=key, size_bytes=5, version=version, etag="e") for key, version in remote.items()}
    return files, there, superseded


@given(states())
def test_everything_that_differs_is_sent_once_unless_another_holds_it(state):
    files, there, superseded = state
    sent = [upload.file.key for upload in planned(files, there, superseded)]
    arriving = {*there, *(file.key for file in files)}
    differing = {file.key for file in files if file.key not in there or there[file.key].version != file.version}
    assert sorted(sent) == sorted(key for key in differing if superseded.get(key) not in arriving)


@given(states())
def test_nothing_goes_before_what_it_speaks_of(state):
    stages = [named(upload.file.key).stage for upload in planned(*state)]
    assert stages == sorted(stages)


@given(states())
def test_what_was_done_need_not_be_done_again(state):
    files, there, superseded = state
    sent = [upload.file for upload in planned(files, there, superseded)]
    arrived = {file.key: Remote(key=file.key, size_bytes=5, version=file.version, etag="e") for file in sent}
    assert planned(files, {**there, **arrived}, superseded) == []


@given(states())
def test_final_names_are_sent_as_final(state):
    for upload in planned(*state):
        assert upload.is_final == upload.file.key.startswith(("raw/ready/", "raw/daily/", "raw/quarantine/"))


FEW = (*BRONZE[:2], *MADE[:2])


@given(states(FEW[:2], FEW[2:], st.sampled_from(FEW)), st.sets(st.sampled_from(FEW)))
def test_only_what_may_be_there_is_removed_and_only_for_another_that_is_there_as_it_is_here(state, begun):
    files, there, superseded = state
    with closing(Ledger(sqlite3.connect(":memory:", isolation_level=None))) as ledger:
        ledger.record(there.values())
        ledger.wait(files)
        ledger.begin(begun)
        ledger.supersede(superseded)
        removable = ledger.removable(count=len(superseded))
        waiting = {key for key in KEYS if ledger.waiting_of([key])}
        for key, by in removable.items():
            assert superseded[key] == by
            assert by in there
            assert by not in waiting
            assert key in there or key in begun
        ledger.settle_absent()
        for key, by in superseded.items():  # what may come, or go, later is not forgotten
            if by not in there or key in there or key in begun or key in waiting:
                assert ledger.superseded([key]) == {key: by}


@st.composite
def archives(draw):
    """What an archive lists, and what a lake has beside it."""
    there = [
        Found(key=key, size_bytes=5, etag="new") for key in draw(st.sets(keys)) if named(key).stage is not Stage.LOGS
    ]
    files = {key: (5, version) for key, version in draw(st.dictionaries(keys, versions)).items()}
    known = {
        key: Remote(key=key, size_bytes=5, version=1, etag=etag)
        for key, etag in draw(
            st.dictionaries(st.sampled_from(sorted(files) or KEYS), st.sampled_from(["old", "new"]))
        ).items()
    }
    homes = {named(key).group: home_of(key) for key in sorted(files) if named(key).stage is Stage.PROCESSED}
    return there, Here(files=files, known=known, checkpoints=newest_checkpoints(files), homes=homes)


@given(archives())
def test_nothing_that_is_only_here_is_replaced(archive):
    there, here = archive
    plan = planned_down(there, here)
    for found in plan.downloads:
        if found.key in here.files:
            known = here.known[found.key]
            assert (known.size_bytes, known.version) == here.files[found.key]
            assert not named(found.key).is_final


def chains(found):
    """Keys of processed files and checkpoints by chain."""
    out = {}
    for key in found:
        if named(key).stage in {Stage.PROCESSED, Stage.CHECKPOINTS}:
            out.setdefault(named(key).group, set()).add(key)
    return out


@given(archives())
def test_no_checkpoint_comes_without_the_files_that_it_counts(archive):
    there, here = archive
    plan = planned_down(there, here)
    coming, changed = chains(found.key for found in plan.downloads), chains(plan.changed_here)
    for group, keys in coming.items():
        numbers = [checkpoint_number(key) for key in keys if named(key).stage is Stage.CHECKPOINTS]
        trees = {home_of(key) for key in keys if named(key).stage is Stage.PROCESSED}
        assert len(trees) <= 1
        if numbers:
            assert group not in changed
            assert max(numbers) > here.checkpoints.get(group, 0)
        for tree in trees & {f"{home_of(TREES[1])}", f"{home_of(TREES[4])}"}:
            assert int(tree.rpartition("/r")[2]) <= max([*numbers, here.checkpoints.get(group, 0)])


@given(archives())
def test_an_empty_lake_gets_one_whole_tree_of_each_chain_or_makes_it_again(archive):
    there, _ = archive
    plan = planned_down(there, Here(files={}, known={}, checkpoints={}, homes={}))
    assert not plan.changed_here
    coming = {found.key for found in plan.downloads}
    listed = {found.key for found in there}
    assert {key for key in listed if named(key).stage is Stage.BRONZE} <= coming
    of_chains = chains(listed)
    for group, keys in of_chains.items():
        numbers = [checkpoint_number(key) for key in keys if named(key).stage is Stage.CHECKPOINTS]
        trees = {home_of(key) for key in keys if named(key).stage is Stage.PROCESSED}
        made = {tree: int(tree.rpartition("/r")[2]) if "/r" in tree[-4:] else 0 for tree in trees}
        usable = [tree for tree in trees if made[tree] <= max(numbers, default=-1)]
        if group.startswith("trades/"):
            assert bool(keys & coming) == bool(usable or (numbers and not trees))
        for tree in {home_of(key) for key in keys & coming if named(key).stage is Stage.PROCESSED}:
            assert tree == max(usable, key=made.__getitem__)  # the newest
            assert {key for key in keys if home_of(key) == tree and named(key).stage is Stage.PROCESSED} <= coming


@given(
    st.sets(
        st.sampled_from(
            [
                f"state/etl/{chain}/kraken/{symbol}/{n:012d}-20260608.checkpoint"
                for chain in ("trades", "bars-tick-5", "candles-5s", "candles-1m", "orderbook", "book-bars-60")
                for symbol in ("A-B", "C-D")
                for n in (1, 2, 3)
            ]
        )
    )
)
def test_checkpoints_go_newest_first_and_after_those_they_follow(found):
    turns = in_turns(found)
    assert sorted(key for turn in turns for key in turn) == sorted(found)
    turn_of = {key: number for number, turn in enumerate(turns) for key in turn}
    for key in found:
        folder = key.rpartition("/")[0]
        newer = [each for each in found if each.startswith(folder + "/") and each > key]
        assert all(turn_of[each] < turn_of[key] for each in newer)
    newest = {max(each for each in found if each.startswith(key.rpartition("/")[0] + "/")) for key in found}
    for first, then in (("trades", "bars-tick-5"), ("candles-5s", "candles-1m"), ("orderbook", "book-bars-60")):
        for symbol in ("A-B", "C-D"):
            pair = [key for name in (first, then) for key in newest if f"/{name}/kraken/{symbol}/" in key]
            if len(pair) == 2:
                assert turn_of[pair[0]] < turn_of[pair[1]]
