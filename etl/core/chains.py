"""A chain: one output of one stream with its checkpoints. Rows are staged by steps and seen by one commit."""

from collections.abc import Callable, Iterator

import msgspec
import polars as pl

from etl.bars import bar_set_id
from etl.core.base import BaseTransform
from etl.core.checkpoints import Checkpoint, CheckpointStore, options_hash
from etl.core.config import BarSet, EtlOptions, StreamKey
from etl.core.outputs import Output, Span
from etl.core.replacing import Difference, arranged, difference
from etl.core.staging import Stage
from etl.transforms.bars import BarsTransform, bar_facts
from etl.transforms.trade_features import TradeFeaturesTransform
from etl.transforms.trades import TradesTransform
from shared.clock import us_from_utc
from shared.errors import StateMismatch
from shared.log import get_log

GENERATIONS_REMEMBERED = 1000
log = get_log("chains")


class Chain:
    """One chain of one stream: its output and its checkpoints."""

    def __init__(
        self,
        name: str,
        output: Output,
        options: EtlOptions,
        *,
        make: Callable[[bytes | None], BaseTransform],
        made_of: str = "",
    ) -> None:
        self._make, self.output, self._options = make, output, options
        self._name = f"{name} of {output.exchange} {output.symbol}"
        folder = options.lake.refining / name / output.exchange / output.symbol
        self._store = CheckpointStore(folder, options.lake.processed, disk=options.disk)
        template = make(None)
        self._identity = (
            f"{template.name} of {made_of}" if made_of else template.name,
            template.version,
            template.rules,
            options_hash([name, output.folder_unit]),
        )
        self._stage: Stage | None = None
        self._answer: tuple[tuple[int, ...], pl.DataFrame] | None = None
        self._replaced_from_us: int | None = None  # set while what stands after the current rows is to be replaced
        self.current = self._beginning()
        self._restore(self._store.newest())

    def _restore(self, newest: Checkpoint | None) -> None:
        """Stand where the chain stood; where that cannot be read or is of another version, as near as can be."""
        *made, options = self._identity
        if newest and newest.options_hash != options:
            raise StateMismatch(
                f"the checkpoints in {self._store.folder} are of another bar set, or of folders by another unit than "
                f"{self.output.folder_unit}",
                hint=f"Restore what was there or partition_cols, or remove that folder and {self.output.root} to begin",
            )
        begun = self._store.begun()
        if newest and newest.number == begun and [newest.transform, newest.version, newest.rules] == made:
            self.current = newest
        elif begun:
            if newest and newest.number == begun:
                log.warning("made by another version or with other options, all rows are made anew", chain=self._name)
            revised = newest.revised if newest else []
            self.current = msgspec.structs.replace(self.current, number=begun, generation=begun, revised=revised)
            self.go_back(next(self.earlier(lambda _: True)))

    def _beginning(self) -> Checkpoint:
        name, version, rules, options = self._identity
        return Checkpoint(
            number=0, transform=name, version=version, rules=rules, options_hash=options, position={}, rows_out=0
        )

    def transform(self) -> BaseTransform:
        """A transform that stands where the chain stands."""
        try:
            return self._make(self.current.state or None)
        except StateMismatch as error:
            raise StateMismatch(
                f"{self._name}: {error}", hint=f"Remove {self._store.folder}: rows are made anew"
            ) from error

    def earlier(self, fits: Callable[[Checkpoint], bool]) -> Iterator[Checkpoint]:
        """The kept checkpoints that fit, newest first, and last of all the very beginning.

        One that follows a declared end of data never does: the end was not the end. Nor does one that counts rows
        which were replaced since.
        """
        now = self.current
        for checkpoint in self._store.earlier_than(now.number):
            made = (checkpoint.transform, checkpoint.version, checkpoint.rules, checkpoint.options_hash)
            replaced_from = min((first for made, first in now.revised if made > checkpoint.generation), default=2**62)
            if (
                made == self._identity
                and not checkpoint.finished
                and checkpoint.rows_out <= replaced_from
                and fits(checkpoint)
            ):
                yield checkpoint
        yield self._beginning()

    def go_back(self, to: Checkpoint) -> None:
        """Continue from an earlier checkpoint; the next commit replaces what was published after it."""
        now = self.current
        self._stage = None
        self._replaced_from_us = to.last_us if to.rows_out else 0
        self.current = msgspec.structs.replace(
            to,
            number=now.number,
            generation=now.number + 1,
            revised=[*now.revised, (now.number + 1, to.rows_out)][-GENERATIONS_REMEMBERED:],
        )

    @property
    def replaces(self) -> bool:
        """Whether the next commit replaces what stands after the current rows."""
        return self._replaced_from_us is not None

    def add(
        self,
        rows: pl.DataFrame,
        *,
        position: dict[str, int],
        beside: dict[str, int] | None = None,
        finished: bool = False,
    ) -> None:
        """Stage rows that follow those before, and what they were made from. No reader sees them until `commit`."""
        now = self.current
        rows_out, first_us, last_us = now.rows_out, now.first_us, now.last_us
        if rows.height:
            first_us = first_us if rows_out else us_from_utc(rows[self.output.moment][0])
            last_us = self.output.stage(rows, self._staged(), after_us=last_us if rows_out else 0)
            rows_out = rows[self.output.order][-1] + 1
        self.current = msgspec.structs.replace(
            now,
            rows_out=rows_out,
            first_us=first_us,
            last_us=last_us,
            event_us=max(now.event_us, last_us, position.get("near_us", 0)),
            position=position,
            beside=beside or {},
            finished=finished,
        )

    def preview(self) -> Difference:
        """What `commit` would replace; what was staged is given up."""
        found = difference(self.output, self._staged(), from_us=self._replaced_from_us or 0)
        self._store.staging()
        self._stage = None
        return found

    def commit(self, state: bytes, **changes: object) -> Difference:
        """Publish what was staged, all at once, together with the state that follows it; what that changed."""
        stage, found = self._staged(), Difference()
        moves, swap = [], None
        if self._replaced_from_us is not None:
            found = difference(self.output, stage, from_us=self._replaced_from_us)
        stage.sync()
        if found.replaced or found.removed:
            swap = arranged(self.output, stage, found)
        else:
            moves = self.output.appended(stage)
        checkpoint = msgspec.structs.replace(
            self.current, number=stage.number, moves=moves, swap=swap, state=state, **changes
        )
        self._store.commit(checkpoint, keep_days=self._options.checkpoint_keep_days)
        self._stage, self._replaced_from_us = None, None
        self.current = msgspec.structs.replace(checkpoint, moves=[], swap=None)
        return found

    def read(self, first: int, *, rows_max: int, near_us: int) -> pl.DataFrame:
        """Rows of the output from number `first` on; `near_us` is the time of the row before it, or earlier.

        The last answer is kept: all chains that follow this one and stand at one place ask for the same rows.
        """
        asked = (first, rows_max, near_us, self.current.number)
        if self._answer is None or self._answer[0] != asked:
            self._answer = None  # before the next is read: one of them is in memory
            span = Span(first, near_us, self.current.last_us)
            self._answer = (asked, self.output.read(span, rows_max=rows_max))
        return self._answer[1]

    def _staged(self) -> Stage:
        """Where the files of the next commit are."""
        if self._stage is None:
            now, root = self.current, self._options.lake.processed
            self._stage = Stage(
                self._store.staging(), root, now.number + 1, first=now.rows_out, disk=self._options.disk
            )
        return self._stage


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


def trade_features_chain(key: StreamKey, options: EtlOptions) -> Chain:
    """The chain of the features of each silver trade."""

    def make(state: bytes | None) -> BaseTransform:
        return TradeFeaturesTransform(options.features.options, stream=key, state=state)

    root, unit = options.lake.silver("trade_features"), options.silver_unit
    output = Output(root, key.exchange, key.symbol, "trade_features", "ordinal", "timestamp", "hour", unit)
    return Chain("trade_features", output, options, make=make)
