"""Every worked number of the specification, over every implementation."""

from decimal import Decimal
from typing import Any

import pytest

from tests.etl.features import spec_cases, spec_cases_bars, spec_cases_windows
from tests.etl.features.implementations import IMPLEMENTATIONS, Implementation
from tests.etl.features.spec_cases import EACH_EVENT, Case

CASES = [*spec_cases.ALL, *spec_cases_windows.ALL, *spec_cases_bars.ALL]


def rows_of(case: Case, implementation: Implementation) -> list[dict[str, Any]]:
    options = EACH_EVENT | case.options
    if case.table == "trade_features":
        return implementation.trade_rows(case.trades, options)
    if case.rows is not None:
        return implementation.bar_rows(case.rows, case.duration_s, options)
    rows = implementation.book_rows(case.events, case.trades, options)
    return implementation.bar_rows(rows, case.duration_s, options) if case.table == "book_bars" else rows


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS.keys())
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_worked_numbers(case: Case, implementation: Implementation) -> None:
    row = rows_of(case, implementation)[case.row]
    told = {name: row[name] for name in case.expected}
    assert told == {name: meant(value) for name, value in case.expected.items()}


def meant(value: Any) -> Any:
    """What a value of a case stands for: a float to ten digits, all else exactly."""
    if isinstance(value, Decimal):
        return float(value)
    return pytest.approx(value, rel=1e-9, abs=1e-15) if isinstance(value, float) else value


def test_names_are_unique() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
