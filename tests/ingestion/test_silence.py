"""Silence rules on whole days of made and recorded markets: few looks, no false finding, and the dead are found."""

import csv
import gzip
import io
import os
import random
import zipfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingestion.exchanges.protocol import Newest
from ingestion.silence import GRACE_S, Finding, SilenceRules, SilenceWatch

DATA = Path(os.environ.get("DAEDALUS_TEST_DATA", ""))
NS, DAY_S = 1_000_000_000, 86_400
TRADES = ("trades", "BTC-USD")


class Replay:
    """One stream watched second by second: what a look shows is what the market did, whatever we heard of it."""

    def __init__(
        self,
        market_s: Sequence[float],
        heard_s: Sequence[float] | None = None,
        *,
        numbered: bool = True,
        **rules: float,
    ) -> None:
        self.market_s, self.heard_s = market_s, market_s if heard_s is None else heard_s
        self.watch = SilenceWatch(SilenceRules(**rules))
        self.numbered = numbered
        self.looks_s: list[int] = []
        self.findings: list[tuple[float, Finding]] = []

    def count(self, second: float) -> int:
        return bisect_right(self.heard_s, second)

    def run(self, end_s: int, *, begin_s: int = 0, key: tuple[str, str] = TRADES) -> "Replay":
        watch, waiting = self.watch, []
        watch.subscribed(key, begin_s * NS, connection=0)
        for second in range(begin_s, end_s):
            watch.sample(lambda _, second=second: self.count(second), second * NS)
            if waiting and waiting[0] + GRACE_S <= second:
                self._judge(key, waiting.pop(), second)
            if watch.due(second * NS):
                waiting.append(second)
                self.looks_s.append(second)
        return self

    def _judge(self, key: tuple[str, str], asked_s: int, second: int) -> None:
        newest = bisect_right(self.market_s, asked_s)
        time_us = round(self.market_s[newest - 1] * 1e6) if newest else None
        theirs = Newest(newest if self.numbered else None, time_us)
        count = self.count(second)
        ours = count if self.numbered and count else None
        finding = self.watch.looked(key, theirs, ours=ours, count=count, now_ns=second * NS)
        if finding:
            self.findings.append((second, finding))
            self.watch.subscribed(key, second * NS, connection=0)


def poisson(rate: float, end_s: float, seed: int = 1) -> list[float]:
    rng, now_s, out = random.Random(seed), 0.0, []
    while (now_s := now_s + rng.expovariate(rate)) < end_s:
        out.append(now_s)
    return out


def bursts(rate: float, end_s: float, seed: int = 2) -> list[float]:
    """Heavy tails: bursts of trades, and pauses between them by a Pareto law (its variance is infinite)."""
    rng, now_s, out = random.Random(seed), 0.0, []
    while (now_s := now_s + rng.paretovariate(1.6) * 0.375 / rate) < end_s:
        out += [now_s + 0.01 * n for n in range(rng.randint(1, 30))]
    return sorted(out)


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("rate", [10.0, 1.0, 0.1, 0.01, 0.001])
def test_a_poisson_stream_is_hardly_ever_suspected_and_never_found_dead(rate: float, numbered: bool) -> None:
    seen = [Replay(poisson(rate, DAY_S, seed), numbered=numbered).run(DAY_S) for seed in range(3)]
    looks = sum(len(each.looks_s) for each in seen) / 3
    assert looks <= (60 if rate == 0.001 else 6)  # a day; the slowest is looked at each half hour by intent
    assert not any(each.findings for each in seen)


@pytest.mark.parametrize("rate", [2.0, 0.5, 0.05])
def test_a_market_of_bursts_and_long_pauses_costs_few_looks_and_no_finding(rate: float) -> None:
    seen = [Replay(bursts(rate, DAY_S, seed)).run(DAY_S) for seed in range(3)]
    assert sum(len(each.looks_s) for each in seen) / 3 <= 30
    assert not any(each.findings for each in seen)


@settings(max_examples=60, deadline=None)
@given(
    rate=st.sampled_from([5.0, 1.0, 0.2, 0.05]),
    make=st.sampled_from([poisson, bursts]),
    died_s=st.integers(1800, 5400),
    seed=st.integers(0, 1000),
)
@example(rate=1.0, make=bursts, died_s=2825, seed=284)  # no trade comes after: nobody can know
def test_a_stream_that_dies_is_found_within_the_bound(
    rate: float, make: Callable[..., list[float]], died_s: int, seed: int
) -> None:
    end_s = died_s + 3000
    market = make(rate, end_s, seed)
    replay = Replay(market, [each for each in market if each < died_s])
    replay.run(died_s)
    bound_s = replay.watch.threshold_s(TRADES)
    longest_s = max((b - a for a, b in zip([0.0, *market], market, strict=False) if b < died_s), default=0.0)
    assert bound_s <= max(30.0, 8 * (longest_s + 1))  # what the documentation says
    replay = Replay(market, replay.heard_s).run(end_s)
    quiet_s = next((each for each in market if each >= died_s), end_s) - died_s  # nobody can know before a trade
    found = [second for second, finding in replay.findings if second >= died_s]
    last_s = max((each for each in replay.heard_s), default=0.0)
    # one doubling at most where the first look came before the market's next trade
    latest_s = last_s + 2 * (2 * (quiet_s + died_s - last_s) + bound_s) + GRACE_S + 2
    if latest_s < end_s:
        assert found, (bound_s, quiet_s)
        assert found[0] <= latest_s


def test_subscribed_but_no_data_is_told_apart_in_words() -> None:
    market = poisson(1.0, 600)
    ((found_s, finding), *_) = Replay(market, []).run(200).findings
    assert found_s <= 30 + 10 + 2 * GRACE_S + 2  # unheard_s, the second look, two graces
    assert "subscribed" in finding.evidence
    assert "but no data" in finding.evidence
    assert "REST moved from trade" in finding.evidence
    assert (finding.remedy, finding.is_first) == ("resubscribe", True)


def test_a_dead_stream_says_what_rest_has_and_what_we_have() -> None:
    market = [float(n) for n in range(1, 2000)]
    ((found_s, finding), *_) = Replay(market, market[:1000]).run(1100).findings
    assert found_s <= 1000 + 15 + GRACE_S + 2
    assert finding.evidence.startswith("trades BTC-USD: no row for 1")
    assert "ours is 1000" in finding.evidence


def test_a_quiet_market_is_looked_at_ever_less_often() -> None:
    market = [float(n) for n in range(1, 600)]
    replay = Replay(market).run(20_000)
    assert not replay.findings
    waits = [b - a for a, b in zip(replay.looks_s, replay.looks_s[1:], strict=False)]
    assert waits == sorted(waits)
    assert waits[-1] >= 1800
    assert len(replay.looks_s) < 20


def test_what_was_dead_is_not_learned_and_what_was_quiet_is() -> None:
    market = [float(n) for n in range(1, 5000)]
    dead = Replay(market, [each for each in market if not 1000 < each < 1400]).run(2000)
    assert dead.findings
    assert dead.watch.threshold_s(TRADES) < 60
    paused = [each for each in market if not 1000 < each < 1400]
    quiet = Replay(paused).run(2000)
    assert not quiet.findings
    assert quiet.watch.threshold_s(TRADES) > 1000


def test_a_stream_that_stays_dead_is_tried_gently() -> None:
    market = poisson(1.0, DAY_S)
    replay = Replay(market, market[:600]).run(DAY_S)
    remedies = Counter(finding.remedy for _, finding in replay.findings)
    assert remedies["reconnect"] == 1
    assert 5 <= len(replay.findings) <= 60  # a day: the wait doubles up to half an hour
    assert sum(finding.is_first for _, finding in replay.findings) == 1


def test_two_dead_streams_of_a_connection_mean_the_connection() -> None:
    watch = SilenceWatch(SilenceRules(looks_per_minute=600))
    keys = [("trades", name) for name in ("A", "B", "C")]
    for key in keys:
        watch.subscribed(key, 0, connection="one" if key[1] != "C" else "other")
    remedies = {}
    for second in range(60):
        watch.sample(lambda _: 0, second * NS)
        for key in watch.due(second * NS):
            theirs = Newest(second, None)
            finding = watch.looked(key, theirs, ours=None, count=0, now_ns=second * NS)
            if finding:
                remedies[key[1]] = finding.remedy
    assert remedies == {"A": "resubscribe", "B": "reconnect", "C": "resubscribe"}


def test_looks_are_budgeted_and_the_most_overdue_come_first() -> None:
    watch = SilenceWatch(SilenceRules(looks_per_minute=6))
    for number in range(100):
        watch.subscribed(("trades", str(number)), number * NS // 10)
    asked = []
    for second in range(10, 10 + 60 * 4):
        watch.sample(lambda _: 0, second * NS)
        chosen = watch.due(second * NS)
        for key in chosen:
            assert watch.looked(key, None, ours=None, count=0, now_ns=second * NS) is None
        asked += chosen
    assert len(asked) <= 6 * 4 + 1
    assert [key[1] for key in asked[:5]] == ["0", "1", "2", "3", "4"]


def test_time_in_which_we_did_not_read_is_nobodys_silence() -> None:
    for late in (False, True):
        watch = SilenceWatch()
        watch.subscribed(TRADES, 0)
        for second in range(100):
            watch.sample(lambda _, second=second: second, second * NS)
        seconds = [1000] if late else range(100, 1000)
        for second in seconds:
            watch.sample(lambda _: 99, second * NS, excused=not late)
        assert watch.due(1000 * NS) == []
        for second in range(1001, 1030):
            watch.sample(lambda _: 99, second * NS)
        assert watch.due(1030 * NS) == [TRADES]


def test_a_row_that_comes_while_we_look_settles_it() -> None:
    watch = SilenceWatch()
    watch.subscribed(TRADES, 0)
    watch.sample(lambda _: 0, 0)
    assert watch.due(31 * NS) == [TRADES]
    assert watch.due(31 * NS) == []
    assert watch.looked(TRADES, Newest(9, 9), ours=None, count=1, now_ns=34 * NS) is None
    assert watch.due(40 * NS) == []
    watch.forget(TRADES)
    assert watch.looked(TRADES, Newest(9, 9), ours=None, count=1, now_ns=34 * NS) is None


def test_a_market_may_go_without_liquidations() -> None:
    watch = SilenceWatch()
    watch.subscribed(("liquidations", "BTC-USDT_USDT"), 0)
    assert watch.due(10**9 * NS) == []


def lean(name: str) -> list[float]:
    """Trades of a stock over five days, by the second of the week."""
    out = []
    for day, path in enumerate(sorted((DATA / "quantconnect-lean/equity/usa/tick" / name).glob("*_trade.zip"))):
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
            out += [day * DAY_S + int(row[0]) / 1000 for row in csv.reader(io.TextIOWrapper(file))]
    return out


def mtgox() -> list[float]:
    with (DATA / "pyalgotrade/trades-mgtox-usd-2013-01-01.csv").open() as file:
        moments = sorted(int(row["id"]) / 1e6 for row in csv.DictReader(file))
    return [each - moments[0] for each in moments]


def bitstamp() -> list[float]:
    with (DATA / "pyalgotrade/bitstampUSD.csv").open() as file:
        moments = [float(row[0]) for row in csv.reader(file)]
    return [each - moments[0] for each in moments]


def coinbase() -> list[float]:
    with (DATA / "questdb-sample-datasets/btc_trades.older-version.csv").open() as file:
        moments = [datetime.fromisoformat(row["timestamp"]).timestamp() for row in csv.DictReader(file)]
    return looped([each - moments[0] for each in moments])


def binance(name: str) -> list[float]:
    with gzip.open(DATA / "hftbacktest" / name, "rt") as file:
        moments = [int(line[:19]) / 1e9 for line in file if "@trade" in line[:80]]
    return looped([each - moments[0] for each in moments])


def looped(moments: list[float]) -> list[float]:
    """A day of a recording played over and over."""
    span_s = moments[-1] + 1.0
    return [begin * span_s + each for begin in range(int(DAY_S / span_s)) for each in moments]


@pytest.mark.skipif(not DATA.name or not DATA.is_dir(), reason="DAEDALUS_TEST_DATA names no folder of recordings")
@pytest.mark.parametrize(
    ("load", "looks_a_day"),
    [
        (lambda: lean("ibm"), 60),  # closed at night and looked at each half hour then
        (lambda: lean("aig"), 60),
        (mtgox, 12),
        (bitstamp, 60),
        (coinbase, 1),
        (lambda: binance("spot/ethusdt_20240808.gz"), 1),
        (lambda: binance("usdm/ethusdt_20240808.gz"), 1),
        (lambda: binance("cm/ethusd_perp_20240808.gz"), 2),
    ],
    ids=["ibm", "aig", "mtgox", "bitstamp", "coinbase", "binance", "binanceusdm", "binancecoinm"],
)
def test_recorded_markets_are_hardly_ever_suspected(load: Callable[[], list[float]], looks_a_day: int) -> None:
    market = load()
    days = min(5.0, market[-1] / DAY_S)
    for numbered in (True, False):
        replay = Replay(market, numbered=numbered).run(int(days * DAY_S))
        assert replay.findings == []
        assert len(replay.looks_s) / days <= looks_a_day
