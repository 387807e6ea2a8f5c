"""The options of the features, by the names and with the defaults of `etl.features`; any object with these will do."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Options:
    """Defaults of the specification."""

    max_levels: int = 20
    depth_levels: int = 5
    level_columns: bool = True
    bands_bps: tuple[int, ...] = (0, 5, 10, 25, 50, 100)
    smart_depth_kind: str = "distance"
    smart_half_life_bps: float = 5.0
    smart_alpha: float = 0.5
    lot_size: float = 1.0  # what ns_slope counts sizes in
    slope_kinds: tuple[str, ...] = ()
    cost_base_sizes: tuple[float, ...] = ()
    cost_quote_sizes: tuple[float, ...] = (1000, 10000)
    ofi_levels: int = 10
    ofi_decay_alpha: float = 0.5
    ofi_decay_kind: str = "exp"
    use_dynamic_spread_regime: bool = True
    spread_regime_window: float = 300
    spread_tight_percentile: float = 0.2
    spread_wide_percentile: float = 0.8
    tight_spread_threshold: float = 1e-4
    kyle_lambda_window: float = 300
    kyle_intercept: bool = True
    enable_vpin: bool = True
    vpin_bucket_volume: float | None = None
    vpin_window_buckets: int = 50
    max_state_staleness_seconds: float = 300
    hf_emit_interval: float = 1.0
    horizons: tuple[int, ...] = (5, 15, 60, 300, 900)
    ew_taus_s: tuple[int, ...] = (10, 60)
    partial_windows: bool = False
    min_obs: int = 2
    min_obs_regression: int = 10
    trade_rate_tau_s: float = 10.0
    sign_window: int = 100
    large_trade_window: int = 100
    variance_ratio_lags: tuple[int, ...] = (2, 5, 10)
    yang_zhang_bars: tuple[int, ...] = (20,)
