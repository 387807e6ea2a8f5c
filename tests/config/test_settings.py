"""What a settings file turns into: values, notices, folders."""

import os
from pathlib import Path

import pytest

from config.config import Settings, load_config
from shared.partitioning import Lake


def loaded(tmp_path: Path, text: str, **environment: str) -> Settings:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    file.chmod(0o600)
    return load_config(file, environment=environment)


def test_defaults_are_the_promised_ones():
    settings = Settings()
    ingestion = settings.ingestion
    assert (ingestion.queue_max_mb, ingestion.queue_maxsize, ingestion.batch_size) == (64, 100_000, 1000)
    assert (ingestion.flush_interval_seconds, ingestion.journal_sync_ms) == (0.25, 1000)
    assert (ingestion.segment_max_mb, ingestion.segment_max_seconds) == (50, 900)
    assert (ingestion.parquet_compression, ingestion.parquet_compression_level) == ("zstd", 3)
    assert ingestion.enable_fsync
    assert ingestion.auto_reconnect
    assert not ingestion.store_info_json
    assert (ingestion.max_reconnect_attempts, ingestion.reconnect_delay, ingestion.reconnect_delay_max) == (-1, 1, 60)
    assert (settings.etl.lateness_s, settings.etl.poll_interval_s, settings.etl.checkpoint_keep_days) == (10, 1, 7)
    assert settings.coinbase.silence_timeout_s == 5
    assert settings.coinbase.subscriptions == {}


def test_the_tree_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Settings().ingestion.batch_size = 5


def test_a_section_whose_keys_are_commented_out_means_the_defaults(tmp_path):
    text = "coinbase:\nccxt:\n  exchanges:\n    kraken:\netl:\n  channels:\nstorage:\n  etl_storage_input:\nlogging:\n"
    settings = loaded(tmp_path, text)
    assert settings.etl == Settings().etl
    assert settings.storage == Settings().storage
    assert settings.ccxt.exchanges["kraken"].subscriptions == {}


def test_coinbase_channels_take_the_symbols_or_their_own_list(tmp_path):
    text = "coinbase: {symbols: [BTC-USD, ETH-USD], channels: {ticker: [], level2: [BTC-USD]}}"
    subscriptions = loaded(tmp_path, text).coinbase.subscriptions
    assert subscriptions == {"market_trades": ("BTC-USD", "ETH-USD"), "level2": ("BTC-USD",)}
    assert loaded(tmp_path, text.replace("{symbols", "{enabled: false, symbols")).coinbase.subscriptions == {}


def test_ccxt_channels_are_lists_of_symbols(tmp_path):
    text = "ccxt: {exchanges: {kraken: {channels: {watchTrades: [BTC/USD], watchOrderBook: ['BTC/USDT:USDT']}}}}"
    exchange = loaded(tmp_path, text).ccxt.exchanges["kraken"]
    assert exchange.subscriptions == {"watchTrades": ("BTC/USD",), "watchOrderBook": ("BTC/USDT:USDT",)}


def test_a_whole_number_may_stand_for_a_number(tmp_path):
    assert loaded(tmp_path, "etl: {lateness_s: 3}").etl.lateness_s == 3.0


@pytest.mark.parametrize("text", ["[exchange, symbol, date]", "[date, symbol, exchange]"])
def test_date_means_year_month_day(tmp_path, text):
    settings = loaded(tmp_path, f"etl: {{channels: {{trades: {{partition_cols: {text}}}}}}}")
    assert settings.etl.channels.trades.partition_cols == ("exchange", "symbol", "year", "month", "day")


def test_bar_filters_use_the_names_of_the_lake(tmp_path):
    text = "etl: {bars: [{type: time, interval: 1m, symbols: [BTC/USD], exchanges: [coinbase, kraken]}]}"
    bars = loaded(tmp_path, text).etl.bars[0]
    assert bars.symbols == ("BTC-USD",)
    assert bars.exchanges == ("coinbaseadvanced", "kraken")


def test_the_lake_is_below_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lake = loaded(tmp_path, "storage: {paths: {raw_dir: r, state_dir: /var/state, ready_subdir: done}}").lake()
    assert lake == Lake(
        raw=tmp_path / "r", processed=tmp_path / "data/processed", state=Path("/var/state"), ready_subdir="done"
    )


def test_a_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert loaded(tmp_path, "storage: {paths: {raw_dir: ~/lake}}").lake().raw == tmp_path / "lake"


def test_older_keys_are_accepted_with_one_line_each(tmp_path):
    text = """
features: {a: [1]}
etl:
  delete_after_processing: true
  channels: {trades: {features: [x], delete_after_processing: false}}
storage: {paths: {processing_subdir: processing}}
"""
    settings = loaded(tmp_path, text)
    starts = [notice.split(" does nothing")[0] for notice in settings.notices]
    assert sorted(starts) == [
        "etl.channels.trades.delete_after_processing",
        "etl.channels.trades.features",
        "etl.delete_after_processing",
        "features",
        "storage.paths.processing_subdir",
    ]
    assert all("Replaced by" in notice and "\n" not in notice for notice in settings.notices)
    assert "processing" not in repr(settings.storage.paths)


def test_durability_off_is_said_aloud(tmp_path):
    (notice,) = loaded(tmp_path, "ingestion: {enable_fsync: false}").notices
    assert notice.startswith("DURABILITY IS OFF")


def test_reading_needs_no_settings_of_the_process(tmp_path, monkeypatch):
    monkeypatch.setenv("DAEDALUS_COINBASE__API_KEY", "from-the-process")
    file = tmp_path / "c.yaml"
    file.write_text("logging: {level: INFO}")
    assert load_config(file).coinbase.api_key.get_secret_value() == "from-the-process"
    assert load_config(str(file), environment={}).coinbase.api_key is None
    assert "DAEDALUS_COINBASE__API_KEY" in os.environ
