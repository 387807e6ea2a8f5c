"""The verdict is a pure function of values: each way to lose, double or alter something is seen and named."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from scripts.demo.evidence import BARS, BRONZE, GAPS, SENT, SILVER
from scripts.demo.timeline import DECLARED, LIVE, LOST, SNAPSHOT, stretches
from scripts.demo.verdict import Evidence, verdict

BEGIN = datetime(2026, 6, 9, 12, tzinfo=UTC)
KEY = {"exchange": "kraken", "symbol": "BTC-USD"}


def trade(number):
    return {
        **KEY,
        "trade_id": str(number),
        "trade_seq": number,
        "timestamp": BEGIN + timedelta(seconds=number),
        "price": 100.25 + number,
        "amount": 0.1,
        "side": "buy",
    }


def copy(number, *, epoch="a", seq=0, delay_s=0.0):
    capture = BEGIN + timedelta(seconds=number + delay_s)
    return {**trade(number), "epoch": epoch, "seq": seq, "capture_ts": capture}


def gap(low, high, *, status="open", lost=None):
    named = {"gap_id": f"g{low}", "revision": 0, "channel": "trades", "cause": "restart", "status": status}
    lost = high - low - 1 if lost is None else lost
    return {**KEY, **named, "prev_id": str(low), "next_id": str(high), "rows_lost": lost}


def bar(numbers):
    value = sum(Decimal(repr(trade(n)["price"])) * Decimal("0.1") for n in numbers)
    sums = {"volume_exact": Decimal("0.1") * len(numbers), "dollar_volume_exact": value, "tick_count": len(numbers)}
    return {**KEY, "bar_set": "tick-9", "bar_seq": 0, **sums}


def frame(rows, schema):
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)


def evidence(*, stored=(1, 2, 3, 8, 9), silver=None, gaps=(), bars=None, bronze=None):
    """Nine trades were sent; by default 4 to 7 are in a gap."""
    seen = tuple(stored) if silver is None else silver
    rows = [copy(n, seq=seq) for seq, n in enumerate(stored)] if bronze is None else bronze
    return Evidence(
        sent=frame([trade(n) for n in range(1, 10)], SENT),
        bronze=frame(rows, BRONZE),
        gaps=frame(gaps or [gap(3, 8)], GAPS),
        silver=frame([{**trade(n), "ordinal": place} for place, n in enumerate(seen)], SILVER),
        bars=frame([bar(seen)] if bars is None else bars, BARS),
        bar_sets=(("tick-9", "kraken", "BTC-USD"),),
    )


def test_what_lies_in_a_declared_gap_is_not_lost():
    found = verdict(evidence())
    assert found.last_line() == (
        "NOTHING LOST: 9 trades sent = 5 in bronze + 4 inside 1 declared gap; 5 in silver, each once; "
        "1 bar of 1 set hold silver's exact volume"
    )


def test_rows_that_came_twice_are_counted_and_harmless():
    rows = [copy(n, seq=seq) for seq, n in enumerate([1, 2, 3, 2, 3, 8, 9])]
    found = verdict(evidence(bronze=rows))
    assert found.nothing_lost
    assert found.total("copies") == 2


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"stored": (1, 3, 8, 9)}, "1 trade in neither bronze nor a declared gap (kraken BTC-USD: trade 2)"),
        ({"gaps": [gap(3, 8, status="filled")]}, "4 trades in neither bronze nor a declared gap"),
        ({"gaps": [gap(3, 6), gap(30, 80)]}, "2 trades in neither bronze nor a declared gap"),
        ({"gaps": [gap(3, 8, lost=3)]}, "gaps declare 3 missing but 4 are"),
        ({"gaps": [gap(2, 8)]}, "gaps declare 5 missing but 4 are"),
        ({"silver": (1, 2, 3, 8)}, "1 trade in bronze but not in silver (kraken BTC-USD: trade 9)"),
        ({"silver": (1, 2, 3, 8, 9, 9)}, "1 trade in silver more than once (kraken BTC-USD: trade 9)"),
        ({"silver": (1, 2, 3, 7, 8, 9)}, "1 trade in silver but not in bronze (kraken BTC-USD: trade 7)"),
        ({"bars": []}, "bars tick-9 hold 0 of silver's 0.5 volume"),
        ({"bars": [bar((1, 2, 3, 8))]}, "bars tick-9 hold 0.4 of silver's 0.5 volume"),
        ({"bars": [bar((1, 2, 3, 8, 8))]}, "bars tick-9 hold 52.325 of silver's 52.425 value"),
        ({"bars": [{**bar((1, 2, 3, 8, 9)), "bar_seq": 1}]}, "bars tick-9 are not numbered without holes"),
        ({"bronze": [copy(n, seq=n) for n in (1, 2, 3, 8, 9)]}, "5 holes in our own count"),
    ],
)
def test_every_loss_is_named(changed, words):
    found = verdict(evidence(**changed))
    assert not found.nothing_lost
    assert found.last_line().startswith("LOST: ")
    assert words in found.last_line()


@pytest.mark.parametrize(
    ("column", "value"),
    [("price", 102.26), ("amount", 0.2), ("side", "sell"), ("side", None), ("timestamp", BEGIN)],
)
@pytest.mark.parametrize(("tier", "words"), [("bronze", "altered in bronze"), ("silver", "altered in silver")])
def test_an_altered_trade_is_seen(column, value, tier, words):
    whole = evidence()
    rows = getattr(whole, tier)
    literal = pl.lit(value, dtype=rows.schema[column])
    changed = rows.with_columns(pl.when(pl.col("trade_id") == "2").then(literal).otherwise(column).alias(column))
    found = verdict(replace(whole, **{tier: changed}))
    assert f"1 trade {words} (kraken BTC-USD: trade 2)" in found.last_line()


def test_a_trade_that_nobody_sent_is_seen():
    whole = evidence()
    found = verdict(replace(whole, sent=whole.sent.filter(pl.col("trade_id") != "9")))
    assert "1 trade in bronze but never sent" in found.last_line()


def test_a_stream_that_is_stored_nowhere_is_lost_whole():
    whole = evidence()
    other = whole.sent.with_columns(symbol=pl.lit("ETH-USD"))
    found = verdict(replace(whole, sent=pl.concat([whole.sent, other])))
    assert (
        "9 trades in neither bronze nor a declared gap (kraken ETH-USD: trade 1, 2, 3 and 6 more)" in found.last_line()
    )


def test_nothing_sent_proves_nothing():
    nothing = Evidence(*(schema.to_frame() for schema in (SENT, BRONZE, GAPS, SILVER, BARS)), bar_sets=())
    assert verdict(nothing).last_line() == "LOST: the exchange sent no trade, so nothing is proven"


def test_the_timeline_tells_capture_snapshot_gap_and_loss_apart():
    first = [copy(n, seq=seq) for seq, n in enumerate([1, 2])]
    came_back = [copy(6, epoch="b", seq=0, delay_s=1.5), copy(7, epoch="b", seq=1, delay_s=0.5)]
    live = [copy(n, epoch="b", seq=n - 6) for n in (8, 9)]
    found = stretches(evidence(bronze=[*first, *came_back, *live], gaps=[gap(2, 5)]))
    assert [(each.state, each.trades) for each in found["kraken", "BTC-USD"]] == [
        (LIVE, 2),
        (DECLARED, 2),
        (LOST, 1),
        (SNAPSHOT, 2),
        (LIVE, 2),
    ]
