"""The page on bars shows code and settings that work."""

import re
from pathlib import Path

import polars as pl
import yaml

from etl.bars import bar_types
from scripts.bar_sets import described
from tests.scripts.test_bars_commands import tape

PAGE = (Path(__file__).parents[1] / "docs" / "bars.md").read_text()


def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    tape(2000).write_parquet("trades.parquet")
    of_notebook, _, of_lake = code.partition("lake = ")
    names: dict[str, pl.DataFrame] = {}
    exec(of_notebook, names)
    assert names["closed"]["close_reason"][0] == "warmup"
    assert len(names["live"]) == 1
    folder = tmp_path / "data/processed/gold/bars/bar_set=dollar-1000000-8df0c1/symbol=BTC-USD"
    folder.mkdir(parents=True)
    bars = pl.DataFrame({"available_at": [1], "close": [2.0], "bar_set": "dollar-1000000-8df0c1", "symbol": "BTC-USD"})
    bars.write_parquet(folder / "x.parquet")
    exec(f"lake = {of_lake}", names)
    assert names["close"].rows() == [(1, 2.0)]


def test_the_settings_of_the_page_are_good():
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    for bar_set in yaml.safe_load(text)["etl"]["bars"]:
        described(bar_set.pop("type"), {name: value for name, value in bar_set.items() if name != "symbols"})


def test_every_kind_has_a_row_of_advice():
    told = PAGE.partition("## Presets")[0]
    assert [kind for kind in bar_types() if f"`{kind}`" not in told] == []
