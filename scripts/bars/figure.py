"""Bars as a matplotlib drawing: for each set its prices, what buyers and sellers took, and how long its bars lasted."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from scripts.bars.drawn import Drawn
from scripts.bars.panels import (
    GRID,
    INK,
    SOFT,
    Floats,
    Panels,
    draw_hover,
    draw_measures,
    draw_prices,
    draw_volumes,
    length,
)  # fmt: skip
from shared.errors import DaedalusError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH_IN, _SET_IN, _HEAD_IN = 12.0, 6.3, 0.45
_LEFT_IN, _RIGHT_IN = 0.95, 0.25
_HEIGHTS = (0.62, 3.2, 0.08, 1.1, 0.08, 0.85, 0.4)  # heading, prices, volumes, durations, and what lies between
DOTS_PER_IN = 150
_LEAST_BESIDE = 1e-3 / 86_400  # days left free beside the bars, so that one that lasted no time is seen
STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": SOFT,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "legend.frameon": False,
    "legend.labelcolor": SOFT,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "daedalus",  # equal bars give equal files
}


def drawing(sets: Sequence[Drawn], *, title: str, form: Literal["png", "svg"]) -> bytes:
    """The sets below each other over one axis of UTC time, as the bytes of a file.

    In an SVG each row of `Drawn.bars` has an empty rectangle over all prices, whose id is `bar-<set>-<row>`.

    Raises: DaedalusError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context  # here: it is large, and the only part that needs it
        from matplotlib.figure import Figure
    except ImportError as error:
        hint = "Install it, as `pip install matplotlib`, then try again"
        raise DaedalusError("pictures need matplotlib, which is not installed", hint=hint) from error
    head_in = _HEAD_IN if title else 0.0
    height_in = head_in + _SET_IN * len(sets)
    markets = {(each.exchange, each.symbol) for each in sets}
    with rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH_IN, height_in))
        figure.text(_LEFT_IN / _WIDTH_IN, 1 - 0.3 / height_in, title, fontsize=14, weight="bold", va="center")
        rows = _axes(figure, sets, 1 - head_in / height_in)
        for number, (row, each) in enumerate(zip(rows, sets, strict=True)):
            draw_prices(row, each)
            draw_volumes(row, each)
            draw_measures(row, each)
            _heading(row, each, names_market=len(markets) > 1)
            draw_hover(row, number)
        file = BytesIO()
        figure.savefig(file, format=form, dpi=DOTS_PER_IN, transparent=form == "svg", metadata=without_date(form))
    return file.getvalue()


def without_date(form: str) -> dict[str, str | None]:
    """Metadata of a file that equal input makes equal."""
    return {"Date": None} if form == "svg" else {"Software": None}


def _axes(figure: "Figure", sets: Sequence[Drawn], top: float) -> list[Panels]:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

    grid = figure.add_gridspec(
        len(sets) * len(_HEIGHTS),
        1,
        height_ratios=_HEIGHTS * len(sets),
        hspace=0,
        left=_LEFT_IN / _WIDTH_IN,
        right=1 - _RIGHT_IN / _WIDTH_IN,
        top=top,
        bottom=0,
    )
    rows: list[Panels] = []
    for number, each in enumerate(sets):
        shared = rows[0].prices if rows else None
        places = (number * len(_HEIGHTS) + place for place in (1, 3, 5))
        prices, volumes, measures = (figure.add_subplot(grid[place], sharex=shared) for place in places)
        if shared is None:
            volumes.sharex(prices)
            measures.sharex(prices)
        left, right = (days(each.bars[name], date2num) for name in ("time_start", "time_end"))
        for axes in (prices, volumes, measures):
            axes.tick_params(length=0, labelbottom=axes is measures)
        rows.append(Panels(prices, volumes, measures, left, right))
    first, last = min(row.left[0] for row in rows), max(row.right.max() for row in rows)
    beside = max(0.004 * (last - first), _LEAST_BESIDE)
    rows[0].prices.set_xlim(first - beside, last + beside)
    locator = AutoDateLocator(minticks=5, maxticks=11)
    rows[0].prices.xaxis.set_major_locator(locator)
    rows[0].prices.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    return rows


def days(moments: pl.Series, date2num: Any) -> Floats:
    """Moments as matplotlib counts time."""
    return np.asarray(date2num(moments.dt.replace_time_zone(None).to_numpy()), dtype=np.float64)


def _heading(row: Panels, each: Drawn, *, names_market: bool) -> None:
    """The set, what it holds, and below it what the colours mean."""
    told = f"{each.n_bars:,} {'bar' if each.n_bars == 1 else 'bars'}"
    told += f" of {each.symbol} on {each.exchange}" if names_market else ""
    told += f", {each.bars['tick_count'].sum() / each.n_bars:,.4g} trades each"
    told += f"; a column is {length(each.step)}" if each.step else ""
    above = ("axes fraction", "offset points")
    name = row.prices.annotate(each.bar_set, (0, 1), (0, 26), above[0], above[1], fontsize=11.5, weight="bold")
    row.prices.annotate(told, (1, 0), (10, 0), name, "offset points", color=SOFT, va="bottom")
    keys = [axes.get_legend_handles_labels() for axes in (row.prices, row.volumes, row.measures)]
    handles = [handle for found, _ in keys for handle in found]
    labels = [label for _, found in keys for label in found]
    row.prices.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=9,
        fontsize=8.5,
        columnspacing=1.4,
        handlelength=1.1,
        handletextpad=0.45,
        borderpad=0,
        borderaxespad=0.5,
    )
