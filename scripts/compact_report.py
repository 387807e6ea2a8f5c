"""What became of the files: a table for a person, lines of the log for a service, a state for health."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scripts.wide_table import print_whole
from shared.clock import SystemClock
from shared.log import get_log
from storage.compaction_state import CompactionState

_SHOWN_MAX = 20
log = get_log("compact")


@dataclass
class Total:
    """What becomes of one table's files."""

    files_before: int = 0
    bytes_before: int = 0
    files_after: int = 0
    bytes_after: int = 0
    rows: int = 0


@dataclass
class Outcome:
    """What a run did, or would do."""

    merges: int  # that were planned
    left_over: int  # files whose rows a compacted file holds already
    text_files: int
    troubles: list[str]
    totals: dict[str, Total] = field(default_factory=dict)
    measured: str = ""

    def total(self, table: str) -> Total:
        """That of a table, to be added to."""
        return self.totals.setdefault(table, Total())

    def sum_of(self, name: str) -> int:
        """One count, of all tables."""
        return sum(getattr(each, name) for each in self.totals.values())

    def tell(self, state: CompactionState, *, took_s: float) -> None:
        """Write into the state how the run ended: what is wrong, or that it ended well and what it did."""
        if self.troubles:
            more = f" (and {len(self.troubles) - 1:,} more)" if len(self.troubles) > 1 else ""
            state.last_problem, state.last_problem_wall_ns = self.troubles[0] + more, SystemClock.wall_ns()
            return
        state.last_success_wall_ns, state.took_s, state.rows = SystemClock.wall_ns(), took_s, self.sum_of("rows")
        state.files, state.made_files = self.sum_of("files_before"), self.sum_of("files_after")


def write_log(outcome: Outcome) -> None:
    """What was done, in one line, and one for each thing that could not be."""
    for line in outcome.troubles[:_SHOWN_MAX]:
        log.error("not compacted", problem=line)
    counts = {name: outcome.sum_of(name) for name in ("files_before", "files_after", "rows", "bytes_after")}
    if outcome.merges:
        log.info("compacted", **counts, troubles=len(outcome.troubles))
    else:
        log.info("nothing to compact")


def show(outcome: Outcome, *, verb: str) -> None:
    """Print it."""
    console = Console(highlight=False)
    if outcome.totals:
        table = Table("table", "files", "to", "MB", "to", "rows", box=None, pad_edge=False, header_style="bold")
        for column in table.columns[1:]:
            column.justify = "right"
        for name, total in sorted(outcome.totals.items()):
            table.add_row(escape(name), *_cells(total))
        print_whole(table, console)
    for line in outcome.troubles[:_SHOWN_MAX]:
        console.print(line, style="bold red", markup=False, soft_wrap=True)
    if len(outcome.troubles) > _SHOWN_MAX:
        more = len(outcome.troubles) - _SHOWN_MAX
        console.print(f"and {more:,} more that stay as they are", style="bold red")
    for line in _last_lines(outcome, verb):
        console.print(line, markup=False, soft_wrap=True)


def _cells(total: Total) -> Iterator[str]:
    is_done = total.bytes_after > 0
    yield f"{total.files_before:,}"
    yield f"{total.files_after:,}"
    yield f"{total.bytes_before / 2**20:,.1f}"
    yield f"{total.bytes_after / 2**20:,.1f}" if is_done else ""
    yield f"{total.rows:,}" if is_done else ""


def _last_lines(outcome: Outcome, verb: str) -> Iterator[str]:
    if outcome.left_over:
        yield f"{outcome.left_over:,} files whose rows a compacted file holds already"
    if outcome.text_files:
        yield f"{outcome.text_files:,} NDJSON files stay as they are"
    if outcome.merges:
        yield f"{outcome.sum_of('files_before'):,} files {verb} {outcome.sum_of('files_after'):,}"
    else:
        yield "nothing to compact: no day that is over has files in ready"
    if outcome.measured:
        yield outcome.measured
