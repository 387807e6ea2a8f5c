"""What a lake holds against what was acknowledged and what the exchange really made: exact, row by row."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

import duckdb
import polars as pl
import pyarrow.parquet as pq

from ingestion.simulator import Truth
from scripts.check import examine
from shared.partitioning import Lake
from storage.inspection import Scope
from tests.crash.lives import SYMBOLS, Lives
from tests.ingestion.collecting import bronze

TABLES = ("trades", "ticker", "l2", "gaps", "rejects")
WINDOWS = {"restart", "disconnect", "silence", "start", "stop", "connect", "clock_step"}  # nobody dropped a frame


def figures(lake: Lake, lives: Lives, truth: Truth) -> Counter[str]:
    """What was found; whatever must be 0 is named in `MUST_BE_ZERO`."""
    found: Counter[str] = Counter(dict.fromkeys(MUST_BE_ZERO, 0))
    found["kills survived"] = lives.kills.total()
    for phase, count in lives.kills.items():
        found[f"kills survived, of them in {phase}"] = count
    found["clock jumps of an hour"] = lives.clock_jumps
    found.update(_rows(lake, lives))
    found.update(_files(lake))
    trades = bronze(lake)
    for symbol in SYMBOLS:
        found.update(_trades(lake, trades.filter(pl.col("symbol") == symbol), truth, symbol))
    found.update(_breaks(lake, truth))
    _, unproven, _ = examine(lake, Scope())
    print("\n".join(unproven))
    found["findings of daedalus check"] += len(unproven)
    found["left over in active or staging"] += len([*lake.active.iterdir(), *lake.staging.iterdir()])
    return found


MUST_BE_ZERO = (
    "rows lost",
    "rows twice",
    "values other than the exchange's",
    "files unreadable",
    "losses undeclared",
    "false gaps",
    "left over in active or staging",
    "findings of daedalus check",
)


def _rows(lake: Lake, lives: Lives) -> Counter[str]:
    """Acknowledged rows are stored, each number of a stream once and none left out."""
    found: Counter[str] = Counter()
    stored: dict[tuple[str, str, str], int] = {}
    for table in TABLES:
        rows = bronze(lake, table, whole=True)
        if not rows.height:
            continue
        found["rows stored"] += rows.height
        runs = rows.group_by("epoch", "symbol").agg(pl.len(), once=pl.n_unique("seq"), top=pl.max("seq"))
        for epoch, symbol, count, once, top in runs.iter_rows():
            stored[epoch, table, symbol] = once
            found["rows twice"] += count - once
            found["rows lost"] += top + 1 - once
    for epoch, counts in lives.acknowledged.items():
        for (_, _, table, symbol), count in counts.items():
            found["rows acknowledged"] += count
            found["rows lost"] += max(0, count - stored.get((epoch, table, symbol), 0))
    return found


def _files(lake: Lake) -> Counter[str]:
    """Every file opens in Polars, DuckDB and pyarrow, with the same rows; those of a table are read together."""
    found: Counter[str] = Counter()
    for table in TABLES:
        paths = [str(path) for path in sorted(lake.ready.glob(f"*/{table}/**/*.parquet"))]
        if not paths:
            continue
        polars = pl.read_parquet(paths, hive_partitioning=False, include_file_paths="file").group_by("file").len()
        counted = dict(polars.iter_rows())
        query = "select filename, count(capture_ts) from read_parquet(?, filename=true) group by filename"
        with duckdb.connect() as connection:
            duck = dict(connection.execute(query, [paths]).fetchall())
        arrow = {path: pq.read_table(path, partitioning=None).num_rows for path in paths}
        found["files opened by three readers"] += len(paths)
        found["files unreadable"] += sum(
            not rows == duck.get(path) == counted.get(path) for path, rows in arrow.items()
        )
    return found


def _trades(lake: Lake, rows: pl.DataFrame, truth: Truth, symbol: str) -> Counter[str]:
    """Made = stored or inside a declared gap; what is declared was really lost; what is stored is what was made."""
    found: Counter[str] = Counter()
    made = {int(trade.id): trade for trade in truth.trades("coinbase", symbol)}
    by_epoch: defaultdict[str, set[int]] = defaultdict(set)
    columns = ("epoch", "trade_seq", "price", "amount", "side", pl.col("timestamp").dt.timestamp("us"))
    for epoch, number, price, amount, side, us in rows.select(*columns).iter_rows():
        by_epoch[epoch].add(number)
        it = made.get(number)
        same = it and (float(it.price), float(it.size), it.taker, it.ts_us) == (price, amount, side, us)
        found["values other than the exchange's"] += not same
    stored = set().union(*by_epoch.values())
    reach = {number for number in made if min(stored) <= number <= max(stored)}
    lost = {number for number in _lost(truth, symbol) if number in reach}
    declared: set[int] = set()
    for epoch, cause, ids in _declared(lake, symbol):
        declared.update(ids)
        found["gaps declared with trades lost"] += 1
        impossible = ids & by_epoch[epoch] or ids - made.keys()
        unexplained = cause not in WINDOWS and not ids & lost
        if impossible or unexplained:
            print(f"false gap in {symbol}: {epoch} {cause} {sorted(ids)[:5]}... of {len(ids)}")
            found["false gaps"] += 1
    found["trades made by the exchange"] = len(made)
    found["losses undeclared"] = len(reach - stored - declared)
    runs, known = list(_runs(sorted(lost))), declared | stored
    found["gaps injected"] = len(runs)
    found["gaps found"] = sum(run <= known for run in runs)
    found["gaps found, of them refilled by a snapshot"] = sum(run <= stored for run in runs)
    return found


def _declared(lake: Lake, symbol: str) -> Iterator[tuple[str, str, set[int]]]:
    """Epoch, cause and ids of each gap that stands open."""
    gaps = bronze(lake, "gaps")
    if not gaps.height:
        return
    here = gaps.filter((pl.col("symbol") == symbol) & (pl.col("channel") == "trades"))
    for gap in here.sort("revision").unique("gap_id", keep="last").iter_rows(named=True):
        if gap["status"] == "open" and gap["prev_id"] and gap["next_id"]:
            ids = set(range(int(gap["prev_id"]) + 1, int(gap["next_id"])))
            assert gap["rows_lost"] in (len(ids), None)
            if ids:
                yield gap["epoch"], gap["cause"], ids


def _lost(truth: Truth, symbol: str) -> set[int]:
    """Ids in the frames that the exchange did not send, or sent as half of themselves."""
    return {
        int(trade["trade_id"])
        for _, frame in truth.altered
        if frame.channel == "market_trades"
        for event in json.loads(frame.true)["events"]
        for trade in event["trades"]
        if trade["product_id"] == symbol
    }


def _runs(numbers: list[int]) -> Iterator[set[int]]:
    """Consecutive numbers together."""
    cuts = [0, *(at + 1 for at, (a, b) in enumerate(pairwise(numbers)) if b != a + 1), len(numbers)]
    for start, end in pairwise(cuts):
        if start < end:
            yield set(numbers[start:end])


def _breaks(lake: Lake, truth: Truth) -> Counter[str]:
    """Every sequence number that a gap of any stream calls missing is of a frame that the exchange lost."""
    lost = {json.loads(frame.true)["sequence_num"] for _, frame in truth.altered}
    found: Counter[str] = Counter()
    gaps = bronze(lake, "gaps")
    if gaps.height:
        for evidence in gaps.filter(pl.col("cause") == "sequence_break")["evidence"]:
            found["gap rows of broken sequences"] += 1
            match = re.search(r"(\d+)\.\.(\d+)", evidence)
            assert match, evidence
            if not set(range(int(match[1]), int(match[2]) + 1)) <= lost:
                print(f"false gap: {evidence}")
                found["false gaps"] += 1
    return found


def frames_per_s(lake: Lake) -> int:
    """Messages a second while collectors were collecting: distinct receipts over the time from first to last."""
    receipts = pl.concat(
        [bronze(lake, table).select("epoch", "capture_mono_ns") for table in ("trades", "ticker", "l2")]
    )
    runs = receipts.unique().group_by("epoch").agg(pl.len(), span=pl.max("capture_mono_ns") - pl.min("capture_mono_ns"))
    return round(runs["len"].sum() / (runs["span"].sum() / 1e9))
