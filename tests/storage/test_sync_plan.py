"""The plans of a synchronisation, as properties of any lake and any archive."""

from hypothesis import given
from hypothesis import strategies as st

from storage.sync_names import Stage, checkpoint_number, home_of, named
from storage.sync_plan import Local, Remote, Remove, Upload, planned
from storage.sync_plan_down import Found, Here, newest_checkpoints, planned_down

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
def states(draw):
    """What is here, what is there, and what is superseded: always by another key."""
    local = draw(st.dictionaries(keys, versions))
    remote = draw(st.dictionaries(keys, versions))
    superseded = draw(st.dictionaries(st.sampled_from([*BRONZE, *TREES]), st.sampled_from([*MADE, *STATE])))
    files = [Local(key=key, size_bytes=5, version=version) for key, version in local.items()]
    there = {key: Remote(key=key, size_bytes=5, version=version, etag="e") for key, version in remote.items()}
    return files, there, superseded


@given(states())
def test_nothing_is_removed_that_another_object_does_not_hold(state):
    files, there, superseded = state
    actions = planned(files, there, superseded)
    after = {*there, *(action.file.key for action in actions if isinstance(action, Upload))}
    for action in actions:
        if isinstance(action, Remove):
            assert superseded[action.key] == action.by
            assert action.by in after
            assert action.key in there


@given(states())
def test_everything_that_differs_is_sent_once_unless_another_holds_it(state):
    files, there, superseded = state
    actions = planned(files, there, superseded)
    sent = [action.file.key for action in actions if isinstance(action, Upload)]
    arriving = {*there, *(file.key for file in files)}
    differing = {file.key for file in files if file.key not in there or there[file.key].version != file.version}
    assert sorted(sent) == sorted(key for key in differing if superseded.get(key) not in arriving)


@given(states())
def test_nothing_goes_before_what_it_speaks_of_and_removals_come_last(state):
    actions = planned(*state)
    kinds = [isinstance(action, Remove) for action in actions]
    assert kinds == sorted(kinds)
    stages = [named(action.file.key).stage for action in actions if isinstance(action, Upload)]
    assert stages == sorted(stages)


@given(states())
def test_what_was_done_need_not_be_done_again(state):
    files, there, superseded = state
    after = dict(there)
    for action in planned(files, there, superseded):
        if isinstance(action, Upload):
            file = action.file
            after[file.key] = Remote(key=file.key, size_bytes=file.size_bytes, version=file.version, etag="e")
        else:
            del after[action.key]
    assert planned(files, after, superseded) == []


@given(states())
def test_final_names_are_sent_as_final(state):
    for action in planned(*state):
        if isinstance(action, Upload):
            assert action.is_final == action.file.key.startswith(("raw/ready/", "raw/daily/", "raw/quarantine/"))


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


@given(archives())
def test_no_checkpoint_comes_without_all_files_of_its_chain(archive):
    there, here = archive
    plan = planned_down(there, here)
    coming = {found.key for found in plan.downloads}
    for key in coming:
        what = named(key)
        if what.stage is not Stage.CHECKPOINTS:
            continue
        trees = {
            each.key
            for each in there
            if named(each.key).stage is Stage.PROCESSED and named(each.key).group == what.group
        }
        homes = {home_of(each) for each in trees if each in coming or each in here.files}
        assert not homes & {home_of(each) for each in plan.changed_here if named(each).group == what.group}
        newest = newest_checkpoints(each.key for each in there)[what.group]
        brought = {home_of(each) for each in coming & trees}
        assert len(brought) <= 1
        for home in brought:
            number = int(home.rpartition("/r")[2]) if "/r" in home.rpartition("symbol=")[2] else 0
            made = [
                int(each.rpartition("/r")[2].partition("/")[0])
                for each in trees
                if "/r" in each.rpartition("symbol=")[2]
            ]
            assert number <= newest or (
                not [each for each in made if each <= newest]
                and all("/r" in each.rpartition("symbol=")[2] for each in trees)
            )
        assert checkpoint_number(key) > here.checkpoints.get(what.group, 0) or newest > here.checkpoints.get(
            what.group, 0
        )


@given(archives())
def test_an_empty_lake_gets_one_whole_tree_of_each_chain(archive):
    there, _ = archive
    plan = planned_down(there, Here(files={}, known={}, checkpoints={}, homes={}))
    assert not plan.changed_here
    coming = {found.key for found in plan.downloads}
    final = {found.key for found in there if named(found.key).stage is not Stage.PROCESSED}
    assert final <= coming
    for group in {named(found.key).group for found in there if named(found.key).stage is Stage.PROCESSED}:
        of_group = {f.key for f in there if named(f.key).group == group and named(f.key).stage is Stage.PROCESSED}
        (home,) = {home_of(key) for key in of_group & coming}
        assert {key for key in of_group if home_of(key) == home} <= coming
