"""The drawing of bars as a page; the numbers of a bar show under the mouse."""

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.bars import panels as colours
from scripts.bars.drawn import Drawn
from scripts.bars.figure import drawing
from scripts.chart_page import chart_page
from scripts.demo.svg import clock
from shared.clock import us_from_utc


def bars_page(sets: Sequence[Drawn], *, title: str) -> str:
    """A whole HTML document with the drawing of these sets, in the reader's colours for light and dark.

    Raises: DaedalusError: matplotlib is not installed.
    """
    told = {
        f"bar-{number}-{place}": _told(row, each)
        for number, each in enumerate(sets)
        for place, row in enumerate(each.bars.iter_rows(named=True))
    }
    hint = "Hold the mouse over a bar for its numbers."
    svg = drawing(sets, title="", form="svg")
    return chart_page(svg, title=title, label="Prices with their bars", told=told, hint=hint)


def _told(row: Mapping[str, Any], each: Drawn) -> str:
    base, _ = colours.units(each.symbol)
    is_one = row["n_bars"] == 1
    last = row["bar_seq"] + row["n_bars"] - 1
    notes = [f"closed by {reason}" for reason in sorted(row["reasons"])]
    notes += [note for note, is_so in (("partial", row["is_partial"]), ("spans a gap", row["has_gap"])) if is_so]
    name = f"bar {row['bar_seq']:,}" if is_one else f"bars {row['bar_seq']:,} to {last:,}"
    start, end = row["time_start"], row["time_end"]
    sides = [(words, row[f"{side}_volume"]) for side, words in (("buy", "buyers"), ("sell", "sellers"))]
    lasted = f", {(end - start).total_seconds():,.6g} s" if is_one else ""
    return "\n".join(
        [
            f"{name}{' (' + ', '.join(notes) + ')' if notes else ''}",
            f"{start:%Y-%m-%d} {clock(us_from_utc(start), places=3)} to {clock(us_from_utc(end), places=3)}{lasted}",
            " ".join(f"{part} {row[part]:,.10g}" for part in ("open", "high", "low", "close")),
            f"{row['tick_count']:,} trades, {row['volume']:,.8g} {base}"
            f" ({', '.join(f'{words} {volume:,.8g}' for words, volume in sides)})",
        ]
    )
