"""Bars of a lake made anew from a moment on, as the watcher would have made them, and put in place all at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from etl.bars import bar_set_id
from etl.core.chains import bars_chain, trades_chain
from etl.core.checkpoints import Checkpoint
from etl.core.config import BarSet, EtlOptions, StreamKey
from etl.core.executor import known_streams, lock_of
from etl.core.following import advance, caught_up, unharmed
from etl.core.replacing import Difference
from etl.core.silver import require_silver
from etl.core.streams import StreamResult, rebuild_trades
from shared.clock import us_from_utc

_HINT = "Stop the watcher, run this again, then start it; it does all of this by itself when trades come late"


@dataclass(frozen=True)
class Rebuilt:
    """What making one bar set of one stream anew came to."""

    key: StreamKey
    bar_set: str
    first: int  # number of the first bar that was made anew
    before: int  # bars there were
    after: int
    files: Difference


@dataclass(frozen=True)
class Rebuilding:
    """What is to be made anew: sets of the settings, over the streams that `options.only` allows."""

    options: EtlOptions
    bar_sets: tuple[BarSet, ...]
    since: datetime | None = None  # bars made from trades before it may stay; None: none does
    with_silver: bool = False  # make silver anew from bronze first
    is_dry: bool = False  # bars are made and compared, and then given up

    def run(self) -> Iterator[Rebuilt]:
        """Set by set, as each is done.

        Raises: LakeLocked while a watcher runs; SilverMissing, BronzeMissing: what stood there is as it was.
        """
        self.options.disk.make_dirs(self.options.lake.refining)
        lock = lock_of(self.options.lake, hint=_HINT)
        try:
            for key in known_streams(self.options.lake):
                if self.options.only.allows(key):
                    yield from self._stream(key)
        finally:
            lock.release()

    def _stream(self, key: StreamKey) -> Iterator[Rebuilt]:
        silver = trades_chain(key, self.options)
        if self.with_silver:
            ended = silver.current.finished
            rebuild_trades(silver, self.options, StreamResult(key), fits=self._is_before, end_of_data=ended)
        for bar_set in self.bar_sets:
            if not bar_set.where.allows(key):
                continue
            chain = bars_chain(key, bar_set, self.options)
            had = chain.current.rows_out
            chain.go_back(next(chain.earlier(lambda kept: self._is_before(kept) and unharmed(kept, silver))))
            first = chain.current.rows_out
            require_silver(silver, chain.current.position.get("ordinal", 0))
            transform = chain.transform()
            while not caught_up(chain, silver):
                advance(chain, silver, transform, rows_max=self.options.rows_per_step)
            after = chain.current.rows_out
            if self.is_dry:
                files = chain.preview()
            else:
                files = chain.commit(transform.snapshot(), input_generation=silver.current.generation)
            yield Rebuilt(key, bar_set_id(bar_set.type, bar_set.params), first, had, after, files)

    def _is_before(self, kept: Checkpoint) -> bool:
        return self.since is not None and kept.event_us < us_from_utc(self.since)
