"""A run over features: streams of the lake in, a file of rows for each out, and the state for the next run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import polars as pl
import typer

from etl.core.bar_files import BarFile
from etl.core.config import StreamKey
from scripts.features import state as features_state
from scripts.features.work import Work, encoded
from scripts.known_names import stored_names, unknown_names
from scripts.whole_file import written_whole
from shared.clock import us_from_utc, utc_from_us
from shared.disk import Disk, translated
from shared.errors import InputUnreadable, StateMismatch
from shared.filters import FilterSpec
from shared.partitioning import Lake, Partition

_SHOWN_MAX = 12
_ALWAYS = ("crossed", "one_sided", "duplicates", "out_of_order")  # told of books even where there were none


class Asked(NamedTuple):
    """What a run was asked for."""

    table: str  # of features
    lake: Lake
    out: Path
    state_path: Path | None
    limit: int | None
    is_dry: bool


Opened = Callable[[StreamKey, features_state.RunState | None], Work]


def run(asked: Asked, keys: Sequence[StreamKey], opened: Opened) -> None:
    """Make the features of these streams; nothing half-written is left, whatever happens.

    Raises: typer.BadParameter, InputUnreadable, StateMismatch; streams done before it stay.
    """
    if asked.lake.processed.resolve() in asked.out.resolve().parents:
        raise typer.BadParameter(f"--out {asked.out}: what lies there is kept by `daedalus watch`")
    for option, value in (("--state-path", asked.state_path), ("--out", _file(asked))):
        if value and len(keys) > 1:
            names = ", ".join(" ".join(key) for key in keys)
            raise InputUnreadable(
                f"{option} {value} is of one stream; there are {names}", hint="Choose one with --exchange and --symbol"
            )
    for key in keys:
        before = features_state.load(asked.state_path) if asked.state_path else None
        if before and asked.state_path:
            features_state.require_same(before, (asked.table, *key), path=asked.state_path)
        try:
            work = opened(key, before)
        except StateMismatch as error:  # of the maker, which knows of no file
            raise StateMismatch(f"{asked.state_path}: {error}", hint=error.hint) from error
        made_of = (asked.table, *key, work.read)
        if before and asked.state_path:
            features_state.require_same(before, made_of, path=asked.state_path)
        _run_stream(asked, key, work, made_of)


def _run_stream(asked: Asked, key: StreamKey, work: Work, made_of: tuple[str, str, str, str]) -> None:
    portions = _limited(work.portions(), asked.limit)
    first = next(portions, None)
    if first is None:
        if work.position:
            typer.echo(f"{' '.join(key)}: no {work.noun} behind the state's position; nothing was written")
            return
        raise InputUnreadable(f"{' '.join(key)}: no {work.noun} in {work.read}", hint="Ask for other times")
    target = _target(asked, key, first)
    portions = chain([first], portions)
    if asked.is_dry:
        _say_plan(asked, key, work, portions, target)
        return
    read = rows = 0
    with _growing(target, {"daedalus.features": asked.table}) as file:
        for portion in portions:
            read += len(portion)
            rows += _put(file, key, work.update(portion))
        if not asked.state_path:
            rows += _put(file, key, work.finish())
    if asked.state_path:
        state = features_state.RunState(made_of=made_of, position=work.position, processor=encoded(work.state()))
        features_state.save(asked.state_path, state)
    kept = f"; state in {asked.state_path}" if asked.state_path else ""
    typer.echo(
        f"{' '.join(key)}: {read:,} {work.noun} of {work.read} in, {rows:,} rows out; "
        f"{'; '.join(filter(None, (_counts(work), str(target))))}{kept}"
    )


def _limited(portions: Iterator[pl.DataFrame], limit: int | None) -> Iterator[pl.DataFrame]:
    left = limit
    for portion in portions:
        if left is None:
            yield portion
            continue
        yield portion.head(left)
        left -= len(portion)
        if left <= 0:
            return


def _put(file: BarFile, key: StreamKey, rows: pl.DataFrame | None) -> int:
    if rows is None:
        return 0
    file.add(rows.select(pl.lit(key.exchange).alias("exchange"), pl.lit(key.symbol).alias("symbol"), pl.all()))
    return len(rows)


def _counts(work: Work) -> str:
    told = [f"{count:,} {name.replace('_', ' ')}" for name, count in work.counts.items() if count or name in _ALWAYS]
    return "; ".join(filter(None, [", ".join(told), *work.notes()]))


def _file(asked: Asked) -> Path | None:
    return asked.out if asked.out.suffix == ".parquet" else None


def _target(asked: Asked, key: StreamKey, first: pl.DataFrame) -> Path:
    """The file; in a folder it is named by its first row of input, so that a run again replaces its own alone."""
    if file := _file(asked):
        return file
    if asked.out.suffix:
        raise typer.BadParameter(f"--out {asked.out}: rows are written as Parquet; name a .parquet file or a folder")
    clock = "capture_ts" if "capture_ts" in first.columns else "timestamp"
    label = f"{utc_from_us(us_from_utc(first[clock][0])):%Y%m%dT%H%M%S.%f}"
    return asked.out / asked.table / Partition(*key, 1, 1).path().parent.parent / f"{asked.table}_{label}.parquet"


@contextmanager
def _growing(target: Path, facts: Mapping[str, str]) -> Iterator[BarFile]:
    """A file that takes the place of `target` when it is whole."""
    Disk().make_dirs(target.parent)
    with translated(target), written_whole(target) as part:
        file = BarFile(part, facts)
        try:
            yield file
        except BaseException:
            file.abandon()
            raise
        file.close()


def _say_plan(asked: Asked, key: StreamKey, work: Work, portions: Iterator[pl.DataFrame], target: Path) -> None:
    count = sum(map(len, portions))
    behind = " behind the state's position" if work.position else ""
    state = f" and the state to {asked.state_path}" if asked.state_path else ""
    beside = f", beside them trades of {work.traded}" if work.traded else ""
    read = f"{count:,} {work.noun} of {work.read}{behind}{beside}"
    typer.echo(f"{' '.join(key)}: would read {read}; write {target}{state}")


def chosen(lake: Lake, found: Sequence[StreamKey], where: FilterSpec, *, what: str, hint: str) -> list[StreamKey]:
    """The wanted ones of the streams that were found. Raises: InputUnreadable."""
    exchanges, symbols, _ = stored_names(lake)
    lines = [
        *unknown_names(where.exchanges, exchanges | {key.exchange for key in found}, "exchange"),
        *unknown_names(where.symbols, symbols | {key.symbol for key in found}, "symbol"),
    ]
    if lines:
        raise InputUnreadable("; ".join(lines), hint="Correct the name, or leave the option out")
    if wanted := [key for key in found if where.allows(key)]:
        return wanted
    if found:
        hint = f"There are {', '.join(' '.join(key) for key in found[:_SHOWN_MAX])}"
    asked = f" of {where}" if where != FilterSpec() else ""
    raise InputUnreadable(f"no {what}{asked} in this lake", hint=hint)
