"""What compaction holds at once does not grow with the rows of a day, nor with those of one file, in order or not."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa
import pytest

from shared.partitioning import Lake
from storage import compaction, merging, segments
from tests.benchmarks.l2_day import Shape, messages, store_day
from tests.storage.many_files import compacted

GROUP_ROWS = 4096
FEW, MANY = 15 * GROUP_ROWS, 120 * GROUP_ROWS
KEPT: list[pa.MemoryPool] = []  # what was allocated from one may outlive the test


@contextmanager
def counting() -> Iterator[pa.MemoryPool]:
    """A pool that all of Arrow's memory comes from."""
    before, pool = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    KEPT.append(pool)
    pa.set_memory_pool(pool)
    try:
        yield pool
    finally:
        pa.set_memory_pool(before)


@pytest.mark.parametrize(
    "shape",
    [
        Shape(0, files=24, group_rows=GROUP_ROWS),
        Shape(0, files=2, hours=1, group_rows=GROUP_ROWS),
        Shape(0, files=4, sets_clock_back=True, group_rows=GROUP_ROWS),
        Shape(0, files=1, hours=1, group_rows=GROUP_ROWS),
    ],
)
def test_what_is_held_at_once_does_not_grow_with_the_rows(tmp_path, monkeypatch, shape):
    monkeypatch.setattr(compaction, "_GROUP_ROWS", GROUP_ROWS)
    monkeypatch.setattr(merging, "_ROWS_MAX", GROUP_ROWS // 4)
    monkeypatch.setattr(segments, "_ROWS_AT_ONCE", GROUP_ROWS // 4)
    most = {}
    for rows in (FEW, MANY):
        lake = Lake.under(tmp_path / str(rows))
        store_day(lake, messages(50_000), replace(shape, rows=rows))
        with counting() as pool:
            assert compacted(lake) == 1
        most[rows] = pool.max_memory()
    assert most[MANY] < 1.2 * most[FEW]
