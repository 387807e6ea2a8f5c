"""`run_stream`: everything one (exchange, symbol) has to do, bronze to silver to gold, as a plain picklable function.

Each chain (silver trades, each bar set) has its own checkpoints. A chain's step is: restore, read, update, stage,
commit, publish; a kill between any two leaves either the old state or the new.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec
import polars as pl

from etl.bars import bar_set_id
from etl.core.base import BaseTransform, LateRows
from etl.core.bronze import advanced, history, read_trades, require, steps, unconsumed
from etl.core.checkpoints import Checkpoint, CheckpointStore, Move, options_hash
from etl.core.config import BarSet, EtlOptions, StreamKey
from etl.core.outputs import Output, Span, Stage
from etl.transforms.bars import BarsTransform, bar_facts
from etl.transforms.trades import BRONZE_COLUMNS, TradesTransform
from shared.clock import us_from_utc
from shared.errors import StateMismatch
from storage.published import Published

GENERATIONS_REMEMBERED = 1000


@dataclass
class StreamResult:
    """What one run of a stream did."""

    key: StreamKey
    trades_in: int = 0  # bronze rows read
    trades_out: int = 0  # silver rows written
    rebuilds: int = 0  # late rows made it go back
    bars: dict[str, int] = field(default_factory=dict)  # bars written, per set


class Chain:
    """One chain of one stream: its output and its checkpoints."""

    def __init__(
        self, name: str, output: Output, options: EtlOptions, *, make: Callable[[bytes | None], BaseTransform]
    ) -> None:
        self._make, self._output, self._options = make, output, options
        self._disk = options.disk
        folder = options.lake.state / "etl" / name / output.exchange / output.symbol
        self._store = CheckpointStore(folder, options.lake.processed, disk=self._disk)
        template = make(None)
        self._identity = (template.name, template.version, template.rules, options_hash([name, output.folder_unit]))
        self._cut_from_us: int | None = None  # set while what stands after the current rows is to be replaced
        self.current = self._known(self._store.newest())

    def _known(self, found: Checkpoint | None) -> Checkpoint:
        """The checkpoint to go on from. One of another version or other rules, or no readable one: the beginning."""
        *made, options = self._identity
        if found and found.options_hash != options:
            raise StateMismatch(
                f"{self._output.root} was written with folders by another unit than {self._output.folder_unit}",
                hint="Restore partition_cols, or remove that folder and its checkpoints in state/etl to write it anew",
            )
        if found and [found.transform, found.version, found.rules] == made:
            return found
        begun = self._store.begun()
        beginning = self._beginning()
        if not begun:
            return beginning
        self._cut_from_us = 0
        return msgspec.structs.replace(beginning, number=begun, generation=begun, revised=[(begun, 0)])

    def _beginning(self) -> Checkpoint:
        name, version, rules, options = self._identity
        return Checkpoint(
            number=0, transform=name, version=version, rules=rules, options_hash=options, position={}, rows_out=0
        )

    def transform(self) -> BaseTransform:
        """A transform that stands where the chain stands."""
        return self._make(self.current.state or None)

    def earlier(self, fits: Callable[[Checkpoint], bool]) -> Iterator[Checkpoint]:
        """The kept checkpoints that fit, newest first, and last of all the very beginning.

        One that follows a declared end of data never does: the end was not the end.
        """
        for checkpoint in self._store.earlier_than(self.current.number):
            made = (checkpoint.transform, checkpoint.version, checkpoint.rules, checkpoint.options_hash)
            if made == self._identity and not checkpoint.finished and fits(checkpoint):
                yield checkpoint
        yield self._beginning()

    def go_back(self, to: Checkpoint) -> None:
        """Continue from an earlier checkpoint; the next commit replaces what was published after it."""
        now = self.current
        self._cut_from_us = to.last_us if to.rows_out else 0
        self.current = msgspec.structs.replace(
            to,
            number=now.number,
            generation=now.number + 1,
            revised=[*now.revised, (now.number + 1, to.rows_out)][-GENERATIONS_REMEMBERED:],
        )

    @property
    def replaces(self) -> bool:
        """Whether the next commit replaces what stands after the current rows."""
        return self._cut_from_us is not None

    def commit(self, rows: pl.DataFrame, state: bytes, *, position: dict[str, int], **changes: object) -> None:
        """Write and publish rows together with the state that follows them."""
        before = self.current
        stage = Stage(self._store.staging(), self._options.lake.processed, before.number + 1, disk=self._disk)
        moves: list[Move] = self._output.stage(rows, stage) if rows.height else []
        if self._cut_from_us is not None:
            moves += self._output.cut(before.rows_out, stage, from_us=self._cut_from_us, rewritten=moves)
        if moves:
            self._disk.sync_dir(stage.folder)
        rows_out, first_us, last_us = before.rows_out, before.first_us, before.last_us
        if rows.height:
            moments = rows[self._output.moment]
            first_us = first_us if rows_out else us_from_utc(moments[0])
            last_us = us_from_utc(moments[-1])
            rows_out = rows[self._output.order][-1] + 1
        checkpoint = msgspec.structs.replace(
            before,
            number=before.number + 1,
            rows_out=rows_out,
            moves=moves,
            state=state,
            first_us=first_us,
            last_us=last_us,
            event_us=max(before.event_us, last_us, position.get("near_us", 0)),
            position=position,
            **changes,
        )
        self._store.commit(checkpoint, keep_days=self._options.checkpoint_keep_days)
        self._cut_from_us = None
        self.current = msgspec.structs.replace(checkpoint, moves=[])

    def read(self, first: int, *, rows_max: int, near_us: int) -> pl.DataFrame:
        """Rows of the output from number `first` on; `near_us` is the time of the row before it, or earlier."""
        return self._output.read(Span(first, near_us, self.current.last_us), rows_max=rows_max)


def trades_transform(exchange: str, options: EtlOptions, *, state: bytes | None = None) -> TradesTransform:
    """The transform of an exchange's trades."""
    return TradesTransform(
        exchange=exchange,
        lateness_s=options.lateness_s,
        side_names=options.side_convention.get(exchange),
        state=state,
        **options.trades,
    )


def trades_chain(key: StreamKey, options: EtlOptions) -> Chain:
    """The chain of silver trades."""

    def make(state: bytes | None) -> BaseTransform:
        return trades_transform(key.exchange, options, state=state)

    root = options.lake.silver("trades")
    output = Output(root, key.exchange, key.symbol, "trades", "ordinal", "tape_ts", "hour", options.silver_unit)
    return Chain("trades", output, options, make=make)


def bars_chain(key: StreamKey, bar_set: BarSet, options: EtlOptions) -> Chain:
    """The chain of one bar set."""

    def make(state: bytes | None) -> BaseTransform:
        return BarsTransform(bar_set.type, bar_set.params, exchange=key.exchange, symbol=key.symbol, state=state)

    name = bar_set_id(bar_set.type, bar_set.params)
    output = Output(
        options.lake.bars(name),
        key.exchange,
        key.symbol,
        "bars",
        "bar_seq",
        "time_start",
        "day",
        "month",
        bar_facts(bar_set.type, bar_set.params),
    )
    return Chain(f"bars-{name}", output, options, make=make)


def run_stream(
    key: StreamKey, entries: list[Published], options: EtlOptions, *, end_of_data: bool = False
) -> StreamResult:
    """Bring one stream's silver and gold up to these bronze files; files consumed before are passed over.

    Args:
        key: the stream.
        entries: published bronze files of it, from the log; any that were missed before may be named again.
        options: where and what.
        end_of_data: nothing will come any more: release what is held back and close open bars as partial.
    """
    result = StreamResult(key)
    chain = trades_chain(key, options)
    _run_trades(chain, key, entries, options, result)
    if end_of_data and not chain.current.finished:
        transform = chain.transform()
        rows = transform.finish()
        result.trades_out += rows.height
        chain.commit(rows, transform.snapshot(), position=chain.current.position, finished=True)
    for bar_set in options.bars:
        if bar_set.where.allows(key):
            _run_bars(bars_chain(key, bar_set, options), chain, bar_set, options, result)
    return result


def _run_trades(
    chain: Chain, key: StreamKey, entries: list[Published], options: EtlOptions, result: StreamResult
) -> None:
    if not chain.current.position:  # a new chain, or one of another version or other rules: from the beginning
        entries = _history(key, options)
        require(options.lake, (entry for entry in entries if entry.table in {"trades", "gaps"}))
    transform = chain.transform()
    for journals in steps(unconsumed(entries, chain.current.position), rows_max=options.rows_per_step):
        rows = read_trades(options.lake, journals, BRONZE_COLUMNS)
        position = advanced(chain.current.position, journals)
        result.trades_in += rows.height
        if not rows.height:
            chain.commit(pl.DataFrame(), transform.snapshot(), position=position)
            continue
        try:
            out = transform.update(rows)
        except LateRows:
            result.rebuilds += 1
            _rebuild_trades(chain, key, options, result)
            return
        result.trades_out += out.height
        chain.commit(out, transform.snapshot(), position=position, finished=False)


def _rebuild_trades(chain: Chain, key: StreamKey, options: EtlOptions, result: StreamResult) -> None:
    """Go back to the newest checkpoint before the late rows, and do everything after it again in one order."""
    everything = _history(key, options)
    now = chain.current
    for checkpoint in chain.earlier(lambda _: True):
        journals = unconsumed(everything, checkpoint.position)
        rows = read_trades(options.lake, journals, BRONZE_COLUMNS)
        chain.current = now
        chain.go_back(checkpoint)
        transform = chain.transform()
        try:
            out = transform.update(rows)
        except LateRows:
            continue
        result.trades_out += out.height
        chain.commit(out, transform.snapshot(), position=advanced(checkpoint.position, journals), finished=False)
        return


def _history(key: StreamKey, options: EtlOptions) -> list[Published]:
    return [entry for entry in history(options.lake) if (entry.exchange, entry.symbol) == key]


def _run_bars(chain: Chain, silver: Chain, bar_set: BarSet, options: EtlOptions, result: StreamResult) -> None:
    """Bring one bar set up to silver, going back first if silver was revised behind it."""
    _follow_revisions(chain, silver)
    transform = chain.transform()
    name = bar_set_id(bar_set.type, bar_set.params)
    while True:
        position = chain.current.position
        behind = position.get("ordinal", 0) < silver.current.rows_out
        ended = not behind and silver.current.finished and not chain.current.finished
        if not behind and not ended and not chain.replaces:
            return
        bars = transform.finish() if ended else pl.DataFrame()
        if behind:
            rows = silver.read(
                position.get("ordinal", 0),
                rows_max=options.rows_per_step,
                near_us=position.get("near_us", silver.current.first_us),
            )
            assert rows.height, "silver counts rows that its files do not hold"
            assert rows["ordinal"][0] == position.get("ordinal", 0), "a hole in silver's numbers"
            bars = transform.update(rows)
            position = {"ordinal": rows["ordinal"][-1] + 1, "near_us": us_from_utc(rows["tape_ts"][-1])}
        generation = silver.current.generation
        chain.commit(bars, transform.snapshot(), position=position, input_generation=generation, finished=ended)
        result.bars[name] = result.bars.get(name, 0) + bars.height


def _follow_revisions(chain: Chain, silver: Chain) -> None:
    """Go back if silver replaced rows that the chain had used, or goes on after an end that had been declared."""

    def unharmed(checkpoint: Checkpoint) -> bool:
        since = [first for generation, first in silver.current.revised if generation > checkpoint.input_generation]
        oldest = silver.current.revised[0][0] if silver.current.revised else 0
        forgotten = len(silver.current.revised) == GENERATIONS_REMEMBERED and checkpoint.input_generation < oldest
        return not forgotten and checkpoint.position.get("ordinal", 0) <= min(since, default=2**62)

    current = chain.current
    revised = current.input_generation != silver.current.generation and not unharmed(current)
    went_on = current.finished and current.position.get("ordinal", 0) < silver.current.rows_out
    if revised or went_on:
        chain.go_back(next(chain.earlier(unharmed)))
