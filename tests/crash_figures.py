"""Figures that tests measure, added up and shown at the end of the run."""

from collections import Counter
from collections.abc import Mapping

import pytest

LEAST = "least "
_TOTAL: Counter[str] = Counter()


class Record:
    """One test's figures: counts are added up, those whose name begins with `least` take the smallest."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()

    def __call__(self, figures: Mapping[str, int]) -> None:
        for total in (self.total, _TOTAL):
            for name, value in figures.items():
                known = total.get(name)
                total[name] = min(known or value, value) if name.startswith(LEAST) else (known or 0) + value


@pytest.fixture
def crash_figures() -> Record:
    """Where a test says what it measured."""
    return Record()


def summary() -> list[str]:
    """A Markdown table of everything recorded in this run; empty where nothing was."""
    if not _TOTAL:
        return []
    lines = ["| figure | measured |", "|---|---:|"]
    return lines + [f"| {name} | {value:,} |" for name, value in _TOTAL.items()]
