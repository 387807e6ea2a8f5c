"""Whose side an exchange's words name is a rule of silver: another makes silver and bars anew, whole or not at all."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from etl.core.executor import TransformExecutor
from shared.exchange_facts import EXCHANGE_FACTS, ExchangeFacts
from shared.partitioning import Lake
from tests.etl.core.test_streams import Recorder, cut, gold, market, options, run, silver_of, tables


def run_as(lake: Lake, convention: str) -> None:
    executor = TransformExecutor(replace(options(lake), side_convention={"kraken": convention}))
    try:
        executor.run()
    finally:
        executor.close()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake.under(tmp_path)
    Recorder(lake, "kraken").record(cut(market(1, exchange="kraken", trades=300), random.Random(1)))
    run(lake)
    return lake


def test_another_convention_gives_what_it_would_have_given_from_the_start(lake: Lake, tmp_path: Path) -> None:
    before, bars = tables(lake), gold(lake, "tick")
    assert set(silver_of(lake)["side_names"]) == {"taker"}
    run_as(lake, "maker")
    fresh = Lake(lake.raw, tmp_path / "fresh", tmp_path / "fresh_state")
    run_as(fresh, "maker")
    assert tables(lake) == tables(fresh)
    assert gold(lake, "tick")["buy_volume"].to_list() == bars["sell_volume"].to_list()
    run_as(lake, "unknown")
    assert silver_of(lake)["side"].null_count() == silver_of(lake).height
    run(lake)
    assert tables(lake) == before


def test_a_fact_that_is_mended_in_the_code_makes_silver_anew(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    sides = silver_of(lake)["side"]
    monkeypatch.setitem(EXCHANGE_FACTS, "kraken", ExchangeFacts("maker", "contiguous", "measured anew"))
    run(lake)
    assert (silver_of(lake)["side"] != sides).all()


def test_the_same_convention_said_in_the_settings_makes_nothing_anew(lake: Lake) -> None:
    times = {path: path.stat().st_mtime_ns for path in lake.processed.rglob("*.parquet")}
    run_as(lake, "taker")
    assert times == {path: path.stat().st_mtime_ns for path in lake.processed.rglob("*.parquet")}


def test_without_all_its_bronze_nothing_is_made_anew(lake: Lake) -> None:
    """The newest file is missing: the first steps are not taken either."""
    before = tables(lake)
    max(lake.ready.glob("native/trades/**/*.parquet"), key=lambda path: path.name).unlink()
    with pytest.raises(ExceptionGroup) as error:
        run_as(lake, "maker")
    assert "1 published files are missing" in str(error.value.exceptions[0])
    assert tables(lake) == before
