"""A listing is many calls. Whatever is published between any two of them, no reader gets a part in silence.

The readers here stand for those of Polars, DuckDB and pyarrow at their most forgiving: what is gone when they come to
list or to look at it, they pass over without a word. All list everything before they open anything.
"""

import os
import random
from collections.abc import Callable, Generator, Sequence
from itertools import combinations_with_replacement
from pathlib import Path

import polars as pl
import pytest

from etl.core.chains import Chain
from shared.partitioning import Lake
from tests.etl.core.marked_set import marked_chain, mixture, rows_of

Listing = Generator[None, None, list[Path]]  # stops before each call to the system
PART, WHOLE = 100, 336  # rows; WHOLE lie in May, June and July, one file each


def names(folder: Path, *, backwards: bool) -> Listing:
    """What is in a folder; nothing if it is gone, or was removed after it was opened."""
    yield
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return []
    try:
        yield
        with os.scandir(opened) as entries:
            return sorted((folder / entry.name for entry in entries), reverse=backwards)
    finally:
        os.close(opened)


def in_depth(folder: Path, *, backwards: bool) -> Listing:
    """As pyarrow and Polars list: each name is looked at, and what is a folder is listed before the next name."""
    found = []
    for path in (yield from names(folder, backwards=backwards)):
        yield
        if path.is_dir():
            found += yield from in_depth(path, backwards=backwards)
        elif path.exists():
            found.append(path)
    return found


def by_level(folder: Path, *, backwards: bool) -> Listing:
    """As DuckDB lists: all folders, level by level, then each once more for its files."""
    level, folders = [folder], [folder]
    while level:
        below = []
        for each in level:
            for path in (yield from names(each, backwards=backwards)):
                yield
                if path.is_dir():
                    below.append(path)
        folders += below
        level = below
    found = []
    for each in folders:
        for path in (yield from names(each, backwards=backwards)):
            yield
            if path.is_file():
                found.append(path)
    return found


def replace_all(chain: Chain) -> None:
    """Replace every row; the set is short for a moment."""
    chain.go_back(list(chain.earlier(lambda _: True))[-1])
    for rows in (PART, WHOLE - PART):
        append(chain, rows)


def replace_most(chain: Chain) -> None:
    """Replace all but the first rows by as many."""
    had = chain.current.rows_out
    chain.go_back(next(chain.earlier(lambda checkpoint: checkpoint.rows_out == PART)))
    append(chain, had - PART)


def append(chain: Chain, rows: int = 250) -> None:
    """Publish more rows, into a new month."""
    chain.add(rows_of(chain, rows), position={"n": 1})
    chain.commit(b"none")


PUBLICATIONS = (replace_most, append, replace_all)


def read(listing: Listing, published: dict[int, list[Callable[[], None]]]) -> pl.DataFrame | None:
    """What a reader gets before whose n-th call the n-th publications happen; None if it fails, which is loud."""
    paths: list[Path] | None = None
    parts: list[pl.DataFrame] = []
    call = 0
    while paths is None or len(parts) < len(paths):
        try:
            if paths is None:
                next(listing)
        except StopIteration as end:
            paths = end.value
            if not paths:
                return None  # no engine has an answer without one file
        for publish in published.get(call, []):
            publish()
        call += 1
        if paths is not None:
            try:
                parts.append(pl.read_parquet(paths[len(parts)].read_bytes()))
            except FileNotFoundError:
                return None
    return pl.concat(parts)


def plans() -> list[Sequence[int]]:
    """Before which calls something is published: every choice of one, some of two and of three."""
    calls, rng = range(45), random.Random(7)
    several = [plan for most in (2, 3) for plan in rng.sample([*combinations_with_replacement(calls, most)], 150)]
    return [*((call,) for call in calls for _ in PUBLICATIONS), *several]


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("lists", [in_depth, by_level])
def test_whatever_is_published_within_a_listing_a_reader_gets_one_state_or_fails(
    tmp_path: Path, lists: Callable[..., Listing], backwards: bool
) -> None:
    lake = Lake.under(tmp_path)
    chain = marked_chain(lake, file_unit="month")
    replace_all(chain)
    failed = 0
    for turn, plan in enumerate(plans()):
        if chain.current.rows_out > 3 * WHOLE:
            replace_all(chain)
        published: dict[int, list[Callable[[], None]]] = {}
        least = [chain.current.rows_out]

        def publish(change: Callable[[Chain], None], least: list[int] = least) -> None:
            least.append(PART if change is replace_all else chain.current.rows_out)
            change(chain)

        for place, call in enumerate(plan):
            change = PUBLICATIONS[(turn // 3**place) % 3]
            published.setdefault(call, []).append(lambda change=change: publish(change))
        rows = read(lists(lake.bars("marked") / "exchange=e" / "symbol=S", backwards=backwards), published)
        failed += rows is None
        if rows is not None:
            assert mixture(rows) == "", (plan, turn)
            assert rows.height >= min(least), (plan, turn)
    assert 0 < failed < turn
