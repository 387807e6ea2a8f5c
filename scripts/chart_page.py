"""A drawing as a page that asks the network for nothing, in the reader's colours; numbers show under the mouse."""

from collections.abc import Mapping
from html import escape
from importlib.metadata import version
from xml.etree import ElementTree as ET

from scripts.bars import panels as colours
from scripts.demo.page import page

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


def chart_page(svg: bytes, *, title: str, label: str, told: Mapping[str, str], hint: str) -> str:
    """A whole HTML document with this drawing of matplotlib's.

    `told` is what to say over the groups of these ids, `label` is what the drawing shows, `hint` stands below it.
    """
    chart = _with_numbers(svg, told, label=label)
    for number, colour in enumerate(_DARK):
        chart = chart.replace(colour, f"var(--chart{number})")
    return page(
        title,
        f"<style>{_style()}</style><h1>{escape(title)}</h1>",
        f'<div class="panel">{chart}</div>',
        f'<p class="soft">{escape(hint)} Times are UTC, those of the exchange.</p>',
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
        "g.told path { pointer-events: all; } "
        "g.told:hover path { fill: var(--soft) !important; fill-opacity: .18; }"
    )


def _with_numbers(svg: bytes, told: Mapping[str, str], *, label: str) -> str:
    """The drawing as an element of a page, with what is told over each group."""
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ET.fromstring(svg)  # noqa: S314 - matplotlib has just written it
    root.attrib.pop("width")
    root.attrib.pop("height")
    root.attrib |= {"role": "img", "aria-label": label}
    for element in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(element)
    for group in root.iter(f"{{{_SVG}}}g"):
        if (words := told.get(group.get("id", ""))) is not None:
            group.set("class", "told")
            title = ET.Element(f"{{{_SVG}}}title")
            title.text = words
            group.insert(0, title)
    return ET.tostring(root, encoding="unicode").replace("'DejaVu Sans'", "inherit")
