"""What the demo prints when it has run: a table per stage, the folder tree, and queries to copy."""

import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.tree import Tree

from scripts.amounts import size_of
from scripts.demo.folder import DemoFolder
from scripts.demo.verdict import BarsVerdict, StreamVerdict, Verdict

_COLUMNS = ("sent", "bronze", "copies", "in_gaps", "missing", "altered", "silver")
_TITLES = ("sent", "in bronze", "came twice", "in declared gaps", "missing", "altered", "in silver")
_CLOSED = frozenset({"state", "staging", "logs", "active", "published"})  # counted, not opened


@dataclass(frozen=True)
class Query:
    """A command line that prints something of the lake."""

    title: str
    command: str


def capture_table(verdict: Verdict) -> Table:
    """Every stream: sent = in bronze + in declared gaps, and silver holds what bronze holds."""
    table = Table("stream", title="Capture: trade ids of the exchange's own log against the lake", title_justify="left")
    for title in _TITLES:
        table.add_column(title, justify="right")
    table.add_column("")
    for stream in verdict.streams:
        table.add_row(stream.name, *(f"{_count(stream, name):,}" for name in _COLUMNS), _mark(not _problems(stream)))
    totals = (sum(_count(stream, name) for stream in verdict.streams) for name in _COLUMNS)
    table.add_section()
    table.add_row("all", *(f"{total:,}" for total in totals), _mark(verdict.nothing_lost), style="bold")
    return table


def bars_table(verdict: Verdict) -> Table:
    """Every bar set: bars, and whether they hold silver's trades to the last digit."""
    table = Table("bar set", title="Bars: exact sums of each set against silver's", title_justify="left")
    for title in ("streams", "bars", "trades in them", "exact volume and value"):
        table.add_column(title, justify="right")
    for bar_set, parts in sorted(by_bar_set(verdict).items()):
        exact = sum(part.is_exact for part in parts)
        trades = sum(part.trades for part in parts)
        equal = f"equal in {exact} of {len(parts)} {_mark(exact == len(parts))}"
        table.add_row(bar_set, str(len(parts)), f"{sum(part.bars for part in parts):,}", f"{trades:,}", equal)
    return table


def by_bar_set(verdict: Verdict) -> dict[str, list[BarsVerdict]]:
    """The verdict's bars, by the name of their set."""
    found: dict[str, list[BarsVerdict]] = {}
    for bars in verdict.bars:
        found.setdefault(bars.bar_set, []).append(bars)
    return found


def folder_tree(root: Path) -> Tree:
    """The folder with one branch of every kind open to its files, and counts for the rest."""
    tree = Tree(f"[bold]{root}/[/]")
    _grow(tree, root)
    return tree


def queries(folder: DemoFolder) -> list[Query]:
    """Three ways to ask the lake, as they can be typed in the directory where the demo was started."""
    bars, gaps = f"{folder.root}/processed/gold/bars/**/*.parquet", f"{folder.root}/raw/ready/*/gaps/**/*.parquet"
    polars = (
        "import polars as pl\n"
        f'bars = pl.scan_parquet("{bars}")\n'
        'dollar = bars.filter(pl.col("bar_set").str.starts_with("dollar")).sort("exchange", "symbol", "bar_seq")\n'
        'print(dollar.select("exchange", "symbol", "time_end", "open", "high", "low", "close", "vwap").collect())'
    )
    duckdb = (
        "import duckdb\n"
        'print(duckdb.sql("""select exchange, symbol, cause, status, prev_id, next_id, rows_lost\n'
        f'from "{gaps}" order by exchange, symbol"""))'
    )
    sql = "select exchange, symbol, count(*) trades, min(price) low, max(price) high from silver_trades group by all"
    ours = f"{_command('daedalus')} query -c {shlex.quote(str(folder.config))} {shlex.quote(sql + ' order by all')}"
    python = _command("python")
    return [
        Query("Polars: the dollar bars", f"{python} -c {shlex.quote(polars)}"),
        Query("DuckDB: the gaps", f"{python} -c {shlex.quote(duckdb)}"),
        Query("daedalus: the clean trades", ours),
    ]


def _grow(tree: Tree, folder: Path) -> None:
    """Add a folder's entries; of `key=value` siblings and of the files in a partition only the first is opened."""
    entries = sorted(folder.iterdir(), key=lambda path: (path.is_file(), path.name))
    folders = [path for path in entries if path.is_dir()]
    files = [path for path in entries if path.is_file()]
    alike = [path for path in folders if "=" in path.name]
    for path in folders:
        if path.name in _CLOSED:
            _count_in(tree, path)
        elif path not in alike[1:]:
            _grow(tree.add(f"{path.name}/"), path)
    if alike[1:]:
        tree.add(f"[dim]{len(alike) - 1} more: {', '.join(path.name.partition('=')[2] for path in alike[1:])}[/]")
    shown = files[:1] if "=" in folder.name else files
    for path in shown:
        tree.add(f"{path.name} [dim]{size_of(path.stat().st_size)}[/]")
    if rest := len(files) - len(shown):
        tree.add(f"[dim]{rest} more {'file' if rest == 1 else 'files'}[/]")


def _count_in(tree: Tree, folder: Path) -> None:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    if sizes:
        tree.add(f"{folder.name}/ [dim]{len(sizes)} files, {size_of(sum(sizes))}[/]")


def _count(stream: StreamVerdict, name: str) -> int:
    value = getattr(stream, name)
    return len(value) if isinstance(value, tuple) else int(value)


def _problems(stream: StreamVerdict) -> list[str]:
    return list(stream.problems())


def _mark(good: bool) -> str:
    return "[green]✓[/]" if good else "[bold red]✗[/]"


def _command(name: str) -> str:
    """How to call a program of this environment from here."""
    ours = Path(sys.executable).parent / name
    found = shutil.which(name)
    if found and Path(found).parent == ours.parent:
        return name
    if not ours.exists():
        return name
    relative = os.path.relpath(ours)
    return shlex.quote(str(ours) if relative.startswith("..") else relative)
