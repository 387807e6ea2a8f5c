"""The statistics of bar sets as a person compares them: a line for each statistic, a column for each set."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scripts.moments import lasted
from scripts.wide_table import fits, print_whole

Row: TypeAlias = Mapping[str, Any]
_BASIS_POINTS = 1e4


def _plain(value: Any) -> str:
    """A number in four digits or as many as it has before the point.

    >>> [_plain(value) for value in (None, 0, 1234567, 10.0, 0.5, 1234.5678, 0.00001234, 1e300)]
    ['–', '0', '1,234,567', '10', '0.5000', '1,235', '1.234e-05', '1.000e+300']
    """
    if value is None:
        return "–"
    if abs(value) >= 1e12 or 0 < abs(value) < 1e-3:
        return f"{value:.3e}"
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.{max(0, 3 - _tens(value))}f}"


def _tens(value: float) -> int:
    """The power of ten of the first digit, after rounding to four."""
    return int(f"{abs(value):.3e}".partition("e")[2])


def _basis_points(value: Any) -> str:
    return _plain(None if value is None else value * _BASIS_POINTS)


def _probability(value: Any) -> str:
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


class _Line(NamedTuple):
    """One line of the table."""

    title: str
    name: str
    shown: Callable[[Any], str] = _plain
    is_best_least: bool = False  # the set with the value nearest to zero is marked


def _spread(name: str) -> list[_Line]:
    return [_Line(f"  {part}", f"{name}_{part}") for part in ("mean", "std", "min", "median", "max")]


_LINES: tuple[_Line, ...] = (
    _Line("bars", "n_bars"),
    _Line("  a day", "bars_per_day"),
    _Line("  partial, not counted", "n_partial"),
    _Line("  with a gap inside", "n_gap"),
    _Line("trades per bar", ""),
    *_spread("tick_count"),
    _Line("volume, base", ""),
    *_spread("volume"),
    _Line("value, quote", ""),
    *_spread("dollar_volume"),
    _Line("duration, s", ""),
    *_spread("duration_s"),
    _Line("log returns", "n_returns"),
    _Line("  mean, bp", "return_mean", _basis_points),
    _Line("  std, bp", "return_std", _basis_points),
    _Line("  skewness", "return_skewness"),
    _Line("  excess kurtosis", "return_excess_kurtosis"),
    _Line("  Jarque-Bera", "jarque_bera", _plain, True),
    _Line("    p if normal", "jarque_bera_p", _probability),
    _Line("  autocorrelation, lag 1", "autocorrelation_1", _plain, True),
    _Line("  Ljung-Box, 10 lags", "ljung_box_10"),
    _Line("    p if independent", "ljung_box_10_p", _probability),
)
_BY_PERIOD: tuple[_Line, ...] = (
    _Line("  bars in one, mean", "bars_per_period_mean"),
    _Line("    std / mean", "bars_per_period_cv", _plain, True),
    _Line("  variance of variances", "variance_of_variances"),
    _Line("    std / mean", "variance_cv", _plain, True),
)
_PERIODS = {"1mo": "months", "1w": "weeks", "1d": "days", "1h": "hours", "10m": "tens of minutes", "1m": "minutes"}
_BELOW = "* nearest to zero. Jarque-Bera and variances grow with bars: compare sets of about as many."


def show(found: pl.DataFrame) -> None:
    """Print statistics, a block for each exchange and symbol; as many sets side by side as the terminal holds."""
    console = Console(highlight=False)
    for stream in found.partition_by("exchange", "symbol", maintain_order=True):
        rows = stream.to_dicts()
        console.print(_heading(rows), soft_wrap=not console.is_terminal)
        for some in _that_fit(rows, console):
            print_whole(_table(some, _best(rows)), console)
            console.print()
    console.print(_BELOW, soft_wrap=not console.is_terminal)


def _heading(rows: Sequence[Row]) -> str:
    name = " ".join(filter(None, (rows[0]["exchange"], rows[0]["symbol"])))
    first, last = min(row["first"] for row in rows), max(row["last"] for row in rows)
    until = f"{last:%H:%M:%S}" if last.date() == first.date() else f"{last:%Y-%m-%d %H:%M:%S}"
    span = f"{first:%Y-%m-%d %H:%M:%S} to {until} UTC, {lasted((last - first).total_seconds())}"
    return f"[bold]{escape(name)}[/]  {span}" if name else span


def _that_fit(rows: Sequence[Row], console: Console) -> list[list[Row]]:
    """The rows in groups, each of as many as the terminal holds side by side, but at least one."""
    groups: list[list[Row]] = []
    for row in rows:
        if groups and fits(_table([*groups[-1], row], {}), console):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _best(rows: Sequence[Row]) -> dict[str, float]:
    """By statistic the value nearest to zero, of those that are the better for it and that two sets have."""
    best = {}
    for line in (*_LINES, *_BY_PERIOD):
        values = [abs(row[line.name]) for row in rows if line.is_best_least and row[line.name] is not None]
        if len(values) > 1:
            best[line.name] = min(values)
    return best


def _table(rows: Sequence[Row], best: Mapping[str, float]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("")
    for row in rows:
        table.add_column(escape(row["bar_set"].replace("-", " \n") + " "), justify="right")
    periods = _Line(f"whole {_PERIODS[rows[0]['period']]}", "n_periods")
    for line in (*_LINES, periods, *_BY_PERIOD):
        title = line.title if line.title.startswith(" ") else f"[bold]{line.title}[/]"
        table.add_row(title, *(_cell(row, line, best) for row in rows))
    return table


def _cell(row: Row, line: _Line, best: Mapping[str, float]) -> str:
    if not line.name:
        return ""
    value = row[line.name]
    is_best = value is not None and line.name in best and abs(value) == best[line.name]
    return f"[green]{line.shown(value)}*[/]" if is_best else f"{line.shown(value)} "
