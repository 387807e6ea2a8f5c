"""The page on features shows code that works, and names everything that is declared."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etl.features.declared import StatelessFamily, family_types
from etl.features.options import FeatureOptions
from etl.features.tables import TABLES
from tests.etl.features.made_rows import S0, S1, columns_of, made_rows

PAGE = (Path(__file__).parents[1] / "docs" / "features.md").read_text()
IN_A_NOTEBOOK, OF_YOUR_OWN = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_code_for_a_notebook_runs():
    names: dict[str, Any] = {}
    exec(IN_A_NOTEBOOK, names)
    assert names["rows"]["mid_price"].to_list() == pytest.approx([101.51, 102.01])
    assert names["last"]["mid_velocity"].to_list() == pytest.approx([0.5])
    assert names["features"].counts["rows"] == 3
    names["StatefulFeatureProcessor"](state=names["state"], hf_emit_interval=1)


def test_the_family_of_the_page_works_as_those_of_the_house():
    names: dict[str, Any] = {}
    exec(OF_YOUR_OWN, names)
    family = names["Touch"](FeatureOptions())
    assert isinstance(family, StatelessFamily)
    assert family.rank not in {each.rank for each in family_types().values()}
    rows = made_rows([S0, S1])
    columns_of(rows, options=FeatureOptions())
    made = family.update(rows)
    assert list(made) == [feature.name for feature in family.features]
    np.testing.assert_allclose(made["touch_value"], [9 * 100.01, 3 * 100.015])


def test_every_option_and_fact_is_explained():
    options = PAGE.partition("### Options")[2].partition("\n### ")[0]
    for name in FeatureOptions.__struct_fields__:
        (row,) = re.findall(rf"^\| `{name}` \| .+ \| `.+` \| .+\. \| .*\|$", options, re.MULTILINE)
        assert row
    for table in TABLES:
        part = PAGE.partition(f"`{table.name}`\n")[2].partition("\n### ")[0]
        assert [fact.name for fact in table.facts if f"| `{fact.name}` |" not in part] == []
