"""An inverted feed, end to end: `check` says what to set, the setting makes silver and bars anew, `check` passes."""

import json
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from scripts import cli
from shared.partitioning import Lake
from shared.rows import OrderBook, Row, Ticker, Trade
from storage import side_report
from storage.inspection import Scope
from storage.side_report import SideReport
from tests.etl.core.test_streams import Recorder, gold, run, silver_of
from tests.ingestion.writers.lake_rows import START_NS

DAY_US = 86_400_000_000
SETTINGS = """
etl: {{lateness_s: 1, bars: [{{type: tick, threshold: 100}}], side_convention: {sides}}}
storage: {{paths: {{raw_dir: "{root}/raw", processed_dir: "{root}/processed", state_dir: "{root}/state"}}}}
logging: {{level: error}}
"""


def makers_tape(count: int, *, first: int = 1, start_us: int = START_NS // 1000) -> list[Trade]:
    """Takers move the price nine times in ten, and each word names the maker."""
    rng, price, out = random.Random(first), 1000.0, []
    for number in range(first, first + count):
        taker = rng.choice(("buy", "sell"))
        price += 0.5 if (taker == "buy") == (rng.random() < 0.9) else -0.5
        word = "sell" if taker == "buy" else "buy"
        us = start_us + (number - first) * 500_000
        out.append(Trade("BTC-USD", us, str(number), number, word, word, price, 1.0))
    return out


@dataclass
class House:
    """A lake with its settings file and its command line."""

    lake: Lake
    capsys: pytest.CaptureFixture[str]

    @property
    def file(self) -> Path:
        return self.lake.raw.parent / "config.yaml"

    def set(self, sides: str) -> None:
        self.file.write_text(SETTINGS.format(root=self.file.parent, sides=sides))

    def run(self, *arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main([*arguments, "--config", str(self.file)])
        out, err = self.capsys.readouterr()
        return int(stopped.value.code or 0), out + err


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake.under(tmp_path_factory.mktemp("recorded"))
    busy = makers_tape(11_000)
    quiet = makers_tape(50, first=11_001, start_us=START_NS // 1000 + DAY_US)
    Recorder(lake, "kraken").record([busy[:6000], busy[6000:], quiet])
    return lake


@pytest.fixture
def house(recorded: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    shutil.copytree(recorded.raw, tmp_path / "raw")
    house = House(Lake.under(tmp_path), capsys)
    house.set("{}")
    assert house.run("watch", "--once")[0] == 0
    return house


def test_an_inverted_feed_is_found_mended_and_found_sound(house: House) -> None:
    code, out = house.run("check")
    assert code == 1
    assert "sides, by symbol and day: 0 taker, 1 inverted, 1 too few to judge (below 10,000 price changes)" in out
    last = out.splitlines()[-1]
    assert last.startswith("INVERTED SIDES: kraken BTC-USD 2026-05-28: inverted, the stored side agrees with 9.8% of ")
    assert "of 10,999 price changes" in last
    assert f"set etl.side_convention: {{kraken: maker}} in {house.file}, then run `daedalus watch --once`" in last
    wrong, wrong_bars = silver_of(house.lake), gold(house.lake, "tick")

    house.set("{kraken: maker}")
    code, out = house.run("check")  # silver is still the old one
    assert code == 1
    assert "took the exchange's word for the taker's side, the settings say maker: run" in out
    assert house.run("watch", "--once")[0] == 0
    code, out = house.run("check")
    assert code == 0
    assert "sides, by symbol and day: 1 taker, 0 inverted, 1 too few" in out
    assert out.splitlines()[-1].startswith("COMPLETE: ")

    mended, bars = silver_of(house.lake), gold(house.lake, "tick")
    assert mended["side"].to_list() == [{"buy": "sell", "sell": "buy"}[side] for side in wrong["side"]]
    assert mended.drop("side", "side_names").equals(wrong.drop("side", "side_names"))
    assert bars["buy_volume"].to_list() == wrong_bars["sell_volume"].to_list()
    assert bars.height == wrong_bars.height
    house.run("watch", "--once")
    assert silver_of(house.lake).equals(mended)  # nothing is made anew twice


def test_the_report_is_a_table_and_json_and_a_day_is_read_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out = house.run("check", "--json")
    assert code == 1
    answer = json.loads(out)
    assert answer["complete"] is True
    assert len(answer["sides_inverted"]) == 1
    busy, quiet = answer["sides"]
    assert (busy["verdict"], busy["price_changes"], quiet["verdict"]) == ("inverted", 10_999, "too few")
    root = house.lake.quality("sides") / "exchange=kraken" / "symbol=BTC-USD" / "year=2026" / "month=5"
    rows = pl.read_parquet(root / "sides.parquet", hive_partitioning=False)
    assert rows.schema == side_report.SCHEMA
    assert rows.drop("files").to_dicts() == [
        {name: row[name] for name in rows.columns if name != "files"} for row in answer["sides"]
    ]
    assert house.run("query", "select sum(trades) from quality_sides", "--csv")[1].splitlines()[-1] == str(
        silver_of(house.lake).height
    )
    monkeypatch.setattr(side_report, "agreement_with_prices", None)  # must not be called
    assert house.run("check", "--json")[1] == out
    assert house.run("check", "--hours")[1].count("kraken BTC-USD 2026-05-2") == 3


def test_a_question_about_other_days_or_tables_hears_nothing_of_it(house: House) -> None:
    assert house.run("check", "--since", "2026-05-29")[0] == 0
    code, out = house.run("check", "--channel", "trades", "--until", "2026-05-29")
    assert code == 1
    assert "0 taker, 1 inverted\n" in out
    assert SideReport(house.lake, Scope(tables=("ticker",))).days() == []
    assert SideReport(house.lake, Scope(symbols=("ETH-USD",))).days() == []


def test_a_spoilt_report_is_made_again_and_a_lake_that_cannot_be_written_is_judged(house: House) -> None:
    _, out = house.run("check")
    (path,) = house.lake.quality("sides").glob("**/*.parquet")
    path.write_bytes(path.read_bytes()[:100])
    assert house.run("check")[1] == out
    assert pl.read_parquet(path, hive_partitioning=False).height == 2
    shutil.rmtree(house.lake.processed / "quality")
    (house.lake.processed / "quality").write_text("a file where the folder should be")
    code, again = house.run("check")
    assert code == 1
    assert "sides are not kept for the next look: " in again
    assert again.splitlines()[-1] == out.splitlines()[-1]


def test_a_silver_file_that_cannot_be_read_is_named(house: House) -> None:
    path = min(house.lake.silver("trades").glob("**/*.parquet"))
    path.write_bytes(path.read_bytes()[:200])
    code, out = house.run("check")
    assert code == 1
    assert f"NOT PROVEN: {path.parent} cannot be read: " in out


@pytest.mark.parametrize("table", ["ticker", "orderbook"])
def test_quotes_judge_a_market_whose_price_rarely_moves(tmp_path: Path, table: str) -> None:
    """Every trade is made at the touch of a standing spread, one price per hour: prices say nothing, quotes all."""
    lake, us = Lake.under(tmp_path), START_NS // 1000
    rows: list[Row] = []
    for number in range(1, 40):
        us += 400_000
        quote = Ticker("BTC-USD", us, bid=9.0, ask=10.0)
        book = OrderBook("BTC-USD", us, None, 9.0, 1.0, 10.0, 1.0, [], [])
        taker = "buy" if number < 20 else "sell"
        us += 100_000
        rows += [quote if table == "ticker" else book]
        rows += [Trade("BTC-USD", us, str(number), number, taker, taker, 10.0 if taker == "buy" else 9.0, 1.0)]
    Recorder(lake, "kraken").record([rows])
    run(lake, end_of_data=True)
    (day,) = SideReport(lake, Scope()).days()
    assert (day.price_changes, day.quoted, day.quote_agreeing) == (1, 39, 39)


def test_settings_name_conventions_that_there_are(house: House) -> None:
    house.set("{kraken: makers}")
    code, out = house.run("watch", "--once")
    assert code == 2
    assert "etl.side_convention" in out
