"""The drawing of a book's features as a page; the numbers of a column show under the mouse."""

from collections.abc import Mapping
from typing import Any

from scripts.bars.panels import units
from scripts.chart_page import chart_page
from scripts.demo.svg import clock
from scripts.features.drawn import Drawn
from scripts.features.figure import drawing
from shared.clock import us_from_utc


def features_page(each: Drawn, *, title: str) -> str:
    """A whole HTML document with the drawing, in the reader's colours for light and dark.

    Raises: DaedalusError: matplotlib is not installed.
    """
    told = {f"row-{place}": _told(row, each) for place, row in enumerate(each.columns.iter_rows(named=True))}
    hint = "Hold the mouse over the book for the numbers of a moment."
    svg = drawing(each, title="", form="svg")
    return chart_page(svg, title=title, label="The order book and its features", told=told, hint=hint)


def _told(row: Mapping[str, Any], each: Drawn) -> str:
    base, quote = units(each.symbol)
    notes = [
        words
        for name, words in (("is_reset", "begins anew"), ("has_gap", "gap"), ("is_crossed", "crossed"))
        if row[name]
    ]
    lines = [f"{row['end']:%Y-%m-%d} {clock(us_from_utc(row['end']), places=3)}{', '.join(['', *notes])}"]
    for words, name, unit, factor in (
        ("mid price", "mid_price", quote, 1.0),
        ("spread", "relative_spread_bps", "bps", 1.0),
        ("order flow imbalance", "ofi", base, 1.0),
        ("trade flow imbalance", "tfi", base, 1.0),
        ("traded", "trade_volume", base, 1.0),
        ("volatility", each.volatility or "", "bps", 1e4),
        ("VPIN", "vpin", "", 1.0),
    ):
        if (value := row.get(name)) is not None:
            lines.append(f"{words} {value * factor:,.6g} {unit}".rstrip())
    return "\n".join(lines)
