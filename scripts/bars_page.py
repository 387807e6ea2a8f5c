"""The drawing of bars as a page that asks the network for nothing; the numbers of a bar show under the mouse."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.metadata import version
from typing import Any
from xml.etree import ElementTree as ET

from scripts import bars_panels as colours
from scripts.bars_drawn import Drawn
from scripts.bars_figure import drawing
from scripts.demo_page import page
from scripts.demo_svg import clock
from shared.clock import us_from_utc

_SVG = "http://www.w3.org/2000/svg"
_DARK = {
    colours.UP: "#5aaee0",
    colours.DOWN: "#f08a4b",
    colours.UP_FILL: "#27618a",
    colours.DOWN_FILL: "#94501f",
    colours.UP_PARTIAL: "#1b2c3a",
    colours.DOWN_PARTIAL: "#33261c",
    colours.UNKNOWN: "#7d8995",
    colours.INK: "#e6ebf0",
    colours.SOFT: "#97a5b3",
    colours.GRID: "#26303a",
}


def bars_page(sets: Sequence[Drawn], *, title: str) -> str:
    """A whole HTML document with the drawing of these sets, in the reader's colours for light and dark.

    Raises: DaedalusError: matplotlib is not installed.
    """
    chart = _with_numbers(drawing(sets, title="", form="svg"), sets)
    for number, colour in enumerate(_DARK):
        chart = chart.replace(colour, f"var(--chart{number})")
    return page(
        title,
        f"<style>{_style()}</style><h1>{escape(title)}</h1>",
        f'<div class="panel">{chart}</div>',
        '<p class="soft">Hold the mouse over a bar for its numbers. Times are UTC, those of the exchange.</p>',
        f"<footer>Daedalus {escape(version('daedalus-lake'))}</footer>",
    )


def _style() -> str:
    light, dark = (
        " ".join(f"--chart{number}: {colour};" for number, colour in enumerate(colours_of))
        for colours_of in (_DARK, _DARK.values())
    )
    return (
        f":root {{ {light} }} @media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }} "
        "main { max-width: 1400px; } .panel { overflow-x: auto; } "
        ".panel svg { width: 100%; max-width: none; min-width: 860px; } "
        'g[id^="bar-"] path { pointer-events: all; } '
        'g[id^="bar-"]:hover path { fill: var(--soft) !important; fill-opacity: .18; }'
    )


def _with_numbers(svg: bytes, sets: Sequence[Drawn]) -> str:
    """The drawing as an element of a page, with what is told over each bar."""
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ET.fromstring(svg)  # noqa: S314 - matplotlib has just written it
    root.attrib.pop("width")
    root.attrib.pop("height")
    root.attrib |= {"role": "img", "aria-label": "Prices with their bars"}
    for element in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(element)
    rows = {
        f"bar-{number}-{place}": _told(row, each)
        for number, each in enumerate(sets)
        for place, row in enumerate(each.bars.iter_rows(named=True))
    }
    for group in root.iter(f"{{{_SVG}}}g"):
        if (told := rows.get(group.get("id", ""))) is not None:
            title = ET.Element(f"{{{_SVG}}}title")
            title.text = told
            group.insert(0, title)
    return ET.tostring(root, encoding="unicode").replace("'DejaVu Sans'", "inherit")


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
