"""Figures that tests measure, added up and shown at the end of the run."""

from collections import Counter
from collections.abc import Iterable, Mapping

import pytest

LEAST = "least "
_PROPERTY = "crash figures"  # of a test's report: it comes back also from another process


class Record:
    """One test's figures: counts are added up, those whose name begins with `least` take the smallest."""

    def __init__(self) -> None:
        self.figures: dict[str, int] = {}

    @property
    def total(self) -> Counter[str]:
        """What was recorded so far; 0 for what was not."""
        return Counter(self.figures)

    def __call__(self, figures: Mapping[str, int]) -> None:
        for name, value in figures.items():
            known = self.figures.get(name)
            self.figures[name] = min(known or value, value) if name.startswith(LEAST) else (known or 0) + value


@pytest.fixture
def crash_figures(request: pytest.FixtureRequest) -> Record:
    """Where a test says what it measured."""
    record = Record()
    request.node.user_properties.append((_PROPERTY, record.figures))
    return record


def summary(reports: Iterable[object]) -> list[str]:
    """A Markdown table of everything recorded by the tests of these reports; empty where nothing was."""
    all_tests = Record()
    for report in reports:
        if isinstance(report, pytest.TestReport) and report.when == "call":
            all_tests(dict(report.user_properties).get(_PROPERTY, {}))
    if not all_tests.figures:
        return []
    lines = ["| figure | measured |", "|---|---:|"]
    return lines + [f"| {name} | {value:,} |" for name, value in sorted(all_tests.figures.items())]
