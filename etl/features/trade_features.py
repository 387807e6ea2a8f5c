"""Silver `trade_features`: what each trade says of those before it."""

import polars as pl

from etl.features.declared import Fact, Feature
from etl.features.options import FeatureOptions

_UTC = pl.Datetime("us", "UTC")
_HOUSE = "definition"

FACTS = (
    Fact("ordinal", pl.Int64(), "that of the silver trade"),
    Fact("timestamp", _UTC, "the largest time of a trade up to this one: never goes back"),
    Fact("known_at", _UTC, "when this trade and all before it had arrived"),
    Fact("has_gap", pl.Boolean(), "trades are missing between this one and the one before"),
)


def features(options: FeatureOptions) -> tuple[Feature, ...]:
    """The features of each trade as these options make them."""
    tau, signs, sizes = f"{options.trade_rate_tau_s:g} s", options.sign_window, options.large_trade_window
    rate = f"sum of exp(-(t - t_j) / {tau}) / {tau} over {{}}, this one too"
    lee = "Lee and Ready 1991; Lopez de Prado 2018, 2.3.2"
    return (
        Feature("direction", "sign", "taker: +1 buys, -1 sells; by the tick rule where unknown", lee, "S14", pl.Int64),
        Feature("dollar_volume", "quote", "price x amount, of the decimals", _HOUSE, "5"),
        Feature("log_return", "1", "ln(price_k / price_k-1)", _HOUSE, "5"),
        Feature("trade_rate_ew", "1/s", rate.format("all trades"), _HOUSE, "A21"),
        Feature("trade_rate_ew_buy", "1/s", rate.format("buys"), _HOUSE, "A21"),
        Feature("trade_rate_ew_sell", "1/s", rate.format("sells"), _HOUSE, "A21"),
        Feature("trade_rate_log_ratio", "1", "ln(trade_rate_ew_buy / trade_rate_ew_sell)", _HOUSE, "A21"),
        Feature(
            "sign_autocorr",
            "[-1, 1]",
            f"of the last {signs} signs b: sum (b_i - mean)(b_i-1 - mean) / sum (b_i - mean)^2",
            "Lillo and Farmer 2004",
            "A22",
        ),
        Feature("sign_streak", "trades", "sign x length of the run of trades of one sign", _HOUSE, "A23", pl.Int64),
        Feature(
            "large_share",
            "fraction",
            f"share of the last {sizes} trades' volume in those at or above the 90 % quantile of the {sizes} before",
            _HOUSE,
            "A24",
        ),
        Feature("trade_hhi", "[1/n, 1]", f"sum (v / sum v)^2 over the last {sizes} trades", "Herfindahl", "A24"),
    )
