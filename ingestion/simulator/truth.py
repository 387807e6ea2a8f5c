"""What the exchange made and sent: the yardstick a collector's store is held against."""

import sys
from collections import Counter, defaultdict
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import msgspec

from ingestion.simulator.events import Instrument, Moment, plain, stamp_us
from ingestion.simulator.faults import Altered, Fault
from shared.errors import InputUnreadable

TRADES_MAX = 1_000_000  # about 250 bytes each
_ALTERED_BYTES_MAX = 1 << 20  # of a frame that is remembered


class MadeTrade(msgspec.Struct, frozen=True, gc=False):
    """One trade as it happened; texts are the shortest decimal."""

    id: str
    price: str
    size: str
    ts_us: int
    taker: str  # buy | sell

    @property
    def time(self) -> str:
        """RFC 3339 UTC."""
        return stamp_us(self.ts_us * 1000)


class AlteredFrame(msgspec.Struct, frozen=True):
    """A frame as it should have been, and what was sent in its place: nothing, where it was dropped."""

    kind: str
    channel: str
    true: str
    sent: str


class _Line(msgspec.Struct, omit_defaults=True):
    kind: str  # trade | frames | fault | altered | exhausted
    venue: str = ""
    symbol: str = ""
    trade: MadeTrade | None = None
    channel: str = ""
    count: int = 0
    fault: Fault | None = None
    altered: AlteredFrame | None = None


class Truth:
    """Trades in the order they happened and frames sent, per venue.

    Memory holds at most `TRADES_MAX` trades; beyond that `is_whole` is False, `trades` refuses, and only the
    log has them all.
    """

    def __init__(self, log: Path | None = None, *, keep: int = TRADES_MAX) -> None:
        self._keep = keep
        self.is_whole = True
        self.frames: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.faults: list[tuple[str, Fault]] = []
        self.altered: list[tuple[str, AlteredFrame]] = []
        self._trades: defaultdict[tuple[str, str], list[MadeTrade]] = defaultdict(list)
        self._made: Counter[str] = Counter()
        self._encode = msgspec.json.Encoder().encode
        self._log: BinaryIO | None = log.open("ab") if log else None

    def trades(self, venue: str, symbol: str) -> list[MadeTrade]:
        """Every trade of `symbol` (`BTC-USD` or `BTC/USD`) at `venue`, oldest first.

        Raises:
            ValueError: more trades were made than memory keeps.
        """
        if not self.is_whole:
            raise ValueError(f"more than {self._keep} trades were made; give a truth log and read that")
        return list(self._trades.get((venue, symbol.replace("/", "-")), ()))

    def symbols(self, venue: str) -> list[str]:
        """Symbols that traded at `venue`, in Coinbase's spelling."""
        return sorted(symbol for at, symbol in self._trades if at == venue)

    def count(self, venue: str | None = None) -> int:
        """Trades made at `venue`, or anywhere."""
        return sum(made for at, made in self._made.items() if venue in (None, at))

    def add(self, venue: str, moment: Moment, item: Instrument) -> None:
        """Record the moment's trades."""
        for fill in moment.prints:
            self._add(
                venue,
                moment.symbol,
                MadeTrade(
                    str(fill.trade_id),
                    plain(fill.price, item.price_decimals),
                    plain(fill.size, item.size_decimals),
                    fill.ts_ns // 1000,
                    "buy" if fill.taker_buys else "sell",
                ),
            )

    def struck(self, venue: str, fault: Fault) -> None:
        """Record that a fault happened."""
        self.faults.append((venue, fault))
        self._write(_Line("fault", venue, fault=fault))
        self.flush()

    def alter(self, venue: str, altered: Altered) -> None:
        """Record a frame that was dropped, or sent as something else."""
        true, sent = (
            data[:_ALTERED_BYTES_MAX].decode(errors="backslashreplace") for data in (altered.true, altered.sent)
        )
        frame = AlteredFrame(altered.kind, altered.channel, true, sent)
        self.altered.append((venue, frame))
        self._write(_Line("altered", venue, altered=frame))
        self.flush()

    def exhausted(self, venue: str) -> None:
        """Record that a venue's recording ended and its clients have been sent all of it."""
        self._write(_Line("exhausted", venue))
        self.flush()

    def flush(self) -> None:
        """Let other processes read what was logged so far."""
        if self._log:
            self._log.flush()

    def close(self) -> None:
        """Log the frame counts and close the log."""
        for venue, channels in self.frames.items():
            for channel, count in channels.items():
                self._write(_Line("frames", venue, channel=channel, count=count))
        if self._log:
            self._log.close()
            self._log = None

    def __enter__(self) -> "Truth":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _add(self, venue: str, symbol: str, trade: MadeTrade) -> None:
        self._made[venue] += 1
        if self._made.total() <= self._keep:
            self._trades[venue, symbol].append(trade)
        else:
            self.is_whole = False
        self._write(_Line("trade", venue, symbol, trade))

    def _write(self, line: _Line) -> None:
        if self._log:
            self._log.write(self._encode(line) + b"\n")


def read_truth(path: Path) -> Truth:
    """The truth a log tells, also while it is still written: a torn last line is left out.

    Raises:
        InputUnreadable: the file is missing or a line before the last is not of a truth log.
    """
    truth = Truth(keep=sys.maxsize)
    decode = msgspec.json.Decoder(_Line).decode
    try:
        with path.open("rb") as lines:
            for number, text in enumerate(lines, 1):
                if not text.endswith(b"\n"):
                    break
                try:
                    line = decode(text)
                except msgspec.MsgspecError as error:
                    raise InputUnreadable(f"{path}:{number}: not a line of a truth log: {error}") from error
                if line.trade is not None:
                    truth._add(line.venue, line.symbol, line.trade)
                elif line.fault is not None:
                    truth.faults.append((line.venue, line.fault))
                elif line.altered is not None:
                    truth.altered.append((line.venue, line.altered))
                elif line.kind == "frames":
                    truth.frames[line.venue][line.channel] += line.count
    except OSError as error:
        raise InputUnreadable(f"{path}: {error.strerror}") from error
    return truth
