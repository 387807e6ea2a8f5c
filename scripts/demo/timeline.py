"""How each trade reached us, if it did: a pure classification of what was sent into stretches of time."""

from dataclasses import dataclass
from itertools import groupby

import polars as pl

from scripts.demo.verdict import Evidence, missing_trades

LIVE, SNAPSHOT, DECLARED, LOST = "live", "snapshot", "declared", "lost"
STATES = (LIVE, SNAPSHOT, DECLARED, LOST)
_KEY = ["exchange", "symbol"]
_TRADE = [*_KEY, "trade_id"]


@dataclass(frozen=True)
class Stretch:
    """Consecutive trades of one stream that fared alike; it lasts until the next one begins."""

    state: str
    from_us: int
    until_us: int
    trades: int
    first_id: str
    last_id: str


def stretches(evidence: Evidence) -> dict[tuple[str, str], list[Stretch]]:
    """Every stream's stretches in the order of its trade ids."""
    states = _states(evidence).sort(*_KEY, "trade_seq")
    found = {}
    for key, rows in states.partition_by(_KEY, as_dict=True, maintain_order=True).items():
        columns = zip(rows["state"], rows["timestamp"].dt.timestamp("us"), rows["trade_id"], strict=True)
        found[str(key[0]), str(key[1])] = _joined([(state, us, name) for state, us, name in columns])
    return found


def _joined(trades: list[tuple[str, int, str]]) -> list[Stretch]:
    runs = [(state, list(run)) for state, run in groupby(trades, key=lambda trade: trade[0])]
    ends = [run[0][1] for _, run in runs[1:]] + [trades[-1][1]]
    return [
        Stretch(state, run[0][1], end, len(run), run[0][2], run[-1][2])
        for (state, run), end in zip(runs, ends, strict=True)
    ]


def _states(evidence: Evidence) -> pl.DataFrame:
    """The sent trades with a column `state`.

    A trade came by snapshot if its first copy belongs to a later run of the collector and it happened before that run
    received anything of this stream.
    """
    copies = evidence.bronze.sort("capture_ts", "seq")
    begun = copies.group_by(*_KEY, "epoch").agg(began=pl.col("capture_ts").min())
    first_epoch = begun.group_by(_KEY).agg(first_epoch=pl.col("epoch").min())
    first = copies.unique(_TRADE, keep="first", maintain_order=True).select(*_TRADE, "epoch")
    known = first.join(begun, on=[*_KEY, "epoch"]).join(first_epoch, on=_KEY)
    sent = evidence.sent.join(known, on=_TRADE, how="left")
    missing = missing_trades(evidence).select(*_TRADE, "gap_id")
    by_snapshot = (pl.col("epoch") != pl.col("first_epoch")) & (pl.col("timestamp") < pl.col("began"))
    state = (
        pl.when(pl.col("gap_id").is_not_null())
        .then(pl.lit(DECLARED))
        .when(pl.col("epoch").is_null())
        .then(pl.lit(LOST))
        .when(by_snapshot)
        .then(pl.lit(SNAPSHOT))
        .otherwise(pl.lit(LIVE))
    )
    return sent.join(missing, on=_TRADE, how="left").with_columns(state=state)
