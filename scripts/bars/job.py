"""Building bars as a person asked for it: where trades come from, where bars go, what is said at the end."""

from collections.abc import Iterable, Sequence
from glob import glob
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import polars as pl
import typer

from etl.bars import Bars, bar_set_id, new_bars
from etl.bars.schema import no_bars
from etl.bars.threshold import ADV_FRACTION
from etl.core.bar_files import BarsOutput
from etl.core.base import LateRows
from etl.core.config import BarSet, EtlOptions, FilterSpec, StreamKey
from etl.tapes.building import Built, Ending, build
from etl.tapes.columns import Layout
from etl.tapes.files import FileTape, Period, Portion
from etl.tapes.lake import BronzeTape, SilverTape, bronze_streams, silver_streams
from etl.transforms.bars import bar_facts, clock_of, gold_bars, sequenced
from scripts.bars.progress import Watch, progress
from scripts.known_names import unknown_names
from shared.errors import InputUnreadable
from shared.partitioning import Lake

Tape: TypeAlias = FileTape | SilverTape | BronzeTape
Late: TypeAlias = Literal["drop", "raise"]
_FOLDER = Path("bars")


class Job(NamedTuple):
    """What a build was asked for."""

    bar_set: BarSet
    output: Path | None
    ending: Ending
    where: FilterSpec
    period: Period

    @property
    def name(self) -> str:
        """The id of the bar set."""
        return bar_set_id(self.bar_set.type, self.bar_set.params)

    def builder(self, late: Late = "raise") -> Bars:
        """A fresh builder."""
        return new_bars(self.bar_set.type, **self.bar_set.params, late=late)

    def target(self, default: Path) -> Path:
        """The file, or the folder of the set. Raises: typer.BadParameter."""
        path = self.output or default
        if path.suffix == ".parquet":
            return path
        if path.suffix in {".csv", ".arrow", ".ipc", ".feather"}:
            raise typer.BadParameter(f"--output {path}: bars are built as Parquet; name a .parquet file or a folder")
        return path / f"bar_set={self.name}"

    def facts(self) -> dict[str, str]:
        """What each file says of itself."""
        return bar_facts(self.bar_set.type, self.bar_set.params)


def from_files(job: Job, patterns: Sequence[str], layout: Layout, *, late: Late, is_unsorted: bool) -> None:
    """Build from files that hold the trades of one stream.

    Raises: InputUnreadable; nothing is written then, and what stood at the output stays.
    """
    files = _files(patterns)
    tape = FileTape(
        files,
        layout,
        where=job.where,
        period=job.period,
        may_be_late=late == "drop",
        never_back=clock_of(job.bar_set.type) != "timestamp",
    )
    target = job.target(_FOLDER / f"{job.name}.parquet")
    portions = tape.sorted_portions() if is_unsorted else tape.portions()
    with progress(files[0].name) as watch:
        first = next(portions, None)
        if first is None:
            rejected = f"; {tape.rejected:,} rows were left out as bad" if tape.rejected else ""
            raise InputUnreadable(f"{', '.join(map(str, files))}: no trades{rejected}", hint=_widen(job))
        keys = {"exchange": tape.exchange, "symbol": tape.symbol}
        known = {name: value for name, value in keys.items() if value}
        if target.suffix != ".parquet" and len(known) < len(keys):
            raise typer.BadParameter(f"--output {target.parent}: a folder needs --exchange and --symbol")
        with BarsOutput(target, job.facts()) as output:
            output.begin(tape.exchange or "unknown", tape.symbol or "unknown")

            def put(bars: pl.DataFrame) -> None:
                output.add(gold_bars(bars, bar_set=job.name, **known))

            built = build(chain([first], portions), job.builder(late), put, ending=job.ending, watch=watch)
            if not built.trades:
                raise _none_used(job, [built], place=files[0].name)
            output.publish(gold_bars(no_bars(), bar_set=job.name, **known))
    _say(" ".join(known.values()) or files[0].name, job, tape, built, target)


def from_lake(job: Job, options: EtlOptions, source: Literal["silver", "bronze"]) -> None:
    """Build from every wanted stream of the lake.

    Raises: InputUnreadable; nothing is written then, and what stood at the output stays.
    """
    lake = options.lake
    target = job.target(_FOLDER)
    if lake.processed.resolve() in target.resolve().parents:
        raise typer.BadParameter(f"--output {target.parent}: what lies there is kept by `daedalus watch`")
    keys = _streams(job, lake, source)
    done: list[tuple[StreamKey, Tape, Built]] = []
    tape: SilverTape | BronzeTape
    with BarsOutput(target, job.facts()) as output:
        for key in keys:
            tape = SilverTape(key, lake, job.period) if source == "silver" else BronzeTape(key, options, job.period)
            with progress(f"{key.exchange} {key.symbol}") as watch:
                try:
                    built = _of_stream(key, job, tape.portions(), output, watch)
                except LateRows:
                    assert isinstance(tape, BronzeTape)  # silver has settled that
                    built = _of_stream(key, job, tape.whole(), output, watch)
            done.append((key, tape, built))
        if not any(built.trades for _, _, built in done):
            raise _none_used(job, [built for _, _, built in done], place=source)
        output.publish(gold_bars(no_bars(), bar_set=job.name, exchange="", symbol=""))
    for key, read, built in done:
        _say(f"{key.exchange} {key.symbol}", job, read, built, target)


def _of_stream(key: StreamKey, job: Job, portions: Iterable[Portion], output: BarsOutput, watch: Watch) -> Built:
    clock = clock_of(job.bar_set.type)
    output.begin(key.exchange, key.symbol)

    def put(bars: pl.DataFrame) -> None:
        output.add(gold_bars(bars, bar_set=job.name, exchange=key.exchange, symbol=key.symbol))

    given = (portion._replace(trades=sequenced(portion.trades, clock=clock)) for portion in portions)
    return build(given, job.builder(), put, ending=job.ending, watch=watch)


def _streams(job: Job, lake: Lake, source: str) -> list[StreamKey]:
    find = silver_streams if source == "silver" else bronze_streams
    there = find(lake, FilterSpec())
    if not there:
        where = lake.silver("trades") if source == "silver" else lake.ready
        hint = "Run `daedalus watch --once` first, or take --from bronze" if source == "silver" else ""
        raise InputUnreadable(f"{where}: no trades yet", hint=hint or "Capture some first: daedalus ingest")
    lines = [
        *unknown_names(job.where.exchanges, {key.exchange for key in there}, "exchange"),
        *unknown_names(job.where.symbols, {key.symbol for key in there}, "symbol"),
    ]
    if lines:
        raise InputUnreadable("; ".join(lines), hint="Correct the name, or leave the option out")
    found = [key for key in there if job.where.allows(key)]
    if not found:
        raise InputUnreadable("no such symbol on such an exchange in this lake")
    return found


def _files(patterns: Sequence[str]) -> list[Path]:
    found: list[Path] = []
    for pattern in patterns:
        files = [Path(pattern)] if Path(pattern).exists() else [Path(path) for path in glob(pattern, recursive=True)]  # noqa: PTH207 - the person's own pattern, absolute or not
        if not files:
            raise InputUnreadable(f"--input {pattern}: there is no such file", hint="Correct the name or the pattern")
        found += [file for file in files if file not in found]
    return found


def _widen(job: Job) -> str:
    asked = job.where != FilterSpec() or job.period != Period()
    return "Leave out --since, --until, --exchange or --symbol" if asked else "Name a file that holds trades"


def _none_used(job: Job, built: Sequence[Built], *, place: str) -> InputUnreadable:
    """Why no trade came into a bar."""
    skipped = sum(each.skipped for each in built)
    if not skipped:
        return InputUnreadable(f"{place}: no trades in that period", hint=_widen(job))
    if job.bar_set.params.get("threshold") == ADV_FRACTION:
        what = f"all {skipped:,} trades came before a UTC day was over, and with it the first threshold known"
        return InputUnreadable(f"{place}: {what}", hint="Give one until then with --param threshold_init=...")
    what = f"all {skipped:,} trades lie in the first bucket, which skip_first_partial leaves out"
    return InputUnreadable(f"{place}: {what}", hint="Take more trades, or leave skip_first_partial out")


def _say(stream: str, job: Job, tape: Tape, built: Built, target: Path) -> None:
    """The one line that is left of it all."""
    left = {"drop": "left out (--keep-open, --flush)", "keep": "kept, marked partial", "flush": "ended, marked partial"}
    left_open = f"open bar of {built.open_trades:,} trades {left[job.ending]}" if built.open_trades else "no open bar"
    early = f"{built.skipped:,} before the first bar; " if built.skipped else ""
    typer.echo(
        f"{stream}: {built.trades:,} trades in, {built.bars:,} bars {job.name} out; "
        f"{early}{tape.rejected:,} rejected, {tape.duplicates + built.duplicates:,} duplicate, {built.late:,} late; "
        f"{left_open}; {target}"
    )
