"""Whether the spread is tight or wide, by what it was of late."""

import numpy as np
import polars as pl

from etl.features.decimals import decimals, difference
from etl.features.declared import HOUSE, Feature, StatefulFamily
from etl.features.options import FeatureOptions, seconds_label
from etl.features.ranks import TimeRanks
from etl.features.rows import Floats, Rows
from etl.features.saved import Arrays
from etl.features.windows import TimeSums

OBSERVATIONS = 30  # that a rank needs
_ROUNDING = 1e-15  # a relative spread of exactly the threshold is tight, however it was rounded


class Regime(StatefulFamily):
    """The mid-rank of the spread among those of the window before it, ties counted half.

    Spreads are compared as exact decimals in quote units: two equal ones stay equal while the mid price moves. A reset
    forgets none of them, because none is older than an hour.
    """

    rank = 100
    needs = ("price",)
    options = (
        "use_dynamic_spread_regime", "spread_regime_window", "spread_tight_percentile", "spread_wide_percentile",
        "tight_spread_threshold", "horizons", "min_obs", "partial_windows",
    )  # fmt: skip

    def __init__(self, options: FeatureOptions) -> None:
        low, high = options.spread_tight_percentile, options.spread_wide_percentile
        rank = f"(#less + #equal / 2) / n of spreads in the {options.spread_regime_window:g} s before, n >= 30"
        told = f"-1 tight: pct <= {low:g}; 1 wide: pct >= {high:g}; static: tight at spread / mid <= threshold"
        self.features = (
            Feature("spread_pct", "[0, 1]", rank, HOUSE, "S17"),
            Feature("spread_regime", "", told, HOUSE, "S17", pl.Int64),
            Feature("regime_source", "", "whether pct decided", HOUSE, "S17", pl.String, ("static", "dynamic")),
            *(
                Feature(f"{name}_frac_{seconds_label(h)}", "[0, 1]", f"share of {name} rows", HOUSE, "S20")
                for h in options.horizons
                for name in ("tight", "wide")
            ),
        )
        self._options = options
        self.state: Arrays = {}
        self._ranks = TimeRanks(options.spread_regime_window, at_least=OBSERVATIONS, state=self.state)
        self._shares = TimeSums(2, options.horizons, state=self.state)

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        options, mid = self._options, rows.columns["mid_price"]
        ask, bid = (decimals(side[:, 0].copy(), what="price") for side in (rows.ask_price, rows.bid_price))
        spread = difference(ask, bid)
        rank = np.full(len(rows), np.nan)
        if options.use_dynamic_spread_regime:
            rank = self._ranks.update(rows.t_ns, spread)
        is_dynamic = ~np.isnan(rank)
        is_tight = np.where(
            is_dynamic,
            rank <= options.spread_tight_percentile,
            spread <= options.tight_spread_threshold * mid * (1 + _ROUNDING),
        )
        is_wide = rank >= options.spread_wide_percentile
        told = (rank, is_wide.astype(np.float64) - is_tight, is_dynamic * 1.0)
        shares = self._shares_of(rows, np.stack([is_tight, is_wide], axis=1) * 1.0)
        return self.named((*told, *shares))

    def _shares_of(self, rows: Rows, told: Floats) -> list[Floats]:
        """Of each horizon's rows the tight and the wide ones."""
        options, windowed = self._options, self._shares.update(rows.t_ns, rows.is_reset, told)
        shares = []
        for place, length_ns in enumerate(self._shares.lengths_ns.tolist()):
            count = windowed.counts[:, place, 0]
            is_known = windowed.known(place, length_ns=length_ns, partial=options.partial_windows)
            is_known &= count >= max(1, options.min_obs)
            for column in range(2):
                share = np.full(len(rows), np.nan)
                shares.append(np.divide(windowed.sums[:, place, column], count, out=share, where=is_known))
        return shares
