"""`daedalus demo`: the whole system on this machine, with a kill in the middle and an account of every trade."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from scripts.demo.evidence import read_evidence
from scripts.demo.folder import DemoFolder, fresh_folder
from scripts.demo.report import write_report
from scripts.demo.run import OUTAGE_TRADES, Plan, Story, perform
from scripts.demo.screen import Screen
from scripts.demo.tables import bars_table, capture_table, folder_tree, queries
from scripts.demo.verdict import Verdict, verdict

EXIT_LOST = 1
_WIDTH_PLAIN = 120  # of tables where there is no terminal


def demo(
    folder: Annotated[Path, typer.Option(help="Where everything goes; an earlier demo's is replaced.")] = Path(
        "demo-lake"
    ),
    seconds: Annotated[float, typer.Option(min=4, max=3600, help="Time of capture, the outage not counted.")] = 60.0,
    rate: Annotated[float, typer.Option(min=5, max=5000, help="Market moments per second and venue.")] = 120.0,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal markets.")] = 7,
) -> None:
    """Run the whole system on this machine: a local exchange, both collectors, kill -9, restart, bars, a report.

    Ends with 1 if a trade was lost.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH_PLAIN)
    place = fresh_folder(folder)
    screen = Screen(console, place)
    with _orderly_end():
        try:
            story = perform(Plan(seconds, rate, seed), place, screen)
        except KeyboardInterrupt:
            console.print("interrupted; every process of the demo has ended")
            raise
    screen.stage("comparing what the exchange made with what is stored, trade by trade")
    found = judge(place, story)
    show(console, place, story=story, found=found)
    raise typer.Exit(0 if found.nothing_lost else EXIT_LOST)


def judge(folder: DemoFolder, story: Story) -> Verdict:
    """The verdict on a demo that has ended, and its report."""
    evidence = read_evidence(folder)
    found = verdict(evidence)
    write_report(folder, story, evidence=evidence, verdict=found)
    return found


def show(console: Console, folder: DemoFolder, *, story: Story, found: Verdict) -> None:
    """Print tables, tree and queries, and in the last line the result."""
    for part in (capture_table(found), bars_table(found)):
        console.print(Padding(part, (1, 0, 0, 0)))
    console.print(outage_line(story, found), soft_wrap=True)
    console.print(Padding(folder_tree(folder.root), (1, 0, 0, 0)))
    for query in queries(folder):
        console.print(f"\n[bold]{query.title}[/]")
        console.print(escape(query.command), soft_wrap=True)
    console.print(f"\nReport: {folder.report.resolve().as_uri()}", soft_wrap=True)
    colour = "bold green" if found.nothing_lost else "bold red"
    console.print(f"[{colour}]{escape(found.last_line())}[/]", soft_wrap=True)


def outage_line(story: Story, found: Verdict) -> str:
    """What the kill cost, said plainly."""
    name, count = story.busiest
    seconds = (story.restarted_us - story.killed_us) / 1e6
    short = "" if count >= OUTAGE_TRADES else ", too few for a gap everywhere: raise --rate"
    return (
        f"\nkill -9 at {story.seconds / 2:.0f} s of capture; restarted {seconds:.1f} s later, after {name} had made "
        f"{count} trades{short}.\n"
        "A client that comes back is sent the last 100 (Coinbase) or 50 (Kraken) trades of each symbol: those cover "
        f"{sum(not stream.gaps for stream in found.streams)} of {len(found.streams)} streams whole.\n"
        f"What they do not cover was not captured: {found.total('in_gaps'):,} trades, declared by their id ranges in "
        "the gaps table (a backfill by those ids fetches them)."
    )


@contextmanager
def _orderly_end() -> Iterator[None]:
    """SIGTERM and a closed terminal end the demo as Ctrl-C does, children first."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
