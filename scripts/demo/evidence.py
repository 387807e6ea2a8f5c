"""Everything a verdict needs, read from the exchange's own log and from the lake with a plain Parquet reader."""

from pathlib import Path

import polars as pl

from config.config import load_config
from etl.bars import BAR_SCHEMA, bar_set_id
from etl.core.config import StreamKey
from ingestion.simulator import read_truth
from scripts.demo.folder import DemoFolder
from scripts.demo.verdict import Evidence
from scripts.watch import etl_options
from shared.partitioning import stored_exchange

VENUES = ("coinbase", "kraken")
_TIME = pl.Datetime("us", "UTC")
_TRADE = {
    "exchange": pl.String(),
    "symbol": pl.String(),
    "trade_id": pl.String(),
    "trade_seq": pl.Int64(),
    "timestamp": _TIME,
    "price": pl.Float64(),
    "amount": pl.Float64(),
    "side": pl.String(),
}
SENT = pl.Schema(_TRADE)
BRONZE = pl.Schema({**_TRADE, "epoch": pl.String(), "seq": pl.Int64(), "capture_ts": _TIME})
SILVER = pl.Schema(
    {**_TRADE, "ordinal": pl.Int64(), "gap_before": pl.Boolean(), "price_text": pl.String(), "amount_text": pl.String()}
)
GAPS = pl.Schema(
    {
        "exchange": pl.String(),
        "symbol": pl.String(),
        "gap_id": pl.String(),
        "revision": pl.Int32(),
        "channel": pl.String(),
        "cause": pl.String(),
        "status": pl.String(),
        "prev_id": pl.String(),
        "next_id": pl.String(),
        "prev_seq": pl.Int64(),
        "next_seq": pl.Int64(),
        "rows_lost": pl.Int64(),
    }
)
BARS = pl.Schema({"bar_set": pl.String(), "exchange": pl.String(), "symbol": pl.String(), **BAR_SCHEMA})


def read_evidence(folder: DemoFolder) -> Evidence:
    """The evidence of a demo that has ended."""
    lake = folder.lake
    declared = _read(lake.ready, "*/gaps/**/*.parquet", GAPS).filter(pl.col("channel") == "trades")
    sent = sent_trades(folder.truth_log)
    options = etl_options(load_config(folder.config))
    keys = [StreamKey(*key) for key in sent.select("exchange", "symbol").unique(maintain_order=True).iter_rows()]
    named = [(bar_set_id(bars.type, bars.params), bars.where) for bars in options.bars]
    return Evidence(
        sent=sent,
        bronze=_read(lake.ready, "*/trades/**/*.parquet", BRONZE),
        gaps=declared.sort("gap_id", "revision").unique("gap_id", keep="last", maintain_order=True),
        silver=_read(lake.silver("trades"), "**/*.parquet", SILVER),
        bars=_read(lake.bars("any").parent, "**/*.parquet", BARS),
        bar_sets=tuple((name, *key) for name, where in named for key in keys if where.allows(key)),
    )


def sent_trades(truth_log: Path) -> pl.DataFrame:
    """The trades of the exchange's log, under the names the lake uses."""
    truth = read_truth(truth_log)
    rows = [
        (
            stored_exchange(venue),
            symbol,
            trade.id,
            int(trade.id),
            trade.ts_us,
            float(trade.price),
            float(trade.size),
            trade.taker,
        )
        for venue in VENUES
        for symbol in truth.symbols(venue)
        for trade in truth.trades(venue, symbol)
    ]
    raw = pl.Schema({**_TRADE, "timestamp": pl.Int64()})
    return pl.DataFrame(rows, schema=raw, orient="row").with_columns(pl.from_epoch("timestamp", "us").cast(_TIME))


def _read(root: Path, pattern: str, schema: pl.Schema) -> pl.DataFrame:
    files = sorted(root.glob(pattern))
    if not files:
        return schema.to_frame()
    return pl.scan_parquet(files, hive_partitioning=False).select(schema.names()).cast(schema).collect()
