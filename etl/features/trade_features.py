"""Silver `trade_features`: what each trade says of those before it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from etl.bars.signs import tick_rule
from etl.features import given
from etl.features.columns import columns
from etl.features.decimals import decimals, difference
from etl.features.declared import HOUSE, TIME, Fact, Feature
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Int64s
from etl.features.saved import Arrays, SavedState, saved
from etl.features.stateful import moments
from etl.features.trade_kernels import autocorrelation, dollar_volumes, large_trades, pace, runs
from shared.errors import InputUnreadable

VERSION = 1
OPTIONS = ("trade_rate_tau_s", "sign_window", "large_trade_window")  # that its rows depend on
_NEEDED = pl.Schema({"timestamp": TIME, "price": pl.Float64(), "amount": pl.Float64(), "side": pl.String()})
_NEVER_US = 2**62
_ORDINAL, _LAST_NS, _KNOWN_NS, _LAST_SIGN, _STREAK = range(5)  # places in the clock

FACTS = (
    Fact("ordinal", pl.Int64(), "that of the silver trade"),
    Fact("timestamp", TIME, "the largest time of a trade up to this one: never goes back"),
    Fact("known_at", TIME, "when this trade and all before it had arrived"),
    Fact("has_gap", pl.Boolean(), "trades are missing between this one and the one before"),
)


def features(options: FeatureOptions) -> tuple[Feature, ...]:
    """The features of each trade as these options make them."""
    tau, signs, sizes = f"{options.trade_rate_tau_s:g} s", options.sign_window, options.large_trade_window
    rate = f"sum of exp(-(t - t_j) / {tau}) / {tau} over {{}}, this one too"
    lee = "Lee and Ready 1991; Lopez de Prado 2018, 2.3.2"
    return (
        Feature("direction", "sign", "taker: +1 buys, -1 sells; by the tick rule where unknown", lee, "S14", pl.Int64),
        Feature("dollar_volume", "quote", "price x amount, of the decimals", HOUSE, "5"),
        Feature("log_return", "1", "ln(price_k / price_k-1)", HOUSE, "5"),
        Feature("trade_rate_ew", "1/s", rate.format("all trades"), HOUSE, "A21"),
        Feature("trade_rate_ew_buy", "1/s", rate.format("buys"), HOUSE, "A21"),
        Feature("trade_rate_ew_sell", "1/s", rate.format("sells"), HOUSE, "A21"),
        Feature("trade_rate_log_ratio", "1", "ln(trade_rate_ew_buy / trade_rate_ew_sell)", HOUSE, "A21"),
        Feature(
            "sign_autocorr",
            "[-1, 1]",
            f"of the last {signs} signs b: sum (b_i - mean)(b_i-1 - mean) / sum (b_i - mean)^2",
            "Lillo and Farmer 2004",
            "A22",
        ),
        Feature("sign_streak", "trades", "sign x length of the run of trades of one sign", HOUSE, "A23", pl.Int64),
        Feature(
            "large_share",
            "fraction",
            f"share of the last {sizes} trades' volume in those at or above the 90 % quantile of the {sizes} before",
            HOUSE,
            "A24",
        ),
        Feature("trade_hhi", "[1/n, 1]", f"sum (v / sum v)^2 over the last {sizes} trades", "Herfindahl", "A24"),
    )


class TradeFeatures:
    """A row for each trade of one stream, equal however the trades are cut and wherever it is restarted.

    Options are those of `FeatureOptions`, by name; those of `OPTIONS` matter here. Memory and time per trade are
    those of its windows, whatever came before.

    Raises: ValueError for an option that does not exist or a value that it cannot have; StateMismatch for a state of
        another version or of other options.
    """

    def __init__(self, *, state: SavedState | None = None, **options: Any) -> None:
        self.options = FeatureOptions.of(options)
        self.features = features(self.options)
        self._state: Arrays = {
            "clock": np.zeros(5, np.int64),
            "last_price": np.zeros(1),  # 0: none
            "rates": np.zeros(3),  # of all, buys, sells: decayed counts at the last trade
            "signs": np.empty(0, np.int8),  # of the last sign_window trades
            "amounts": np.empty(0),  # of the last 2 large_trade_window trades
        }
        self._counts = dict.fromkeys(("trades", "unsigned_trades"), 0)
        if state:
            state.restore(self._state, version=VERSION, options=self.options.identity(*OPTIONS))
            self._counts |= state.counts

    def update(self, trades: pl.DataFrame) -> pl.DataFrame:
        """The rows of these trades.

        Args:
            trades: `timestamp` (of silver: its `tape_ts`), `price`, `amount`, `side`, in order, each once; optionally
                `ordinal`, `known_at`, `gap_before`, and `price_text`, `amount_text` where a float is not the number.

        Raises: InputUnreadable naming a column that is missing or of a wrong type, or a trade that is out of order or
            has no price or amount.
        """
        new, clock, n = given.trades(trades), self._state["clock"], len(trades)
        ordinal = self._ordinals(trades)
        if n and new.t_ns[0] < clock[_LAST_NS]:
            raise InputUnreadable("trades begin before the last one seen", hint="Give them in order, each once")
        made = {feature.name: np.full(n, np.nan) for feature in self.features}
        known_ns = np.maximum.accumulate(np.maximum(new.known_ns, clock[_KNOWN_NS]))
        if n:
            made["dollar_volume"] = dollar_volumes(trades)  # refuses what is no trade, before anything is remembered
            self._take(new, made)
            clock[_ORDINAL], clock[_LAST_NS], clock[_KNOWN_NS] = ordinal[-1] + 1, new.t_ns[-1], known_ns[-1]
        facts = {"timestamp": moments(new.t_ns), "known_at": moments(known_ns), "has_gap": new.has_gap}
        return pl.DataFrame({"ordinal": ordinal, **facts}).hstack(columns(self.features, made))

    def flush(self) -> pl.DataFrame:
        """No rows: none is open between trades."""
        return self.update(pl.DataFrame(schema=_NEEDED))

    @property
    def counts(self) -> Mapping[str, int]:
        """How many trades were seen, and how many without a known sign, since the very beginning."""
        return self._counts

    def snapshot(self) -> SavedState:
        """The whole state, for `state=` of an equal maker."""
        options = self.options.identity(*OPTIONS)
        return SavedState(version=VERSION, options=options, arrays=saved(self._state), counts=dict(self._counts))

    def _ordinals(self, trades: pl.DataFrame) -> Int64s:
        """The trades' own, or numbers that go on from those before."""
        seen, following = self._counts["trades"], self._state["clock"][_ORDINAL]
        if "ordinal" not in trades.columns:
            return np.arange(following, following + len(trades))
        ordinal = trades["ordinal"].cast(pl.Int64)
        if not len(ordinal):
            return np.empty(0, np.int64)
        expected = np.arange(len(ordinal)) + (following if seen else ordinal[0])
        wrong = (ordinal != pl.Series(expected)).fill_null(True).arg_true()
        if len(wrong):
            place = wrong[0]
            raise InputUnreadable(
                f"ordinal {expected[place]} of trades is missing: there came {ordinal[place]}",
                hint="Every trade counts: give all of them, in order, each once",
            )
        return np.asarray(expected)

    def _take(self, new: given.GivenTrades, made: dict[str, Floats]) -> None:
        """Fill all features but the dollar volume, and remember what they need."""
        state, clock, last_price = self._state, self._state["clock"], self._state["last_price"]
        n, options = len(new.t_ns), self.options
        sign, by = np.empty(n, np.int8), np.empty(n, np.int8)
        tick_rule(new.side, new.price, new.t_ns, float(last_price[0]), int(clock[_LAST_SIGN]), 0, _NEVER_US, sign, by)
        made["direction"] = sign.astype(np.float64)
        before = np.concatenate([last_price, new.price[:-1]])
        before[before == 0] = np.nan
        rise = difference(decimals(new.price, what="price"), decimals(before, what="price"))
        made["log_return"] = np.log1p(rise / before)  # a tick of a price of 100 000 has its digits too
        rates = np.empty((3, n))
        pace(new.t_ns, sign, options.trade_rate_tau_s, int(clock[_LAST_NS]), state["rates"], rates)
        made["trade_rate_ew"], made["trade_rate_ew_buy"], made["trade_rate_ew_sell"] = rates
        both = (rates[1] > 0) & (rates[2] > 0)
        made["trade_rate_log_ratio"][both] = np.log(rates[1, both]) - np.log(rates[2, both])
        signs = np.concatenate([state["signs"], sign])
        autocorrelation(signs, len(state["signs"]), options.sign_window, made["sign_autocorr"])
        clock[_STREAK] = runs(sign, int(clock[_STREAK]), made["sign_streak"])
        amounts, window = np.concatenate([state["amounts"], new.amount]), options.large_trade_window
        first = len(state["amounts"])
        ordered = np.sort(amounts[max(0, first - 2 * window) : max(0, first - window)])
        large_trades(amounts, first, window, ordered, made["large_share"], made["trade_hhi"])
        state["signs"], state["amounts"] = signs[-options.sign_window :].copy(), amounts[-2 * window :].copy()
        clock[_LAST_SIGN], last_price[0] = sign[-1], new.price[-1]
        self._counts["trades"] += n
        self._counts["unsigned_trades"] += int((sign == 0).sum())
