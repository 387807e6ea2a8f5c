"""What the settings say of features reaches what is run, and what they cannot mean is one line with the whole key."""

import re
from pathlib import Path

import pytest
from numba import njit

from config.config import load_config
from etl.core.config import EtlOptions
from etl.features.options import FeatureOptions
from scripts.cli import main
from scripts.watch import etl_options
from shared.errors import SettingsInvalid


def options(tmp_path: Path, channels: str) -> EtlOptions:
    file = tmp_path / "config.yaml"
    file.write_text(f"etl: {{channels: {{{channels}}}}}\n")
    return etl_options(load_config(file))


def test_all_features_are_made_unless_a_channel_is_off(tmp_path: Path) -> None:
    features = options(tmp_path, "").features
    assert (features.trades, features.ticker, features.orderbook) == (True, True, True)
    assert features.tables == {"trades", "gaps", "ticker", "l2", "orderbook"}
    assert features.options == FeatureOptions()
    features = options(tmp_path, "ticker: {enabled: false}, orderbook: {enabled: false}").features
    assert features.tables == {"trades", "gaps"}


def test_processor_options_sources_and_folders_reach_the_chains(tmp_path: Path) -> None:
    found = options(
        tmp_path,
        "trades: {processor_options: {dedup_window: 5, sign_window: 30}}, "
        "ticker: {partition_cols: [exchange, symbol, year, month]}, "
        "orderbook: {source: l2, partition_cols: [exchange, symbol, date, hour], "
        "processor_options: {horizons: [5, 60.5], max_levels: 10, ofi_levels: 5, vpin_bucket_volume: 12.5}}",
    )
    assert found.trades == {"dedup_window": 5}
    features = found.features
    assert features.book_tables == ("l2",)
    assert (features.ticker_unit, features.orderbook_unit) == ("month", "hour")
    expected = FeatureOptions(horizons=(5, 60.5), max_levels=10, ofi_levels=5, vpin_bucket_volume=12.5, sign_window=30)
    assert features.options == expected


@pytest.mark.parametrize(
    ("channels", "problem"),
    [
        (
            "trades: {processor_options: {sign_windov: 3}}",
            "etl.channels.trades.processor_options.sign_windov: unknown; "
            "there are dedup_window, trade_rate_tau_s, sign_window, large_trade_window",
        ),
        (
            "trades: {processor_options: {sign_window: 1}}",
            "etl.channels.trades.processor_options.sign_window: found 1, expected whole number, 2 to 100000",
        ),
        (
            "trades: {processor_options: {dedup_window: 0}}",
            "etl.channels.trades.processor_options.dedup_window: found 0, expected whole number, at least 1",
        ),
        (
            "ticker: {processor_options: {levels: 3}}",
            "etl.channels.ticker.processor_options.levels: the ticker has no options",
        ),
        (
            "orderbook: {processor_options: {max_level: 3}}",
            "etl.channels.orderbook.processor_options.max_level is not an option of features: did you mean max_levels?",
        ),
        (
            "orderbook: {processor_options: {sign_window: 3}}",
            "etl.channels.orderbook.processor_options.sign_window: it is about trades",
        ),
        (
            "orderbook: {processor_options: {ofi_levels: 11}}",
            "etl.channels.orderbook.processor_options.ofi_levels must be at most half of max_levels (20), was 11",
        ),
        (
            "orderbook: {processor_options: {horizons: [5, x]}}",
            "etl.channels.orderbook.processor_options.horizons: found [5, 'x'], expected list of number, ",
        ),
        (
            "orderbook: {processor_options: {smart_depth_kind: near}}",
            "processor_options.smart_depth_kind: found 'near', expected one of distance, index",
        ),
        (
            "orderbook: {processor_options: {hf_emit_interval: null}}",
            "processor_options.hf_emit_interval: found nothing, expected number, 0 to 3600",
        ),
    ],
)
def test_an_option_that_cannot_be_is_told_by_its_whole_key(tmp_path: Path, channels: str, problem: str) -> None:
    with pytest.raises(SettingsInvalid, match=re.escape(problem)):
        options(tmp_path, channels)


def test_the_watcher_says_why_its_first_start_takes_its_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = ", ".join(f"{name}_dir: {tmp_path / name}" for name in ("raw", "processed", "state"))
    file = tmp_path / "config.yaml"
    file.write_text(f"storage: {{paths: {{{paths}}}}}\n")
    with pytest.raises(SystemExit) as ended:
        main(["watch", "--once", "--config", str(file)])
    assert not ended.value.code
    capsys.readouterr()
    assert njit(lambda x: x + 1)(1) == 2
    assert "first start of this version: compiling takes a minute or more" in capsys.readouterr().err
