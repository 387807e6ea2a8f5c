"""The panels of a book's features: its heat map, spread, flows, volatility, and order flow against returns."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from scripts.bars.panels import DOWN, GAP, INK, SOFT, UP, length, units
from scripts.features.drawn import Drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats: TypeAlias = npt.NDArray[np.float64]
_PRICES_MAX = 280  # cells of the heat map over each other
_FAINT, _FULL = 0.05, 0.995  # quantiles of size between which a cell goes from faint to full
VPIN, VOLATILITY = "#a0448a", "#16202b"


class Place(NamedTuple):
    """Where the columns lie on the axis of time, in matplotlib's days."""

    left: Floats
    right: Floats


def draw_book(axes: "Axes", each: Drawn, place: Place) -> None:
    """The book as a heat map, bids below and asks above the mid price; stronger where more waits."""
    from matplotlib.colors import to_rgb

    mid = _values(each.columns, "mid_price")
    axes.set_ylabel(f"price, {units(each.symbol)[1]}")
    axes.grid(visible=False)
    edges = _price_edges(each)
    if edges is not None:
        for side, colour in (("bid", UP), ("ask", DOWN)):
            sizes = _heat(each, side, edges)
            cells = np.empty((*sizes.shape, 4))
            cells[..., :3], cells[..., 3] = to_rgb(colour), _strength(sizes)
            for start, stop in _runs(each, place):
                extent = (place.left[start], place.right[stop - 1], edges[0], edges[-1])
                axes.imshow(cells[:, start:stop], aspect="auto", origin="lower", extent=extent, interpolation="nearest")
            axes.plot([], [], "s", color=colour, alpha=0.75, label=f"{side}s: stronger where more waits")
        low, high = _seen(each, edges)
        axes.set_ylim(low, high)
    for start, stop in _runs(each, place):
        label = "mid price" if start == 0 else None
        axes.plot(place.right[start:stop], mid[start:stop], color=INK, linewidth=0.9, label=label)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")


def draw_spread(axes: "Axes", each: Drawn, place: Place) -> None:
    """The spread, with the stretches in which it was wide."""
    axes.set_ylabel("spread\nbps")
    spread = _values(each.columns, "relative_spread_bps")
    _line(axes, spread, each, place, colour=INK, label="mean spread", drawstyle="steps-pre")
    if "spread_regime" in each.columns:
        wide = _values(each.columns, "spread_regime") == 1
        for number, (start, stop) in enumerate(_spans(wide)):
            label = "wide against the last minutes" if number == 0 else None
            axes.axvspan(place.left[start], place.right[stop - 1], color=GAP, alpha=0.5, linewidth=0, label=label)
    axes.set_ylim(bottom=0)
    _few_ticks(axes, 4)


def draw_orders(axes: "Axes", each: Drawn, place: Place) -> None:
    """Order flow imbalance of each column: above the axis more bid, below it more offered."""
    axes.set_ylabel(f"order flow\n{units(each.symbol)[0]} in {length(each.step)}")
    flow = _values(each.columns, "ofi")
    for chosen, colour, label in ((flow > 0, UP, "more bid"), (flow < 0, DOWN, "more offered")):
        values = np.where(chosen, flow, 0.0)
        axes.bar(place.left, values, place.right - place.left, align="edge", color=colour, alpha=0.85, label=label)
    _signed(axes, flow)


def draw_trades(axes: "Axes", each: Drawn, place: Place) -> None:
    """What buyers took above the axis, what sellers took below it."""
    axes.set_ylabel(f"trades\n{units(each.symbol)[0]} in {length(each.step)}")
    volume, signed = _values(each.columns, "trade_volume"), _values(each.columns, "tfi")
    buys, sells = (volume + signed) / 2, (volume - signed) / 2
    for values, colour, label in ((buys, UP, "buyers took"), (-sells, DOWN, "sellers took")):
        axes.bar(
            place.left,
            np.nan_to_num(values),
            place.right - place.left,
            align="edge",
            color=colour,
            alpha=0.85,
            label=label,
        )
    _signed(axes, np.concatenate([buys, -sells]))


def draw_volatility(axes: "Axes", each: Drawn, place: Place) -> None:
    """Realised volatility of the mid price over the window that the name of its column says."""
    assert each.volatility
    window = each.volatility.removeprefix("rv_").removesuffix("s")
    axes.set_ylabel(f"volatility\nbps in {length(timedelta(seconds=float(window)))}")
    _line(axes, _values(each.columns, each.volatility) * 1e4, each, place, colour=VOLATILITY, label=each.volatility)
    axes.set_ylim(bottom=0)
    _few_ticks(axes, 4)


def draw_vpin(axes: "Axes", each: Drawn, place: Place) -> None:
    """VPIN: the share of volume that one side had more than the other."""
    axes.set_ylabel("VPIN\n0 to 1")
    values = _values(each.columns, "vpin")
    _line(axes, values, each, place, colour=VPIN, label="VPIN")
    axes.set_ylim(0, max(0.5, float(np.nanmax(values)) * 1.15))
    _few_ticks(axes, 4)


def draw_pairs(axes: "Axes", each: Drawn, which: str) -> None:
    """Order flow of each interval against the return of the `same` or the `next` one, with the line fitted to it."""
    pairs = each.pairs.drop_nulls(["ofi", which])
    flow, move = pairs["ofi"].to_numpy(), pairs[which].to_numpy()
    told = f"in the {which} {length(each.pair)}"
    axes.set_xlabel(f"order flow imbalance in {length(each.pair)}, {units(each.symbol)[0]}")
    axes.set_ylabel(f"return {told}, bps")
    axes.axhline(0, color=SOFT, linewidth=0.7)
    axes.axvline(0, color=SOFT, linewidth=0.7)
    colours = np.where(move > 0, UP, np.where(move < 0, DOWN, SOFT))
    axes.scatter(flow, move, s=13, c=list(colours), alpha=0.6, linewidths=0)
    title = f"Return {told}"
    if len(flow) > 2 and np.ptp(flow) > 0 and np.ptp(move) > 0:
        slope, start = np.polyfit(flow, move, 1)
        ends = np.array([flow.min(), flow.max()])
        axes.plot(ends, start + slope * ends, color=INK, linewidth=1.2)
        title += f": R² {np.corrcoef(flow, move)[0, 1] ** 2:.2f}, {len(flow):,} intervals"
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.margins(0.06)


def add_hover(axes: "Axes", place: Place, *, is_marked: bool) -> None:
    """Empty rectangles over the panel that a page can find again and say something over."""
    from matplotlib.patches import Rectangle

    if not is_marked:
        return
    for number, (start, end) in enumerate(zip(place.left, place.right, strict=True)):
        where = axes.get_xaxis_transform()
        axes.add_patch(
            Rectangle((start, 0), end - start, 1, transform=where, fill=False, linewidth=0, gid=f"row-{number}")
        )


def shade_holes(axes: "Axes", each: Drawn, place: Place) -> None:
    """Columns in which something is missing."""
    holes = (each.columns["has_gap"] | each.columns["is_crossed"]).to_numpy()
    for start, stop in _spans(holes):
        axes.axvspan(place.left[start], place.right[stop - 1], color=GAP, alpha=0.28, linewidth=0)


def _values(rows: pl.DataFrame, name: str) -> Floats:
    return rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy()


def _price_edges(each: Drawn) -> Floats | None:
    """The edges of the heat map's cells, no finer than the prices; None without levels."""
    prices = [_levels(each, side, "price") for side in ("bid", "ask") if each.levels]
    if not prices or not np.isfinite(every := np.concatenate(prices, axis=1)).any():
        return None
    known = np.unique(every[np.isfinite(every)])
    finest = max(float(np.diff(known).min()) if len(known) > 1 else 0.0, float(known[-1]) * 1e-9)
    low, high = known[0] - finest / 2, known[-1] + finest / 2
    count = max(1, min(_PRICES_MAX, round((high - low) / finest)))
    return np.linspace(low, high, count + 1)


def _levels(each: Drawn, side: str, what: str) -> Floats:
    names = [f"{side}_{what}_L{i}" for i in range(each.levels)]
    return each.columns.select(pl.col(names).fill_null(np.nan)).to_numpy()


def _heat(each: Drawn, side: str, edges: Floats) -> Floats:
    """What waits in each cell, (prices, columns); 0 where nothing was seen."""
    prices, sizes = _levels(each, side, "price"), _levels(each, side, "size")
    cells = np.zeros((len(edges) - 1, len(prices)))
    column, level = np.nonzero(np.isfinite(prices))
    row = np.clip(np.searchsorted(edges, prices[column, level], side="right") - 1, 0, len(edges) - 2)
    np.add.at(cells, (row, column), sizes[column, level])
    return cells


def _strength(sizes: Floats) -> Floats:
    """From 0, nothing, to 1, by the logarithm of what waits."""
    there = sizes > 0
    if not there.any():
        return np.zeros_like(sizes)
    logs = np.log(sizes, out=np.zeros_like(sizes), where=there)
    low, high = np.quantile(logs[there], (_FAINT, _FULL))
    return np.where(there, 0.1 + 0.9 * np.clip((logs - low) / max(high - low, 1e-9), 0, 1) ** 1.5, 0.0)


def _seen(each: Drawn, edges: Floats) -> tuple[float, float]:
    """The prices between which most of the book lies: one far level must not flatten the rest."""
    mid = _values(each.columns, "mid_price")
    below = mid - np.nanmin(_levels(each, "bid", "price"), axis=1, initial=np.inf)
    above = np.nanmax(_levels(each, "ask", "price"), axis=1, initial=-np.inf) - mid
    deep = (float(np.nanquantile(side[np.isfinite(side)], 0.9)) for side in (below, above))
    return max(edges[0], np.nanmin(mid) - next(deep)), min(edges[-1], np.nanmax(mid) + next(deep))


def _runs(each: Drawn, place: Place) -> list[tuple[int, int]]:
    """Columns that stand next to each other in time, as (start, stop): nothing is drawn across what is missing."""
    apart = np.flatnonzero(place.left[1:] - place.right[:-1] > (place.right[0] - place.left[0]) * 30) + 1
    return list(zip([0, *apart.tolist()], [*apart.tolist(), len(each.columns)], strict=True))


def _spans(chosen: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _line(axes: "Axes", values: Floats, each: Drawn, place: Place, **style: Any) -> None:
    """A line through the ends of the columns, `label` and `colour` among its style."""
    colour, label = style.pop("colour"), style.pop("label")
    for number, (start, stop) in enumerate(_runs(each, place)):
        where = slice(start, stop)
        name = label if number == 0 else None
        axes.plot(place.right[where], values[where], color=colour, linewidth=1.1, label=name, **style)


def _signed(axes: "Axes", values: Floats) -> None:
    """An axis about 0, cut where single columns would flatten all others."""
    axes.axhline(0, color=SOFT, linewidth=0.7)
    known = np.abs(values[np.isfinite(values)])
    if known.any():
        most = float(np.quantile(known, 0.995)) or float(known.max())
        axes.set_ylim(-most * 1.1, most * 1.1)
    _few_ticks(axes, 5)
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.6g}")


def _few_ticks(axes: Any, count: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(count, prune="both"))
