"""The only place that knows a partition path or a segment's name.

Values stand in the path and in the data and are equal: readers silently prefer the path's value. Integers are
unpadded, because DuckDB types `month=06` as text and pyarrow's hive reader accepts int32 alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from shared.clock import utc_from_us

_SAFE = re.compile(r"[A-Za-z0-9._-]+")
_SEGMENT = re.compile(r"segment_(\d{8}T\d{2})_(\d+)_(\d{8}T\d{6}Z-[0-9a-f]{4})\.(parquet|ndjson)")
_LABEL = re.compile(r"_(\d{4})(\d\d)(?:(\d\d)(?:T(\d\d))?)?(?=[-_.])")
_EXCHANGE_ALIASES = {"coinbase": "coinbaseadvanced"}  # ccxt's name of Advanced Trade today
UNITS = ("year", "month", "day", "hour")


def stored_exchange(name: str) -> str:
    """The exchange's one name in the lake; aliases that settings and filters may use are resolved.

    >>> stored_exchange("coinbase"), stored_exchange("kraken")
    ('coinbaseadvanced', 'kraken')
    """
    return _safe(_EXCHANGE_ALIASES.get(name, name))


def stored_symbol(symbol: str) -> str:
    """A symbol as it stands in paths and columns; refuses what a path cannot hold.

    >>> stored_symbol("BTC/USD"), stored_symbol("BTC/USDT:USDT")
    ('BTC-USD', 'BTC-USDT_USDT')
    """
    return _safe(symbol.replace("/", "-").replace(":", "_"))


def stream_path(exchange: str, symbol: str) -> Path:
    """The relative directory of all partitions of a stream.

    >>> stream_path("kraken", "BTC-USD").as_posix()
    'exchange=kraken/symbol=BTC-USD'
    """
    return Path(f"exchange={_safe(exchange)}") / f"symbol={_safe(symbol)}"


def unit_span(units: Sequence[int]) -> tuple[datetime, datetime]:
    """The first UTC moment of a year, month, day or hour, as (2026, 6, 9), and the first after it."""
    year, month, day, hour = (*units, *(1, 1, 1, 0)[len(units) :])
    start = datetime(year, month, day, hour, tzinfo=UTC)
    if len(units) == 4:
        return start, start + timedelta(hours=1)
    if len(units) == 3:
        return start, start + timedelta(days=1)
    months = 12 * year + month - 1 + (1 if len(units) == 2 else 12)
    return start, datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


def named_units(name: str) -> tuple[int, ...]:
    """The year, month, day and hour that a file's name says its rows lie in; as many of them as it says.

    >>> named_units("trades_20260609T04-r7.parquet"), named_units("candles_202606.parquet"), named_units("rows.parquet")
    ((2026, 6, 9, 4), (2026, 6), ())
    """
    match = _LABEL.search(name)
    return tuple(int(unit) for unit in match.groups() if unit) if match else ()


def _safe(value: str) -> str:
    if not _SAFE.fullmatch(value) or value in {".", ".."}:
        raise ValueError(f"{value!r} cannot name a partition: use letters, digits, '.', '_' and '-' only")
    return value


@dataclass(frozen=True, order=True)
class Partition:
    """One directory of rows: a symbol of an exchange over an hour, a day or a month (the absent units are None)."""

    exchange: str
    symbol: str
    year: int
    month: int
    day: int | None = None
    hour: int | None = None

    @classmethod
    def of_us(cls, exchange: str, symbol: str, us: int, *, unit: str = "hour") -> Self:
        """The partition, down to `unit`, that holds the UTC moment `us`."""
        moment = utc_from_us(us)
        values = (moment.year, moment.month, moment.day, moment.hour)
        return cls(exchange, symbol, *values[: UNITS.index(unit) + 1])

    def path(self) -> Path:
        """The relative directory, `exchange=/symbol=/year=/...`.

        >>> Partition("kraken", "BTC-USD", 2026, 6, 9, 4).path().as_posix()
        'exchange=kraken/symbol=BTC-USD/year=2026/month=6/day=9/hour=4'
        """
        path = stream_path(self.exchange, self.symbol)
        for unit in UNITS:
            value = getattr(self, unit)
            if value is not None:
                path /= f"{unit}={value}"
        return path

    @classmethod
    def parse(cls, path: Path) -> Self:
        """The partition a path lies in, wherever its `key=value` parts stand in it."""
        values = dict(part.split("=", 1) for part in path.parts if "=" in part)
        try:
            return cls(
                values["exchange"],
                values["symbol"],
                *(int(values[unit]) for unit in UNITS if unit in values),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a partition path") from error

    def start(self) -> datetime:
        """The first UTC moment of the partition."""
        return unit_span(self._units())[0]

    def end(self) -> datetime:
        """The first UTC moment after the partition."""
        return unit_span(self._units())[1]

    def _units(self) -> list[int]:
        return [value for unit in UNITS if (value := getattr(self, unit)) is not None]


@dataclass(frozen=True, order=True)
class SegmentName:
    """`segment_<YYYYMMDDTHH>_<COUNTER>_<epoch>`: unique for ever, because the epoch is."""

    hour: str
    counter: int
    epoch: str
    suffix: str = "parquet"

    def __str__(self) -> str:
        """The file name."""
        return f"segment_{self.hour}_{self.counter:06d}_{self.epoch}.{self.suffix}"

    @classmethod
    def parse(cls, name: str) -> Self:
        """The parts of a file name.

        >>> str(SegmentName.parse("segment_20260609T04_000007_20260609T035959Z-1a2b.parquet"))
        'segment_20260609T04_000007_20260609T035959Z-1a2b.parquet'
        """
        match = _SEGMENT.fullmatch(name)
        if not match:
            raise ValueError(f"{name!r} is not a segment's name")
        return cls(match[1], int(match[2]), match[3], match[4])


def epoch_name(wall_ns: int, entropy: int) -> str:
    """The name of one collector run, `YYYYMMDDTHHMMSSZ-xxxx`; names sort by start time.

    >>> epoch_name(1_700_000_000_000_000_000, 0xBEEF)
    '20231114T221320Z-beef'
    """
    moment = utc_from_us(wall_ns // 1000)
    return f"{moment:%Y%m%dT%H%M%S}Z-{entropy & 0xFFFF:04x}"


@dataclass(frozen=True)
class Lake:
    """Where the tiers of one lake live; built from `storage.paths`, asked for every path."""

    raw: Path
    processed: Path
    state: Path
    active_subdir: str = "active"
    ready_subdir: str = "ready"
    tier_silver: str = "silver"
    tier_gold: str = "gold"

    @classmethod
    def under(cls, root: Path) -> Self:
        """The usual layout below one folder: `raw`, `processed`, `state`."""
        return cls(root / "raw", root / "processed", root / "state")

    @property
    def active(self) -> Path:
        """Journals and commit records."""
        return self.raw / self.active_subdir

    @property
    def staging(self) -> Path:
        """Sealed files that are not yet committed."""
        return self.raw / "staging"

    @property
    def ready(self) -> Path:
        """Published bronze."""
        return self.raw / self.ready_subdir

    @property
    def published(self) -> Path:
        """Append-only logs of published names, one per epoch, beside `ready`."""
        return self.raw / "published"

    @property
    def daily(self) -> Path:
        """Bronze of finished days that was compacted: `ready`'s folders without the hour."""
        return self.raw / "daily"

    @property
    def quarantine(self) -> Path:
        """What could not be read; never deleted by us."""
        return self.raw / "quarantine"

    @property
    def refining(self) -> Path:
        """What refining remembers: how far it has read, and the checkpoints of each chain."""
        return self.state / "etl"

    def ready_dir(self, source: str, table: str, partition: Partition) -> Path:
        """The folder of one hour of one bronze stream."""
        return self.ready / _safe(source) / _safe(table) / partition.path()

    def daily_dir(self, source: str, table: str, partition: Partition) -> Path:
        """The folder of one day of one bronze stream, compacted."""
        return self.daily / _safe(source) / _safe(table) / partition.path()

    def key_of(self, path: Path) -> str:
        """The name of a file of the lake in an archive, whatever the folders are called on this machine.

        >>> Lake(Path("/a"), Path("/b"), Path("/c"), ready_subdir="done").key_of(Path("/a/done/csv/trades/x.parquet"))
        'raw/ready/csv/trades/x.parquet'
        """
        for name, root in self._roots():
            if path.is_relative_to(root):
                return (name / path.relative_to(root)).as_posix()
        raise ValueError(f"{path} is no file of this lake")

    def path_of(self, key: str) -> Path:
        """The file that a name in an archive means; the inverse of `key_of`.

        >>> Lake.under(Path("data")).path_of("processed/gold/bars/x.parquet").as_posix()
        'data/processed/gold/bars/x.parquet'
        """
        for name, root in self._roots():
            if Path(key).is_relative_to(name):
                return root / Path(key).relative_to(name)
        raise ValueError(f"{key!r} names no file of a lake")

    def _roots(self) -> tuple[tuple[Path, Path], ...]:
        """Names in an archive and folders here, the narrower first."""
        return (
            (Path("raw/ready"), self.ready),
            (Path("raw"), self.raw),
            (Path("processed/silver"), self.processed / self.tier_silver),
            (Path("processed/gold"), self.processed / self.tier_gold),
            (Path("processed"), self.processed),
            (Path("state"), self.state),
        )

    def silver(self, table: str) -> Path:
        """The root of a silver table."""
        return self.processed / self.tier_silver / _safe(table)

    def quality(self, table: str) -> Path:
        """The root of a table of findings about the data."""
        return self.processed / "quality" / _safe(table)

    def candles(self, interval: str) -> Path:
        """The root of the candles of one interval."""
        return self.processed / self.tier_gold / "candles" / f"interval={_safe(interval)}"

    def book_bars(self, seconds: int) -> Path:
        """The root of the book bars of one length."""
        return self.processed / self.tier_gold / "book_bars" / f"bar_duration_sec={seconds}"

    def bars(self, bar_set: str) -> Path:
        """The root of one bar set."""
        return self.processed / self.tier_gold / "bars" / f"bar_set={_safe(bar_set)}"
