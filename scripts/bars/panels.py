"""The three panels of a set of bars: prices, what buyers and sellers took, and how long its bars lasted."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from scripts.bars.drawn import Drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats: TypeAlias = npt.NDArray[np.float64]

# Blue, vermilion, orange, purple and green stay apart for every eye. Source: Okabe and Ito, Color Universal Design.
UP, DOWN, GAP, UNKNOWN, INK, SOFT, GRID = "#0072b2", "#d55e00", "#e69f00", "#8a94a0", "#16202b", "#5a6775", "#e6eaee"
UP_FILL, DOWN_FILL, UP_PARTIAL, DOWN_PARTIAL = "#73b1d5", "#e8a673", "#e5f1f7", "#fbefe5"
_MARKS = {"max_ticks": ("^", "#a0448a"), "warmup": ("o", "#00795a"), "gap": ("s", "#b07800")}
_OTHER_MARK = ("D", "#5a6775")
_LEAST_WIDTH = 1 / 1000  # of the time axis: no bar is drawn narrower


@dataclass(frozen=True)
class Panels:
    """The three axes of a set, and where its rows lie on the axis of time, in matplotlib's days."""

    prices: "Axes"
    volumes: "Axes"
    measures: "Axes"
    left: Floats
    right: Floats

    @property
    def middle(self) -> Floats:
        """Where lines go through."""
        return (self.left + self.right) / 2


def draw_prices(row: Panels, each: Drawn) -> None:
    """Candles, or the close in a band from low to high; gaps shaded, unusual closes marked at the foot."""
    axes, bars = row.prices, each.bars
    axes.set_ylabel(f"price, {units(each.symbol)[1]}")
    _shade_gaps(row, each)
    if each.step is None:
        _candles(row, bars)
    else:
        high, low = bars["high"].to_numpy(), bars["low"].to_numpy()
        axes.fill_between(row.middle, low, high, color=UP, alpha=0.25, linewidth=0, label="low to high")
        axes.plot(row.middle, bars["close"].to_numpy(), color=INK, linewidth=0.9, label="close")
        axes.autoscale_view()
    _marks(row, each)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")


def _candles(row: Panels, bars: pl.DataFrame) -> None:
    from matplotlib.collections import LineCollection, PolyCollection

    opened, closed = bars["open"].to_numpy(), bars["close"].to_numpy()
    low, high = bars["low"].to_numpy(), bars["high"].to_numpy()
    rose, partial = closed >= opened, bars["is_partial"].to_numpy()
    left, right = _at_least_visible(row)
    # A body without height would not be seen: it gets the height of a hairline.
    least = max(float(high.max() - low.min()), float(high.max()) * 1e-6) / 600
    bottom, top = np.minimum(opened, closed), np.maximum(opened, closed)
    top = np.maximum(top, bottom + least)
    wicks = np.stack([np.stack([row.middle, low], axis=1), np.stack([row.middle, high], axis=1)], axis=1)
    corners = ((left, bottom), (left, top), (right, top), (right, bottom))
    bodies = np.stack([np.stack(corner, axis=1) for corner in corners], axis=1)
    for chosen, colour in ((rose, UP), (~rose, DOWN)):
        row.prices.add_collection(LineCollection(list(wicks[chosen]), colors=colour, linewidths=0.9))
    for chosen, colour, fill, label in (
        (rose & ~partial, UP, UP_FILL, "up or even; buyers took"),
        (~rose & ~partial, DOWN, DOWN_FILL, "down; sellers took"),
        (rose & partial, UP, UP_PARTIAL, "up, partial"),
        (~rose & partial, DOWN, DOWN_PARTIAL, "down, partial"),
    ):
        if chosen.any():
            shapes = list(bodies[chosen])
            candles = PolyCollection(shapes, facecolors=fill, edgecolors=colour, label=label)
            candles.set(linewidth=0.8, zorder=2.5)
            row.prices.add_collection(candles)
    margin = (float(high.max() - low.min()) or float(high.max()) * 1e-3) * 0.06
    row.prices.set_ylim(float(low.min()) - margin * 1.6, float(high.max()) + margin * 2)


def _at_least_visible(row: Panels) -> tuple[Floats, Floats]:
    first, last = row.prices.get_xlim()
    missing = np.maximum((last - first) * _LEAST_WIDTH - (row.right - row.left), 0) / 2
    return row.left - missing, row.right + missing


def _shade_gaps(row: Panels, each: Drawn) -> None:
    gaps = each.bars["has_gap"].to_numpy()
    left, right = _at_least_visible(row)
    for axes in (row.prices, row.volumes, row.measures):
        for number, place in enumerate(np.flatnonzero(gaps)):
            label = "spans a gap" if number == 0 and axes is row.prices else None
            axes.axvspan(left[place], right[place], color=GAP, alpha=0.28, linewidth=0, label=label)


def _marks(row: Panels, each: Drawn) -> None:
    """A mark at the foot of the prices for each row with a bar that closed in an unusual way."""
    for reason, count in each.reasons.items():
        marker, colour = _MARKS.get(reason, _OTHER_MARK)
        x = row.middle[each.bars["reasons"].list.contains(reason).to_numpy()]
        where = row.prices.get_xaxis_transform()
        label = f"{count:,} closed by {reason}"
        row.prices.plot(x, np.full(len(x), 0.025), marker, transform=where, color=colour, markersize=4.5, label=label)


def draw_volumes(row: Panels, each: Drawn) -> None:
    """Buyers above the axis, sellers below it, trades of neither on top in grey."""
    from matplotlib.ticker import MaxNLocator

    axes, bars = row.volumes, each.bars
    base = units(each.symbol)[0]
    per = "per bar" if each.step is None else f"in {length(each.step)}"
    axes.set_ylabel(f"{base}\n{per}")
    left, right = _at_least_visible(row)
    if each.step is not None:
        length_days = each.step.total_seconds() / 86_400
        left = np.floor(row.left / length_days + 1e-6) * length_days  # not where the first bar begins
        right = left + length_days
    width, buy, sell = right - left, bars["buy_volume"].to_numpy(), bars["sell_volume"].to_numpy()
    unknown = bars["unknown_volume"].to_numpy()
    inset = width * (0.08 if each.step is None else 0)
    is_said = each.step is None  # the candles' colours say it
    for values, bottom, colour, label in (
        (buy, 0, UP, None if is_said else "buyers took"),
        (-sell, 0, DOWN, None if is_said else "sellers took"),
        (unknown, buy, UNKNOWN, "side not known"),
    ):
        if values.any():
            axes.bar(
                left + inset, values, width - 2 * inset, bottom, align="edge", color=colour, alpha=0.8, label=label
            )
    axes.axhline(0, color=SOFT, linewidth=0.7)
    axes.yaxis.set_major_locator(MaxNLocator(5, prune="both"))
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.6g}")
    axes.margins(y=0.12)


def draw_measures(row: Panels, each: Drawn) -> None:
    """How long bars lasted; of bars that all last as long, how many trades they have."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    axes, bars = row.measures, each.bars
    values = bars["measure_median"].cast(pl.Float64).to_numpy()
    axes.set_ylabel("duration, s" if each.measure == "duration_s" else "trades\nper bar")
    positive = values[values > 0]
    if len(positive) and (ratio := positive.max() / positive.min()) > 20:
        axes.set_yscale("log", nonpositive="clip")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if ratio < 500 else (1.0,), numticks=5))
        axes.minorticks_off()
        axes.set_ylim(positive.min() / 1.6, positive.max() * 1.6)
        values = np.maximum(values, positive.min() / 1.5)  # one that lasted no time lies at the foot
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4, prune="both"))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
    if each.step is None:
        left, right = _at_least_visible(row)
        axes.hlines(values, left, right, color=INK, linewidth=1.6)
    else:
        spread = "shortest to longest bar" if each.measure == "duration_s" else "fewest to most trades"
        low, high = (bars[f"measure_{name}"].cast(pl.Float64).to_numpy() for name in ("min", "max"))
        axes.fill_between(row.middle, low, high, color=SOFT, alpha=0.25, linewidth=0, label=spread)
        axes.plot(row.middle, values, color=INK, linewidth=0.9, label="median bar")
    if axes.get_yscale() == "linear":
        axes.margins(y=0.15)


def draw_hover(row: Panels, number: int) -> None:
    """Empty rectangles that a page can find again and say something over."""
    from matplotlib.patches import Rectangle

    left, right = _at_least_visible(row)
    for place, (start, end) in enumerate(zip(left, right, strict=True)):
        where = row.prices.get_xaxis_transform()
        row.prices.add_patch(
            Rectangle((start, 0), end - start, 1, transform=where, fill=False, linewidth=0, gid=f"bar-{number}-{place}")
        )


def length(step: timedelta) -> str:
    """A stretch of time in one unit.

    >>> [length(timedelta(seconds=s)) for s in (0.05, 30, 900, 7200, 604_800)]
    ['50 ms', '30 s', '15 min', '2 h', '7 d']
    """
    seconds = step.total_seconds()
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds * 1000:g} ms"


def units(symbol: str) -> tuple[str, str]:
    """What volume and price of a symbol are counted in, as far as its name says so.

    >>> units("BTC-USD"), units("BTC-USDT_USDT"), units("AIG")
    (('BTC', 'USD'), ('base', 'quote per base'), ('base', 'quote per base'))
    """
    base, dash, quote = symbol.partition("-")
    return (base, quote) if dash and "_" not in symbol and "-" not in quote else ("base", "quote per base")
