"""What a run over features does with each portion of its input: one class for each table."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from etl.core.config import StreamKey
from etl.features.options import FeatureOptions
from etl.features.stateful import StatefulFeatureProcessor
from etl.features.ticker import ticker_features
from etl.features.trade_features import TradeFeatures
from etl.tapes import beside
from etl.tapes.arrivals import Arrivals, position_after
from etl.tapes.beside import TradesBeside
from etl.tapes.files import Period
from etl.transforms.orderbook import BOOK_COLUMNS, moment_us
from etl.transforms.ticker import TICKER_COLUMNS
from scripts.features.state import RunState, processor_state
from shared.clock import us_from_utc, utc_from_us
from shared.partitioning import Lake

TRADES_US = "trades_us"  # in a position: trades up to it were given beside books
ORDINAL = "ordinal"  # of the last silver trade that was read
COLUMNS = {**BOOK_COLUMNS, "ticker": TICKER_COLUMNS}  # of bronze that are read


@dataclass(frozen=True)
class Place:
    """Which part of a lake is read, and what else is given."""

    lake: Lake
    key: StreamKey
    period: Period
    trades: Path | None = None  # a file of trades in place of silver
    options: FeatureOptions = FeatureOptions()  # noqa: RUF009 - frozen


class Work(ABC):
    """Rows in, features out, and where it stands."""

    noun: str  # what rows that are read are
    read: str  # where from, as native/l2
    traded: str = ""  # where trades beside them are from

    def __init__(self, before: RunState | None) -> None:
        self.position = dict(before.position) if before else {}

    @property
    @abstractmethod
    def counts(self) -> Mapping[str, int]:
        """What was seen in this run, and what was left out."""

    @abstractmethod
    def portions(self) -> Iterator[pl.DataFrame]:
        """What there is to read behind the position."""

    @abstractmethod
    def update(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The features that these rows complete."""

    def finish(self) -> pl.DataFrame | None:
        """Those of what is still open, where no more will come."""
        return None

    def state(self) -> Any:
        """What the processor remembers."""
        return None

    def notes(self) -> list[str]:
        """What else is to be said of the input."""
        return []


class BookWork(Work):
    """Books to the features of order books, beside them the trades."""

    def __init__(self, place: Place, arrivals: Arrivals, before: RunState | None) -> None:
        super().__init__(before)
        self._place, self._arrivals = place, arrivals
        self.read = f"{arrivals.source}/{arrivals.table}"
        self.noun = "changes of books" if arrivals.table == "l2" else "books"
        options = msgspec.structs.asdict(place.options)
        state = None
        if before:
            kind = type(StatefulFeatureProcessor(**options).snapshot())
            state = processor_state(before, kind)
        self._processor = StatefulFeatureProcessor(state=state, **options)
        self._beside: TradesBeside | None = None
        self.traded = str(place.trades or "silver")
        self._last_us = self.position.get(TRADES_US)
        self._counts_before = dict(self._processor.counts)

    def portions(self) -> Iterator[pl.DataFrame]:
        """Books in order of arrival."""
        return self._arrivals.portions()

    def update(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows that these books complete."""
        if self._beside is None:
            self._beside = self._open_trades(rows)
        reached = int(moment_us(rows).to_numpy().max())
        self._last_us = max(reached, self._last_us or reached)
        made = self._processor.update(rows, self._beside.upto(self._last_us))
        self.position = position_after(rows, self.position) | {TRADES_US: self._last_us}
        return made

    def finish(self) -> pl.DataFrame:
        """The row that is open, with the trades up to its end."""
        interval_us = round(self._processor.options.hf_emit_interval * 1e6)
        if not interval_us or self._beside is None or self._last_us is None:
            return self._processor.flush()
        return self._processor.flush(self._beside.upto(-(-self._last_us // interval_us) * interval_us))

    def state(self) -> Any:
        """What the processor remembers."""
        return self._processor.snapshot()

    @property
    def counts(self) -> Mapping[str, int]:
        """What was seen in this run."""
        return _since(self._counts_before, self._processor.counts)

    def notes(self) -> list[str]:
        """What trades there were."""
        count = self._processor.counts["trades"] - self._counts_before["trades"]
        if not count:
            return [f"no trades of {self.traded} beside them: columns of trades are null or 0"]
        found = f"{count:,} trades of {self.traded} beside them"
        trades_us = self._beside.last_us if self._beside else None
        if trades_us is not None and self._last_us is not None and trades_us < self._last_us:
            found += f", which end at {utc_from_us(trades_us):%Y-%m-%d %H:%M:%S}, before the books"
        return [found]

    def _open_trades(self, rows: pl.DataFrame) -> TradesBeside:
        place, after_us = self._place, self.position.get(TRADES_US)
        first_us = int(moment_us(rows).to_numpy().min())
        since_us = us_from_utc(utc_from_us(first_us) - beside.BEFORE) if after_us is None else after_us
        if place.trades:
            tape = beside.of_file(place.trades, place.key)
        else:
            tape = beside.of_silver(place.lake, place.key, since_us=since_us)
        return TradesBeside(tape, after_us=since_us - 1 if after_us is None else after_us)


class TradeWork(Work):
    """Trades to their features."""

    noun = "trades"

    def __init__(self, place: Place, before: RunState | None) -> None:
        super().__init__(before)
        self._place = place
        options = msgspec.structs.asdict(place.options)
        state = None
        if before:
            state = processor_state(before, type(TradeFeatures(**options).snapshot()))
        self._maker = TradeFeatures(state=state, **options)
        self._counts_before = dict(self._maker.counts)
        self.read = str(place.trades or "silver")

    def portions(self) -> Iterator[pl.DataFrame]:
        """Trades in order, those that were read before left out."""
        place, since = self._place, self._place.period.since
        if place.trades:
            tape = beside.of_file(place.trades, place.key)
        else:
            tape = beside.of_silver(place.lake, place.key, since_us=us_from_utc(since) if since else 0)
        after = {name: self.position.get(name, -1) for name in (TRADES_US, ORDINAL)}
        for part in tape:
            new = pl.col("timestamp").dt.timestamp("us") > after[TRADES_US]
            if "ordinal" in part.columns:
                new = pl.col("ordinal") > after[ORDINAL]
            trades = place.period.of(part, "timestamp").filter(new)
            if len(trades):
                yield trades

    def update(self, rows: pl.DataFrame) -> pl.DataFrame:
        """A row for each trade."""
        made = self._maker.update(rows)
        self.position = {TRADES_US: us_from_utc(rows["timestamp"][-1])}
        if "ordinal" in rows.columns:
            self.position[ORDINAL] = rows["ordinal"][-1]
        return made

    def state(self) -> Any:
        """What the maker remembers."""
        return self._maker.snapshot()

    @property
    def counts(self) -> Mapping[str, int]:
        """What was seen in this run."""
        return _since(self._counts_before, self._maker.counts)


class TickerWork(Work):
    """Tickers to their features; nothing is remembered but how far they were read."""

    noun = "tickers"

    def __init__(self, arrivals: Arrivals, before: RunState | None) -> None:
        super().__init__(before)
        self._arrivals = arrivals
        self.read = f"{arrivals.source}/ticker"
        self._counts = dict.fromkeys(("crossed", "one_sided"), 0)

    @property
    def counts(self) -> Mapping[str, int]:
        """Those without a mid price, by the reason."""
        return self._counts

    def portions(self) -> Iterator[pl.DataFrame]:
        """Tickers in order of arrival."""
        return self._arrivals.portions()

    def update(self, rows: pl.DataFrame) -> pl.DataFrame:
        """A row for each ticker."""
        made = ticker_features(rows.drop("epoch", "seq", "gap_before"))
        self.position = position_after(rows, self.position)
        crossed = int((rows["bid"] > rows["ask"]).sum())
        self._counts["crossed"] += crossed
        self._counts["one_sided"] += made["mid_price"].null_count() - crossed
        return made


def _since(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """What was counted in between, but for what is told elsewhere."""
    return {name: count - before[name] for name, count in now.items() if name not in {"events", "rows", "trades"}}


def encoded(state: Any) -> msgspec.Raw:
    """The state of a processor, as a state file holds it."""
    return msgspec.Raw(msgspec.msgpack.encode(state))
