"""The dashboard and the alert rules ask for metrics and labels that there are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.health.metrics import ALARM, METRICS

FOLDER = Path(__file__).parents[3] / "docs" / "grafana"
KNOWN = {metric.name: {*metric.labels, "instance", "job"} for metric in (*METRICS, ALARM)}
_METRIC = re.compile(r"\bdaedalus_\w+")
_SELECTED = re.compile(r"(daedalus_\w+)\{([^}]*)\}")
_BY = re.compile(r"\bby \(([^)]*)\)")


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "daedalus.json").read_text())
    return found


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def expressions() -> list[str]:
    panels = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    return [*panels, *(rule["expr"] for rule in rules())]


@pytest.mark.parametrize("expression", expressions())
def test_what_is_asked_for_is_there(expression: str) -> None:
    named = _METRIC.findall(expression)
    assert named
    assert set(named) <= set(KNOWN)
    for name, selection in _SELECTED.findall(expression):
        assert {re.split(r"[=!~]", part)[0] for part in selection.split(",")} <= KNOWN[name]
    for labels in _BY.findall(expression):
        assert {label.strip() for label in labels.split(",")} <= set.union(*(KNOWN[name] for name in named))
    assert all(name.endswith("_total") for name in re.findall(r"(?:rate|increase)\((daedalus_\w+)", expression))


def test_variables_that_are_used_are_declared() -> None:
    found = dashboard()
    declared = {each["name"] for each in found["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(found["panels"]))) <= declared


def test_panels_stand_side_by_side_within_the_grid() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        taken |= cells


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_what_and_how_bad_it_is(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "description"}
    shown = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
    by = {label.strip() for labels in _BY.findall(rule["expr"]) for label in labels.split(",")}
    own = set.union(*(KNOWN[name] for name in _METRIC.findall(rule["expr"])))
    assert shown <= (by or own)
