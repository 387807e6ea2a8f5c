"""Journals spoilt anywhere: what can be read is stored as it was, what cannot is declared, and every start goes on."""

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from ingestion.writers.frames import MAGIC
from shared.disk import Disk
from shared.partitioning import Lake
from tests.crash_figures import Record
from tests.ingestion.writers.lake_rows import Feed, StepClock, ready_rows, trade, writer

SYMBOLS = ("BTC-USD", "ETH-USD")
BLOCKS = 8
QUICK = Disk(durable=False)


class Written(NamedTuple):
    """A journal as a killed collector left it."""

    lake: Lake
    clock: StepClock
    path: Path
    data: bytes
    edges: list[int]  # where each block begins, and the end
    rows: dict[str, list[int]]  # trade ids by symbol; the place in the list is the row's seq


def written(folder: Path, *, ended: bool = False) -> Written:
    lake, clock = Lake.under(folder), StepClock()
    feed, rows = Feed(clock), dict[str, list[int]]()
    w = writer(lake, clock, disk=QUICK)
    w.append(feed.captures(1))
    rows["BTC-USD"], rows["ETH-USD"] = [1], []
    edges = [w.journal_bytes]
    for _ in range(BLOCKS):
        captures = feed.captures(3) + feed.captures(2, symbol="ETH-USD")
        w.append(captures)
        w.sync()
        edges.append(w.journal_bytes)
        for capture in captures:
            for row in capture.rows:
                rows[row.symbol].append(row.trade_seq)  # type: ignore[attr-defined]
    path = next(lake.active.glob("*.journal"))
    if ended:
        w.rotate()
    w.abandon()
    return Written(lake, clock, path, path.read_bytes(), edges, rows)


def found_after(before: Written, data: bytes) -> tuple[dict[str, set[int]], dict[str, set[int]]]:
    """Stored and declared seqs by symbol, after a start that finds the journal so; both are exact or it fails."""
    before.path.write_bytes(data)
    before.clock.now_ns += 10**9
    again = writer(before.lake, before.clock, run=1, disk=QUICK)
    declared = {symbol: set[int]() for symbol in SYMBOLS}
    for commit in again.recovered.damaged:
        for each in commit.gaps:
            gap = each.gap
            assert (gap.cause, gap.status) == ("journal_damage", "unrecoverable")
            assert gap.prev_seq is not None
            assert gap.next_seq is not None
            lost = set(range(gap.prev_seq + 1, gap.next_seq))
            assert len(lost) == gap.rows_lost
            assert not lost & declared[gap.symbol]
            declared[gap.symbol] |= lost
    damaged = bool(again.recovered.damaged)
    again.forget_damage()
    again.close()
    kept = [path.name for path in before.lake.quarantine.glob("*")] if before.lake.quarantine.exists() else []
    assert kept == ([before.path.name] if damaged else [])
    assert list(before.lake.active.iterdir()) == []
    stored = {symbol: set[int]() for symbol in SYMBOLS}
    table = ready_rows(before.lake)
    for symbol, seq, number, price in table.select("symbol", "seq", "trade_seq", "price").iter_rows():
        assert seq not in stored[symbol]
        assert before.rows[symbol][seq] == number
        assert price == trade(number).price
        stored[symbol].add(seq)
    return stored, declared


def all_seqs(before: Written) -> dict[str, set[int]]:
    return {symbol: set(range(len(ids))) for symbol, ids in before.rows.items()}


def tails(data: bytes, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """What a crash or a dying card puts behind the last synced byte."""
    block = data[-400:]
    for size in (1, 3, 4, 31, 32, 33, 399, *rng.sample(range(1, 399), 10)):
        yield "torn", block[:size]
    for size in (1, 4095, 4096, 70_000):
        yield "zeroes", bytes(size)
    for size in (1, 5, 100, 4096, 20_000):
        yield "garbage", rng.randbytes(size)
        yield "garbage", MAGIC + rng.randbytes(size)
        yield "garbage", rng.randbytes(size) + bytes(4096)
        yield "garbage", bytes(4096) + rng.randbytes(size)


@pytest.mark.parametrize("ended", [False, True], ids=["last", "gone on from"])
def test_a_tail_that_is_torn_zeroed_or_garbage_costs_nothing(
    tmp_path: Path, ended: bool, crash_figures: Record
) -> None:
    """Behind the end of a journal that was gone on from, such bytes are damage: it is kept for a person."""
    rng, count = random.Random(3), 0
    for count, (_, tail) in enumerate(tails(written(tmp_path / "sample").data, rng), 1):
        before = written(tmp_path / str(count), ended=ended)
        stored, declared = found_after(before, before.data + tail)
        assert stored == all_seqs(before)
        assert not any(declared.values())
    crash_figures({"spoilt journal tails survived": count})


def middles(before: Written, rng: random.Random, step: int) -> Iterator[bytes]:
    """Spoilt before the last block: a bit flipped, bytes cut out, zeroed, doubled, overwritten."""
    data, edges = before.data, before.edges
    for at in range(rng.randrange(step), edges[-2], step):
        flipped = bytearray(data)
        flipped[at] ^= 1 << rng.randrange(8)
        yield bytes(flipped)
    for start, end in pairwise(edges[:-1]):
        middle = rng.randrange(start, end)
        size = rng.randrange(1, end - middle + 1)
        yield data[:middle] + data[middle + size :]  # truncated block
        yield data[:start] + data[end:]  # a whole block gone
        yield data[:middle] + bytes(size) + data[middle + size :]
        yield data[:middle] + rng.randbytes(size) + data[middle + size :]
        yield data[:middle] + rng.randbytes(50) + data[middle:]


def spoil_everywhere(folder: Path, *, step: int, seed: int) -> int:
    rng, count = random.Random(seed), 0
    sample = written(folder / "sample")
    for count, data in enumerate(middles(sample, rng, step), 1):
        before = written(folder / str(count))
        stored, declared = found_after(before, data)
        for symbol, seqs in all_seqs(before).items():
            assert not stored[symbol] & declared[symbol], f"case {count}: declared and stored"
            assert stored[symbol] | declared[symbol] == seqs, f"case {count}: lost in silence"
        assert sum(map(len, declared.values())) <= 2 * 5, f"case {count}: more lost than the spoilt blocks held"
    return count


def test_a_spoilt_middle_is_declared_row_by_row(tmp_path: Path, crash_figures: Record) -> None:
    crash_figures({"spoilt journal middles survived": spoil_everywhere(tmp_path, step=101, seed=5)})


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_byte_of_a_journal_may_be_flipped(tmp_path: Path, crash_figures: Record) -> None:
    crash_figures({"spoilt journal middles survived": spoil_everywhere(tmp_path, step=7, seed=6)})
