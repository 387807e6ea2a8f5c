"""docs/gaps.md: what a researcher copies from it works."""

from pathlib import Path
from typing import Any

from tests.storage.captured import two_runs

PAGE = Path(__file__).parents[2] / "docs" / "gaps.md"


def test_the_snippet_marks_the_first_trade_behind_each_hole(tmp_path: Path) -> None:
    lake = two_runs(tmp_path)
    snippet = PAGE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    assert '"data/raw/ready"' in snippet
    found: dict[str, Any] = {}
    exec(snippet.replace("data/raw/ready", lake.ready.as_posix()), found)
    marked = found["marked"]
    assert marked.height == found["trades"].height
    bitcoin = marked.filter(marked["after_hole"] & (marked["symbol"] == "BTC-USD")).sort("trade_seq")
    assert bitcoin.select("trade_seq", "lost").rows() == [(14, 3), (24, 3)]
