"""The gaps table as a person reads it."""

from collections.abc import Mapping
from typing import IO, Any

import polars as pl
from rich.console import Console
from rich.table import Table

from scripts.moments import lasted
from scripts.wide_table import fits, print_whole

_COLUMNS = ("from (UTC)", "lasted", "exchange", "symbol", "channel", "cause", "status", "lost", "ids", "evidence")
_STYLES = {"open": "red", "unrecoverable": "red", "exchange_hole": "yellow", "filled": "green"}


def show(gaps: pl.DataFrame, *, hidden: int, is_empty: bool, file: IO[str] | None = None) -> None:
    """Print gaps and a line that sums them up.

    Args:
        gaps: latest revisions.
        hidden: how many rows that declare no loss are left out.
        is_empty: nothing was ever published in this lake.
        file: where to, if not to the terminal.
    """
    console = Console(file=file, highlight=False)
    if gaps.height:
        table = Table(*_COLUMNS, box=None, pad_edge=False, header_style="bold")
        table.columns[7].justify = "right"
        for gap in gaps.iter_rows(named=True):
            table.add_row(*_cells(gap))
        if fits(table, console):
            print_whole(table, console)
        else:
            for gap in gaps.iter_rows(named=True):
                began, span, *stream, cause, status, lost, ids_around, evidence = _cells(gap)
                console.print(f"{began}  {span}  {cause}  {status}  {lost} lost", soft_wrap=True)
                console.print("   ", *stream, *(f" {text}" for text in (ids_around, evidence) if text), soft_wrap=True)
    console.print(summary(gaps, hidden=hidden, is_empty=is_empty), soft_wrap=True)


def summary(gaps: pl.DataFrame, *, hidden: int, is_empty: bool) -> str:
    """One line: how many gaps of which status, and what they cost."""
    if is_empty:
        return "No gaps: nothing has been published in this lake yet."
    rows_are = (
        "1 row of starts, connections and the like is"
        if hidden == 1
        else (f"{hidden:,} rows of starts, connections and the like are")
    )
    also = f" {rows_are} not shown (--all)." if hidden else ""
    if not gaps.height:
        return f"No gaps.{also}"
    counts = [f"{count:,} {status}" for status, count in gaps["status"].value_counts().sort("status").iter_rows()]
    standing = gaps.filter(pl.col("status") != "filled")
    lost, unknown = int(standing["rows_lost"].sum()), standing["rows_lost"].null_count()
    of_unknown_size = f", and {unknown:,} of unknown size" if unknown else ""
    noun = "gap" if gaps.height == 1 else "gaps"
    return f"{gaps.height:,} {noun}: {', '.join(counts)}; {lost:,} rows lost{of_unknown_size}.{also}"


def _cells(gap: Mapping[str, Any]) -> list[str]:
    began, ended = gap["start_ts"], gap["end_ts"]
    if ended is not None and began is not None:
        span = lasted((ended - began).total_seconds()) if ended >= began else "clock went back"
    else:
        span = "no end yet" if gap["status"] == "open" and ended is None else "unknown"
    lost = "unknown" if gap["rows_lost"] is None else f"{gap['rows_lost']:,}"
    style = _STYLES.get(gap["status"], "")
    return [
        f"{began or gap['capture_ts']:%Y-%m-%d %H:%M:%S.%f}"[:-3] if began or gap["capture_ts"] else "",
        span,
        gap["exchange"] or "",
        gap["symbol"],
        gap["channel"],
        gap["cause"],
        f"[{style}]{gap['status']}[/]" if style else gap["status"],
        lost,
        ids(gap["prev_id"], gap["next_id"]),
        (gap["evidence"] or "").replace("[", "\\["),
    ]


def ids(before: str | None, after: str | None) -> str:
    """The ids around a gap. The one behind may be smaller: after a reconnect the exchange repeats recent trades.

    >>> ids("1000", "1007"), ids("1000", "951"), ids("1000", None), ids(None, None)
    ('1000..1007', '1000..951 (overlap)', '1000..', '')
    """
    if before is None and after is None:
        return ""
    both = before is not None and after is not None and before.isdecimal() and after.isdecimal()
    overlaps = both and int(after or 0) <= int(before or 0)
    return f"{before or ''}..{after or ''}" + (" (overlap)" if overlaps else "")
