"""docs/gaps.md: what a researcher copies from it works."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.storage.captured import two_runs
from tests.storage.many_files import RULES, compacted

PAGE = Path(__file__).parents[2] / "docs" / "gaps.md"


@pytest.mark.parametrize("is_compacted", [False, True])
def test_the_snippet_marks_the_first_trade_behind_each_hole(tmp_path: Path, *, is_compacted: bool) -> None:
    lake = two_runs(tmp_path)
    if is_compacted:
        assert compacted(lake, replace(RULES, now=datetime(2100, 1, 1, tzinfo=UTC)))
    snippet = PAGE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    assert 'Path("data")' in snippet
    found: dict[str, Any] = {}
    exec(snippet.replace('Path("data")', f'Path("{tmp_path}")'), found)
    marked = found["marked"]
    assert marked.height == found["trades"].height
    bitcoin = marked.filter(marked["after_hole"] & (marked["symbol"] == "BTC-USD")).sort("trade_seq")
    assert bitcoin.select("trade_seq", "lost").rows() == [(14, 3), (24, 3)]
