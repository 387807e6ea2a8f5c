"""The features of a book as a matplotlib drawing, over one axis of UTC time, and order flow against returns below."""

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from scripts.bars.figure import DOTS_PER_IN, STYLE, days, without_date
from scripts.bars.panels import SOFT, length
from scripts.features import panels as panels
from scripts.features.drawn import Drawn
from shared.errors import DaedalusError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH_IN, _LEFT_IN, _RIGHT_IN, _HEAD_IN, _TITLE_IN = 12.0, 0.95, 0.25, 1.0, 0.4
_BETWEEN_IN, _FOOT_IN = 0.24, 0.4
_PAIRS_IN, _PAIRS_FOOT_IN = 2.9, 0.55


class _Panel(NamedTuple):
    height_in: float
    draw: Callable[["Axes", Drawn, panels.Place], None]


def drawing(each: Drawn, *, title: str, form: Literal["png", "svg"]) -> bytes:
    """The panels below each other, as the bytes of a file.

    In an SVG each row of `Drawn.columns` has an empty rectangle over all panels, whose id is `row-<number>`.

    Raises: DaedalusError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context  # here: it is large, and the only part that needs it
        from matplotlib.figure import Figure
    except ImportError as error:
        hint = "Install it, as `pip install matplotlib`, then try again"
        raise DaedalusError("pictures need matplotlib, which is not installed", hint=hint) from error
    chosen = _panels(each)
    has_pairs = len(each.pairs) > 2
    head_in = _HEAD_IN if title else _HEAD_IN - _TITLE_IN
    height_in = head_in + sum(panel.height_in + _BETWEEN_IN for panel in chosen) + _FOOT_IN
    height_in += _PAIRS_IN + _PAIRS_FOOT_IN + 0.35 if has_pairs else 0
    with rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH_IN, height_in))
        figure.text(_LEFT_IN / _WIDTH_IN, 1 - 0.3 / height_in, title, fontsize=14, weight="bold", va="center")
        told_in = head_in - 0.42
        figure.text(_LEFT_IN / _WIDTH_IN, 1 - told_in / height_in, _told(each), color=SOFT, va="center")
        _draw_times(figure, each, chosen, (height_in - head_in, height_in))
        if has_pairs:
            _draw_pairs(figure, each, height_in)
        file = BytesIO()
        figure.savefig(file, format=form, dpi=DOTS_PER_IN, transparent=form == "svg", metadata=without_date(form))
    return file.getvalue()


def _panels(each: Drawn) -> list[_Panel]:
    """Those for which there is something to draw."""
    found = [_Panel(3.6, panels.draw_book), _Panel(0.8, panels.draw_spread)]
    for names, height_in, draw in (
        (("ofi",), 1.05, panels.draw_orders),
        (("trade_volume", "tfi"), 1.05, panels.draw_trades),
        ((each.volatility,), 0.9, panels.draw_volatility),
        (("vpin",), 0.9, panels.draw_vpin),
    ):
        if all(name in each.columns.columns and each.columns[name].count() for name in names if name):
            found += [_Panel(height_in, draw)] if any(names) else []
    return found


def _draw_times(figure: "Figure", each: Drawn, chosen: list[_Panel], top_and_height_in: tuple[float, float]) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

    place = panels.Place(days(each.columns["start"], date2num), days(each.columns["end"], date2num))
    (top_in, height_in), first = top_and_height_in, None
    for number, panel in enumerate(chosen):
        box = (_LEFT_IN, top_in - panel.height_in, _WIDTH_IN - _LEFT_IN - _RIGHT_IN, panel.height_in)
        axes = _axes(figure, box, height_in, sharex=first)
        first = first or axes
        panel.draw(axes, each, place)
        panels.shade_holes(axes, each, place)
        panels.add_hover(axes, place, is_marked=number == 0)
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize=8.5, handlelength=1.1, handletextpad=0.45,
            columnspacing=1.4, borderpad=0, borderaxespad=0.3,
        )  # fmt: skip
        axes.tick_params(length=0, labelbottom=number == len(chosen) - 1)
        top_in -= panel.height_in + _BETWEEN_IN
    assert first
    first.set_xlim(place.left[0], place.right[-1])
    locator = AutoDateLocator(minticks=5, maxticks=11)
    first.xaxis.set_major_locator(locator)
    first.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))


def _draw_pairs(figure: "Figure", each: Drawn, height_in: float) -> None:
    width_in = (_WIDTH_IN - 2 * _LEFT_IN - _RIGHT_IN) / 2
    for number, which in enumerate(("same", "next")):
        box = (_LEFT_IN + number * (width_in + _LEFT_IN), _PAIRS_FOOT_IN, width_in, _PAIRS_IN)
        axes = _axes(figure, box, height_in)
        axes.tick_params(length=0)
        panels.draw_pairs(axes, each, which)


def _axes(figure: "Figure", box_in: tuple[float, ...], height_in: float, **shared: Any) -> "Axes":
    left, bottom, width, height = box_in
    return figure.add_axes((left / _WIDTH_IN, bottom / height_in, width / _WIDTH_IN, height / height_in), **shared)


def _told(each: Drawn) -> str:
    """What the picture holds."""
    flows = {"event": "; order flow of every change of the book", "snapshot": "; order flow of snapshots"}
    flow = flows.get(str(each.columns["ofi_source"][-1]), "") if "ofi_source" in each.columns.columns else ""
    return f"{each.n_rows:,} rows; a column is {length(each.step)}{flow}"
