"""The report's two kinds of chart: how every stream was captured, and one stream's price with its bars."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from scripts.demo.run import Story
from scripts.demo.svg import Scale, clock, line, path, rect, svg, text, ticks, time_ticks
from scripts.demo.timeline import DECLARED, LIVE, LOST, SNAPSHOT, Stretch
from shared.clock import us_from_utc

_ROW, _BAR = 34, 14
_PRICE_HEIGHT, _VOLUME_HEIGHT, _BETWEEN = 300, 92, 34
_TOP, _AXIS = 30, 28
_COUNTS = 208  # right of the timeline, for its counts
_SIDE = 74  # left of a price chart, for its numbers
_TIMES = {True: 9, False: 4}  # about so many times on an axis, by whether it is wide
_MISSING = (DECLARED, LOST)
_BRIEF = {SNAPSHOT: "filled", DECLARED: "in a gap", LOST: "lost"}
_WORDS = {
    LIVE: "captured as it happened",
    SNAPSHOT: "missed, then filled by the snapshot on reconnect",
    DECLARED: "not captured: declared in an open gap",
    LOST: "lost: stored nowhere, declared nowhere",
}


def timeline(streams: Mapping[tuple[str, str], Sequence[Stretch]], story: Story, *, width: float) -> str:
    """Every stream as a row over exchange time: captured, filled by a snapshot, declared missing, lost."""
    is_wide = width > 800
    left = 190.0 if is_wide else 10.0
    row = _ROW if is_wide else _ROW + 16
    first_us, last_us = _extent(streams)
    x = Scale(first_us, last_us, left, width - (_COUNTS if is_wide else 8))
    bottom = _TOP + row * len(streams)
    parts = list(_time_axis(x, top=_TOP - 6, bottom=bottom, is_wide=is_wide))
    for number, ((exchange, symbol), found) in enumerate(sorted(streams.items())):
        middle = _TOP + row * number + row - (_ROW / 2)
        y = (middle - _BAR / 2, middle + _BAR / 2)
        baseline = middle + 4 if is_wide else y[0] - 6
        parts.append(text(0 if is_wide else left, baseline, f"{exchange} {symbol}", style="name"))
        parts.append(text(width - 8, baseline, _counts(found), style="tick", anchor="end"))
        parts.extend(_row(found, x, y))
    for us, word, anchor in ((story.killed_us, "kill -9", "end"), (story.restarted_us, "restart", "start")):
        if first_us <= us <= last_us:
            place = x(us)
            parts.append(line((place, _TOP - 10), (place, bottom), style="event"))
            parts.append(text(place + (-5 if anchor == "end" else 5), _TOP - 14, word, style="event", anchor=anchor))
    return svg(width, bottom + _AXIS, parts, label="Capture of every stream over time")


def _row(found: Sequence[Stretch], x: Scale, y: tuple[float, float]) -> Iterator[str]:
    for stretch in sorted(found, key=lambda each: each.state in _MISSING):  # those last, and never too thin to be seen
        start, end = x(stretch.from_us), x(stretch.until_us)
        if stretch.state in _MISSING:
            end = max(end, start + 2)
        title = f"{stretch.trades:,} trades {_WORDS[stretch.state]}; ids {stretch.first_id} to {stretch.last_id}"
        yield rect((start, end), y, style=stretch.state, title=title)


def _counts(found: Sequence[Stretch]) -> str:
    """What the outage cost a stream."""
    counts = {state: sum(stretch.trades for stretch in found if stretch.state == state) for state in _BRIEF}
    parts = [f"{count:,} {_BRIEF[state]}" for state, count in counts.items() if count]
    return ", ".join(parts)


def price_chart(trades: pl.DataFrame, bars: pl.DataFrame, found: Sequence[Stretch], *, width: float) -> str:
    """One stream: trade prices as a line, dollar bars as candles, volume per 5 s bar below.

    Args:
        trades: the stream's silver trades in order.
        bars: its bars of the sets `dollar-*` and `time-5s-*`.
        found: its stretches; what was not captured is shaded, and the line is broken there.
        width: of the drawing, in pixels.
    """
    if not trades.height:
        return "<p>No trades of this stream are stored.</p>"
    is_wide = width > 800
    moments = trades["timestamp"].dt.timestamp("us").to_list()
    x = Scale(min(moments), max(moments), _SIDE, width - 12)
    dollar = bars.filter(pl.col("bar_set").str.starts_with("dollar"))
    steady = bars.filter(pl.col("bar_set").str.starts_with("time-5s"))
    floor = _TOP + _PRICE_HEIGHT
    top, bottom = floor + _BETWEEN, floor + _BETWEEN + _VOLUME_HEIGHT
    parts = list(_time_axis(x, top=_TOP, bottom=bottom, is_wide=is_wide))
    for stretch in found:
        if stretch.state in _MISSING:
            title = f"{stretch.trades:,} trades {_WORDS[stretch.state]}; ids {stretch.first_id} to {stretch.last_id}"
            ends = (max(x(stretch.from_us), _SIDE), min(x(stretch.until_us), width - 12))
            parts.append(rect(ends, (_TOP, bottom), style=f"shade {stretch.state}", title=title))
    parts += _prices(trades, dollar, x, width=width)
    parts += _volumes(steady, x, (top, bottom), width=width)
    return svg(width, bottom + _AXIS, parts, label="Price, dollar bars and volume")


def _prices(trades: pl.DataFrame, bars: pl.DataFrame, x: Scale, *, width: float) -> Iterator[str]:
    prices: list[float] = trades["price"].to_list()
    low, high = min(prices), max(prices)
    margin = (high - low or abs(high) * 1e-4) * 0.06
    y = Scale(low - margin, high + margin, _TOP + _PRICE_HEIGHT, _TOP)
    yield from _value_axis(ticks(low - margin, high + margin, count=6), y, width=width)
    yield text(_SIDE, _TOP - 12, "price, quote per base", style="title")
    run: list[tuple[float, float]] = []
    moments = trades["timestamp"].dt.timestamp("us")
    for moment, price, gap_before in zip(moments, prices, trades["gap_before"], strict=True):
        if gap_before and run:
            yield path(run, style="price")
            run = []
        run.append((x(moment), y(price)))
    yield path(run, style="price")
    for bar in bars.iter_rows(named=True):
        yield _candle(bar, x, y)


def _candle(bar: dict[str, Any], x: Scale, y: Scale) -> str:
    start, end = (x(_us(bar[name])) for name in ("time_start", "time_end"))
    style = "up" if bar["close"] >= bar["open"] else "down"
    notes = [note for note, is_so in (("spans a gap", bar["has_gap"]), ("partial", bar["is_partial"])) if is_so]
    title = (
        f"dollar bar {bar['bar_seq']}{' (' + ', '.join(notes) + ')' if notes else ''}\n"
        f"{clock(_us(bar['time_start']), places=3)} to {clock(_us(bar['time_end']), places=3)} UTC\n"
        f"open {bar['open']:,} high {bar['high']:,} low {bar['low']:,} close {bar['close']:,}\n"
        f"{bar['tick_count']} trades, volume {_plain(bar['volume_exact'])}, "
        f"value {_plain(bar['dollar_volume_exact'])}, vwap {bar['vwap']:,.6f}"
    )
    wide = " has-gap" if bar["has_gap"] else ""
    middle, gap = (start + end) / 2, min(0.8, (end - start) / 4)
    wick = line((middle, y(bar["low"])), (middle, y(bar["high"])), style=f"wick {style}{wide}")
    body = (y(bar["open"]), y(bar["close"]))
    return wick + rect((start + gap, end - gap), body, style=f"candle {style}{wide}", title=title)


def _volumes(bars: pl.DataFrame, x: Scale, span: tuple[float, float], *, width: float) -> Iterator[str]:
    top, bottom = span
    most = max(bars["volume"], default=0.0) or 1.0
    y = Scale(0.0, most * 1.05, bottom, top)
    yield from _value_axis(ticks(0.0, most, count=3), y, width=width)
    yield text(_SIDE, top - 10, "volume per 5 s bar, base: sellers took below, buyers above", style="title")
    for bar in bars.iter_rows(named=True):
        start, end = (min(max(x(_us(bar[name])), x.start), x.end) for name in ("time_start", "time_end"))
        at = (start + 1, max(end - 1, start + 1.5))
        title = (
            f"{clock(_us(bar['time_start']))} to {clock(_us(bar['time_end']))} UTC: volume "
            f"{_plain(bar['volume_exact'])} in {bar['tick_count']} trades{', spans a gap' if bar['has_gap'] else ''}"
        )
        wide = " has-gap" if bar["has_gap"] else ""
        yield rect(at, (y(0), y(bar["sell_volume"])), style=f"volume down{wide}", title=title)
        yield rect(at, (y(bar["sell_volume"]), y(bar["volume"])), style=f"volume up{wide}", title=title)


def _time_axis(x: Scale, *, top: float, bottom: float, is_wide: bool) -> Iterator[str]:
    for us in time_ticks(int(x.low), int(x.high), count=_TIMES[is_wide]):
        place = x(us)
        yield line((place, top), (place, bottom), style="grid")
        if x.start + 20 < place < x.end - 20:
            yield text(place, bottom + 18, clock(us), style="tick", anchor="middle")


def _value_axis(values: Sequence[float], y: Scale, *, width: float) -> Iterator[str]:
    places = max((len(f"{value:.10f}".rstrip("0").partition(".")[2]) for value in values), default=0)
    for value in values:
        yield line((_SIDE, y(value)), (width - 12, y(value)), style="grid")
        yield text(_SIDE - 8, y(value) + 4, f"{value:,.{places}f}", style="tick", anchor="end")


def _extent(streams: Mapping[tuple[str, str], Sequence[Stretch]]) -> tuple[int, int]:
    found = [stretch for stretches in streams.values() for stretch in stretches]
    first, last = (stretch.from_us for stretch in found), (stretch.until_us for stretch in found)
    return min(first, default=0), max(last, default=1)


def _us(moment: Any) -> int:
    return us_from_utc(moment)


def _plain(number: Any) -> str:
    return f"{number.normalize():f}"
