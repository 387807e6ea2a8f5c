"""`make peers`: where bars of mlfinpy and RiskLabAI end, beside ours; and every difference pinned to its reason.

Standard bars mean the same to all three, so on numbers that floats add exactly the boundaries must be equal. What
differs is made to differ on purpose, in a case of its own, and must differ in just that way. Information bars follow
other rules there; one slow loop with a switch per rule turns ours into theirs.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from etl.bars import new_bars
from tests.benchmarks.bars_literal import MLFINPY, OURS, RISKLABAI, Sizes, imbalance_ends, run_ends, tick_signs
from tests.benchmarks.bars_peers import Made, Task, information_params, made_by_peers
from tests.benchmarks.bars_trades import synthetic_trades

TAPE = (
    Path(os.environ.get("DAEDALUS_TEST_DATA") or "../shared/data")
    / "questdb-sample-datasets/btc_trades.older-version.csv"
)
_PEERS = {"mlfinpy": MLFINPY, "RiskLabAI": RISKLABAI}
_SIZES = Sizes(expected=200, bars_window=15, ticks_window=3000)
UTC_US = pl.Datetime("us", "UTC")


class Finding(NamedTuple):
    """One line of the table."""

    what: str
    theirs: str
    ours: str
    is_as_said: bool


class Case(NamedTuple):
    """A task of a peer and what must come of it."""

    task: Task
    judge: Any  # (Made) -> list[Finding]


def main() -> int:
    """Compare, print, and say by the exit code whether all is as said."""
    cases = [*_standard_cases(), *_difference_cases(), *_information_cases()]
    made = made_by_peers([case.task for case in cases])
    if made is None:
        print("mlfinpy and RiskLabAI are not installed (make .bench-venv/.ready): not compared")
        return 0
    findings = [finding for case, result in zip(cases, made, strict=True) for finding in case.judge(result)]
    table = Table("what", "theirs", "ours", "")
    for finding in findings:
        table.add_row(finding.what, finding.theirs, finding.ours, "as said" if finding.is_as_said else "NOT AS SAID")
    Console(width=170).print(table)
    return 0 if all(finding.is_as_said for finding in findings) else 1


def _standard_cases() -> list[Case]:
    """Every kind of standard bars on whole cents and whole 1e-8, whose sums floats hold exactly."""
    tapes = {"synthetic": _whole(synthetic_trades(100_000), 100, 1_000_000)}
    if TAPE.exists():
        tapes["Coinbase tape"] = _whole(real_tape(), 100, 100_000_000)
    cases = []
    for name, trades in tapes.items():
        value = int((trades["price"] * trades["amount"]).sum()) // 200
        assert value * 2 < 2**53, "sums of this tape are not exact in floats"
        wanted = {"tick": 57, "volume": int(trades["amount"].sum()) // 200, "dollar": value}
        for kind, threshold in wanted.items():
            ours = _Ours(trades, kind, threshold=threshold)
            cases += [
                Case(Task(peer, kind, {"threshold": threshold}, trades), ours.judge(name, peer)) for peer in _PEERS
            ]
        ours = _Ours(trades, "time", interval=10)
        for peer, params in (
            ("mlfinpy", {"resolution": "S", "num_units": 10}),
            ("RiskLabAI", {"resolution_type": "S", "resolution_units": 10}),
        ):
            cases.append(Case(Task(peer, "time", params, trades), ours.judge(name, peer)))
    return cases


class _Ours:
    """Our bars of a tape, and how a peer's compare."""

    def __init__(self, trades: pl.DataFrame, kind: str, **params: Any) -> None:
        bars = new_bars(kind, **params)
        self._kind = kind
        self._trades = trades
        self._closed = bars.update(trades)
        self._open = bars.peek()
        self._ends = self._closed["tick_count"].cum_sum().to_list()

    def judge(self, tape: str, peer: str) -> Any:
        """The judgement of a peer's bars of the same."""

        def found(made: Made) -> list[Finding]:
            shift = 1 if (peer, self._kind) == ("mlfinpy", "time") else 0  # it counts the next bar's first trade
            ends = [end - shift for end in made.ends]
            note = ", its count one too many" if shift else ""
            tail = len(self._trades) - ends[-1]
            same = ends == self._ends and self._labels(peer) == made.labels
            return [
                Finding(
                    f"{peer} {self._kind} bars, {tape}: same ends and stamps",
                    f"{len(ends)} bars, {tail} trades in none{note}",
                    f"{len(self._ends)} bars, {self._open['tick_count'].sum()} trades in the open one",
                    same and tail == self._open["tick_count"].sum(),
                )
            ]

        return found

    def _labels(self, peer: str) -> list[str]:
        times = self._closed["time_end" if self._kind == "time" else "last_ts"]
        if self._kind == "time" and peer == "mlfinpy":
            return [str(us // 1_000_000) for us in times.to_physical().to_list()]
        return [str(moment) for moment in times.dt.replace_time_zone(None).to_list()]


def _difference_cases() -> list[Case]:
    """The differences that bars-spec 12.2 names, each where it shows."""
    return [*_float_trap(), *_strict_test(), *_unsigned_trades(), *_batches()]


def _float_trap() -> list[Case]:
    trap = _trades([0.1] * 24, [1.0] * 24)
    ours = new_bars("dollar", threshold="0.8").update(trap)["tick_count"].to_list()
    what = "bars of 0.8 from trades of 0.1"
    return [
        Case(
            Task(peer, "dollar", {"threshold": 0.8}, trap),
            _expects(f"{peer}: {what}", [9, 18], str(ours), ours == [8, 8, 8]),
        )
        for peer in _PEERS
    ]


def _strict_test() -> list[Case]:
    """A threshold that whole numbers meet exactly: RiskLabAI closes there as we do, mlfinpy a trade later."""
    rising = _trades([float(price) for price in range(100, 150)], [1.0] * 50)
    sign = tick_signs(rising["price"].to_numpy())
    literal = {"expected_ticks_init": 4, "ewma_window": 3, "imbalance_window": 3, "preset": "afml_literal"}
    ours = new_bars("tick_imbalance", **literal).update(rising)["tick_count"].cum_sum().to_list()
    sizes = Sizes(4, 3, 3)
    is_right = ours == imbalance_ends(sign, OURS, sizes)
    return [
        Case(
            Task(peer, "tick_imbalance", information_params(peer, *sizes), rising),
            _expects(
                f"{peer}: {'>' if rules.is_strict else '>='}, prices that only rise",
                imbalance_ends(sign, rules, sizes),
                str(_lengths(ours)),
                is_right,
            ),
        )
        for peer, rules in _PEERS.items()
    ]


def _unsigned_trades() -> list[Case]:
    """Trades before the first change of price, without a side."""
    trades = _trades([100.0, 100.0, 101.0, 100.0], [5.0, 7.0, 1.0, 2.0])
    bar = new_bars("tick", threshold=4).update(trades)
    sold, unknown = bar["sell_volume"].to_list(), bar["unknown_volume"].to_list()

    def judge(made: Made) -> list[Finding]:
        ours = f"{sold} sold, {unknown} of unknown side"
        return [
            Finding(
                "RiskLabAI: trades without a sign",
                f"{made.sell_volume} sold",
                ours,
                made.sell_volume == [14.0] and sold == [2.0] and unknown == [12.0],
            )
        ]

    return [Case(Task("RiskLabAI", "tick", {"threshold": 4}, trades), judge)]


def _batches() -> list[Case]:
    """mlfinpy looks for its first expectation only while a batch has no bar."""
    trades = _whole(synthetic_trades(20_000), 100, 1_000_000).drop("side")
    params = {**information_params("mlfinpy", 10, 3, 100), "exp_num_ticks_constraints": [100, 1000]}
    whole = new_bars("tick_imbalance", expected_ticks_init=10).update(trades)
    cut = new_bars("tick_imbalance", expected_ticks_init=10)
    parts = pl.concat([cut.update(trades[first : first + 1000]) for first in range(0, len(trades), 1000)])
    counts: list[int] = []

    def judge(made: Made) -> list[Finding]:
        counts.append(len(made.ends))
        if len(counts) < 2:
            return []
        ours = f"{len(whole)}, {len(parts)}"
        is_said = counts[0] != counts[1] and whole.equals(parts)
        return [Finding("mlfinpy: bars of one batch, of batches of 1,000", f"{counts[0]}, {counts[1]}", ours, is_said)]

    tasks = [Task("mlfinpy", "tick_imbalance", {**params, "batch_size": rows}, trades) for rows in (20_000, 1_000)]
    return [Case(task, judge) for task in tasks]


def _information_cases() -> list[Case]:
    """Imbalance and run bars by the book: theirs come of the slow loop with their rules, ours of it with ours."""
    trades = _whole(synthetic_trades(20_000), 100, 1_000_000).drop("side")
    sign = tick_signs(trades["price"].to_numpy())
    windows = {"ewma_window": _SIZES.bars_window, "imbalance_window": _SIZES.ticks_window}
    cases = []
    for family, slow in (("imbalance", imbalance_ends), ("run", run_ends)):
        for weight in ("tick", "volume", "dollar"):
            kind, x = f"{weight}_{family}", sign * _weights(trades, weight)
            bars = new_bars(kind, expected_ticks_init=_SIZES.expected, preset="afml_literal", **windows)
            ends = bars.update(trades)["tick_count"].cum_sum().to_list()
            is_right = ends == slow(x, OURS, _SIZES)
            for peer, rules in _PEERS.items():
                what = f"{peer} {weight} {family} bars: the book with its rules, with ours"
                task = Task(peer, kind, information_params(peer, *_SIZES), trades)
                cases.append(Case(task, _expects(what, slow(x, rules, _SIZES), f"{len(ends)} bars", is_right)))
    return cases


def _expects(what: str, ends: Sequence[int], ours: str, is_ours_right: bool) -> Any:
    """The judgement that the peer's bars end where they were expected to."""

    def found(made: Made) -> list[Finding]:
        shown = f"{len(made.ends)} bars" if len(made.ends) > 12 else str(_lengths(made.ends))
        return [Finding(what, shown, ours, is_ours_right and (made.ends == ends))]

    return found


def _lengths(ends: list[int]) -> list[int]:
    return [end - begun for begun, end in zip([0, *ends], ends, strict=False)]


def _weights(trades: pl.DataFrame, weight: str) -> Any:
    if weight == "tick":
        return np.ones(len(trades))
    size = trades["amount"].to_numpy()
    return size if weight == "volume" else size * trades["price"].to_numpy()


def real_tape() -> pl.DataFrame:
    """An hour of fills of Coinbase's BTC-USD, in the order of the file."""
    tape = pl.read_csv(TAPE, schema_overrides={"price": pl.Float64, "amount": pl.Float64})
    return tape.select(
        pl.int_range(pl.len()).cast(pl.String).alias("trade_id"),
        pl.int_range(pl.len()).alias("trade_seq"),
        pl.col("timestamp").str.to_datetime(time_unit="us", time_zone="UTC"),
        pl.col("side").str.to_lowercase(),
        "price",
        "amount",
    )


def _whole(trades: pl.DataFrame, by_price: int, by_size: int) -> pl.DataFrame:
    """The trades in the smallest units."""
    return trades.with_columns((pl.col("price") * by_price).round(), (pl.col("amount") * by_size).round())


def _trades(prices: list[float], sizes: list[float]) -> pl.DataFrame:
    number = range(len(prices))
    return pl.DataFrame(
        {
            "trade_id": [str(n) for n in number],
            "trade_seq": list(number),
            "timestamp": pl.Series([n * 1_000_000 for n in number]).cast(UTC_US),
            "price": prices,
            "amount": sizes,
        }
    )


if __name__ == "__main__":
    sys.exit(main())
