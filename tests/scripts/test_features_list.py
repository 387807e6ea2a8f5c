"""`daedalus features list`, through the real command."""

import csv
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from etl.features.declared import families
from etl.features.options import FeatureOptions
from etl.features.tables import TABLES
from scripts.cli import main


def ran(*args: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(["features", "list", *map(str, args)])
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def done(*args: object) -> str:
    code, out, err = ran(*args)
    assert (code, err) == (0, "")
    return out


def refused(*args: object) -> str:
    code, out, err = ran(*args)
    assert (code, out) == (2, "")
    return " ".join(err.split())


def test_every_feature_of_every_table_is_there_once_in_the_order_of_columns():
    rows = json.loads(done("--json"))
    names = {table.name: [row["name"] for row in rows if row["table"] == table.name] for table in TABLES}
    options = FeatureOptions()
    assert names == {table.name: [feature.name for feature in table.features(options)] for table in TABLES}


def test_each_says_unit_formula_source_and_where_it_comes_from():
    for row in json.loads(done("--json")):
        assert all(row[key] for key in ("formula", "source", "spec", "type", "channels")), row
        assert row["unit"] or row["type"] != "float64", row


def test_csv_and_json_say_the_same():
    told = [row | {"channels": " ".join(row["channels"])} for row in json.loads(done("--json"))]
    assert list(csv.DictReader(io.StringIO(done("--csv")))) == told


def test_a_family_alone():
    told = done("--family", "price", "--family", "motion")
    assert "mid_price" in told
    assert "mid_acceleration" in told
    assert "vwap_bid_5" not in told
    made = families(FeatureOptions())
    count = len(made["price"].features) + len(made["motion"].features)
    assert told.splitlines()[-1] == f"{count} features"


def test_columns_follow_the_settings(tmp_path: Path):
    config = tmp_path / "config.yaml"
    config.write_text("etl: {channels: {orderbook: {processor_options: {depth_levels: 7}}}}\n")
    assert "vwap_bid_7" in done("--config", config, "--family", "depth")


def test_what_does_not_exist_is_one_line(tmp_path: Path):
    assert refused("--family", "prise") == "error: there is no family 'prise' of features. Did you mean price?"
    assert "There are orderbook, " in refused("--table", "zzz")
    assert "not both" in refused("--json", "--csv")
    config = tmp_path / "config.yaml"
    config.write_text("etl: {channels: {orderbook: {processor_options: {dept_levels: 7}}}}\n")
    told = refused("--config", config)
    assert "processor_options" in told
    assert "did you mean depth_levels?" in told
