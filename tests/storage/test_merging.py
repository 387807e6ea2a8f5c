"""The merge of any files gives all their rows once, in order, with the hash of the sum, a few rows at a time."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.content_hash import content_hash
from shared.errors import InputUnreadable
from shared.tables import table
from storage import merging, segments
from storage.merging import Source, merged

KIND = table("ticker")
ROWS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["a", "b", "c"]), st.integers(0, 99)), min_size=1, max_size=40
)


def segment(path: Path, keys: list[tuple[int, str, int]], *, group_rows: int = 7) -> Path:
    """A file of tickers with these capture times, epochs and numbers, in this order."""
    size = len(keys)
    values = {
        "capture_ts": [us for us, _, _ in keys],
        "epoch": [epoch for _, epoch, _ in keys],
        "seq": [seq for _, _, seq in keys],
        "symbol": ["BTC-USD"] * size,
        "bid": [float(seq) for _, _, seq in keys],
    }
    columns = []
    for field in KIND.ready_schema:
        if field.name in values:
            array = pa.array(values[field.name])
        elif field.nullable:
            array = pa.nulls(size, field.type)
        else:
            array = pa.array(["x"] * size if pa.types.is_string(field.type) else np.zeros(size, np.int64))
        columns.append(array.cast(field.type))
    rows = pa.Table.from_arrays(columns, schema=KIND.ready_schema)
    with pq.ParquetWriter(path, rows.schema) as writer:
        writer.write_table(rows, row_group_size=group_rows)
        facts = {"daedalus.table": "ticker", "daedalus.rows": str(size), "daedalus.boot_id": "b"}
        writer.add_key_value_metadata(facts | {"daedalus.content_hash": f"{content_hash(rows):016x}"})
    return path


@settings(deadline=None, max_examples=60)
@given(files=st.lists(ROWS, min_size=1, max_size=6), are_sorted=st.lists(st.booleans(), min_size=6, max_size=6))
def test_any_files_become_one_in_order(files, are_sorted):
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "_ROWS_MAX", 5)
        keys = [sorted(keys) if is_sorted else keys for keys, is_sorted in zip(files, are_sorted, strict=False)]
        paths = [segment(Path(folder) / f"{at}.parquet", part) for at, part in enumerate(keys)]
        sources = [Source(path, KIND) for path in paths]
        parts = list(merged(sources))
    rows = pa.concat_tables(parts)
    found = list(zip(*(pl.DataFrame(rows)[name].to_list() for name in ("epoch", "seq")), strict=True))
    moments = rows.column("capture_ts").cast(pa.int64()).to_pylist()
    together = [(us, *rest) for us, rest in zip(moments, found, strict=True)]
    assert together == sorted(key for part in keys for key in part)
    assert sum(each.hash for each in sources) % 2**64 == content_hash(rows)
    assert [each.rows for each in sources] == [len(part) for part in keys]


def test_files_that_follow_each_other_are_opened_one_after_the_other(tmp_path):
    paths = [segment(tmp_path / f"{at}.parquet", [(100 * at + row, "a", row) for row in range(20)]) for at in range(9)]
    sources = [Source(path, KIND) for path in reversed(paths)]
    most = 0
    for _ in merged(sources):
        most = max(most, sum(run.head.count > 0 for each in sources for run in each.runs))
    assert most <= 1


def test_memory_does_not_grow_with_the_files(tmp_path):
    keys = [[(100_000 * at + row, "a", row) for row in range(20_000)] for at in range(20)]
    sources = [Source(segment(tmp_path / f"{at}.parquet", part, group_rows=5000), KIND) for at, part in enumerate(keys)]
    begun, sizes, most = pa.total_allocated_bytes(), 0, 0
    for rows in merged(sources):
        sizes += rows.nbytes
        most = max(most, pa.total_allocated_bytes() - begun)
    assert most < sizes / 4


@pytest.mark.parametrize("is_sorted", [True, False])
def test_memory_does_not_grow_with_one_file(tmp_path, monkeypatch, is_sorted):
    monkeypatch.setattr(merging, "_ROWS_MAX", 2000)
    keys = [(row if is_sorted else row ^ 1, "a", row) for row in range(200_000)]
    source = Source(segment(tmp_path / "x.parquet", keys, group_rows=5000), KIND)
    begun, sizes, most = pa.total_allocated_bytes(), 0, 0
    for rows in merged([source]):
        sizes += rows.nbytes
        most = max(most, pa.total_allocated_bytes() - begun)
    assert source.rows == 200_000
    assert most < sizes / 4


def test_memory_does_not_grow_with_a_file_whose_rows_are_hashed(tmp_path, monkeypatch):
    path = segment(tmp_path / "x.parquet", [(row, "a", row * 7919) for row in range(400_000)], group_rows=5000)
    begun, most = pa.total_allocated_bytes(), 0

    def hashed(rows: pa.RecordBatch) -> int:
        nonlocal most
        most = max(most, pa.total_allocated_bytes() - begun - rows.nbytes)
        return content_hash(rows)

    monkeypatch.setattr(segments, "content_hash", hashed)
    monkeypatch.setattr(segments, "_ROWS_AT_ONCE", 2000)
    with segments.opened(path) as file:
        assert f"{segments.content_of(file):016x}" == file.metadata.metadata[b"daedalus.content_hash"].decode()
    assert most < path.stat().st_size / 4


@pytest.mark.parametrize("what", ["rows", "hash", "table", "columns", "empty", "text"])
def test_a_file_that_is_not_what_it_says_is_refused_by_name(tmp_path, what):
    path = segment(tmp_path / "x.parquet", [(1, "a", 1), (2, "a", 2)])
    with pq.ParquetFile(path) as file:
        rows, facts = file.read(), dict(file.metadata.metadata)
    facts = {key: value for key, value in facts.items() if key.startswith(b"daedalus")}
    changed = {"rows": {b"daedalus.rows": b"3"}, "hash": {b"daedalus.content_hash": b"0" * 16}}
    facts |= changed.get(what, {b"daedalus.table": b"trades"} if what == "table" else {})
    if what == "columns":
        rows = rows.drop_columns(["bid"])
    if what == "empty":
        rows = rows.slice(0, 0)
    pq.write_table(rows.replace_schema_metadata(facts), path)
    if what == "text":
        path.write_text("{}")
    with pytest.raises(InputUnreadable, match=r"x\.parquet: "):
        list(merged([Source(path, KIND)]))
