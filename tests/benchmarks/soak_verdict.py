"""What the samples and the lake of a soak prove."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import polars as pl

from ingestion.simulator import Truth, read_truth
from shared.partitioning import Lake

_MEMORY_RATIO_MAX = 1.05
_TIME_RATIO_MAX = 1.25
_VENUE = "coinbase"


class Sample(NamedTuple):
    """One look at the processes."""

    elapsed_s: float
    rss_mib: float
    open_files: int
    cpu_s: float
    watcher_rss_mib: float
    queue_rows: int
    messages: int
    seal_s: float | None  # median of those since the last sample
    poll_s: float | None  # with new files
    poll_cpu_s: float | None  # of the watcher for it: what else the machine does makes polls longer, not this
    idle_poll_s: float | None


class Verdict(NamedTuple):
    """One line of the result."""

    what: str
    result: str
    target: str
    met: bool


def flatness(samples: Sequence[Sample]) -> list[Verdict]:
    """The medians of the last quarter over those of the second: what a long run makes larger grows here too."""
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    out = []
    for what, field, bound in (
        ("memory of the collector, MiB", "rss_mib", _MEMORY_RATIO_MAX),
        ("memory of the watcher, MiB", "watcher_rss_mib", None),
        ("open files of the collector", "open_files", _MEMORY_RATIO_MAX),
        ("time of a seal, s", "seal_s", _TIME_RATIO_MAX),
        ("time of a poll with new files, s", "poll_s", _TIME_RATIO_MAX),
        ("CPU of a poll with new files, s", "poll_cpu_s", _TIME_RATIO_MAX),
        ("time of a poll without, s", "idle_poll_s", _TIME_RATIO_MAX),
    ):
        before, after = (_median(part, field) for part in (early, late))
        ratio = after / before if before and after else float("nan")
        target = f"last quarter / second <= {bound}" if bound else "told, no target"
        text = f"{before:.3g} -> {after:.3g}, ratio {ratio:.3f}"
        out.append(Verdict(what, text, target, bound is None or ratio <= bound))
    return out


def completeness(lake_folder: Path, truth_log: Path) -> list[Verdict]:
    """What the exchange's own log says it sent, against the rows that are stored and the losses that are declared."""
    truth, lake = read_truth(truth_log), Lake.under(lake_folder)
    sent = truth.frames[_VENUE]
    tickers = _scan(lake, "ticker").select(pl.len()).collect().item()
    books = _scan(lake, "l2").select(pl.col("is_last").sum()).collect().item()
    out = [_trades(lake, truth, symbol) for symbol in truth.symbols(_VENUE)]
    out.append(_equal("ticker frames sent = stored", sent["ticker"], tickers))
    out.append(_equal("book frames sent = stored", sent["l2_data"], books))
    return out


def _trades(lake: Lake, truth: Truth, symbol: str) -> Verdict:
    """Trades from the first stored one on: made = stored + declared."""
    made = {int(trade.id) for trade in truth.trades(_VENUE, symbol)}
    rows = _scan(lake, "trades").filter(pl.col("symbol") == symbol).select("trade_seq").collect()["trade_seq"]
    stored, first = set(rows), rows.min()
    wanted = {number for number in made if number >= first}
    result = (
        f"{len(wanted)} sent, {len(stored)} stored, {len(wanted - stored)} missing, {len(rows) - len(stored)} twice"
    )
    return Verdict(f"{symbol} trades", result, "all, once", wanted == stored and len(rows) == len(stored))


def _equal(what: str, sent: int, stored: int) -> Verdict:
    return Verdict(what, f"{sent} sent, {stored} stored", "equal", sent == stored and sent > 0)


def _scan(lake: Lake, table: str) -> pl.LazyFrame:
    files = sorted(lake.ready.glob(f"native/{table}/**/*.parquet"))
    return pl.scan_parquet(files, hive_partitioning=False)


def _median(samples: Sequence[Sample], field: str) -> float:
    values = [value for sample in samples if (value := getattr(sample, field)) is not None]
    return median(values) if values else float("nan")
