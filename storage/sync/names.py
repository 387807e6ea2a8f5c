"""What the key of an object in an archive says: tier, table and days, and what has to be there before it."""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum
from pathlib import PurePosixPath

from shared.partitioning import UNITS, named_units, unit_span

PIECE_BYTES = 1 << 20
"""Logs only grow, and for months: they are kept in pieces, so that what is new is not sent with all before it."""

MANIFESTS = "manifests/"
LEASE = "leases/syncer"
QUALITY = "quality-"
"""Begins the groups of findings, which have no checkpoints."""
FOREIGN = "foreign "
"""Begins the notes of logs that other machines write."""
_GOLD = ("bars-", "candles-", "book-bars-")


class Stage(IntEnum):
    """The order of a pass. Nothing arrives before what it speaks of."""

    BRONZE = 0
    LOGS = 1
    """Name bronze files."""
    PROCESSED = 2
    CHECKPOINTS = 3
    """Count rows of processed files."""
    POSITIONS = 4
    """Say that every chain has used what is in the logs."""


@dataclass(frozen=True, kw_only=True)
class Named:
    """What a key says."""

    stage: Stage
    tier: str
    """bronze, silver or gold; findings about data go with silver."""
    table: str = ""
    group: str = ""
    """Of one group nothing is sent before everything of the stages before it was; `*` waits for all groups."""
    day: date | None = None
    """The first day that its rows may be of; None: it is of no day."""
    last_day: date | None = None
    is_final: bool = False
    """The name is never used for other content."""


def named(key: str) -> Named:
    """What a key of a lake's file says. Raises: ValueError."""
    steps = key.split("/")
    match steps:
        case ["raw", "published", name]:
            return Named(stage=Stage.LOGS, tier="bronze", group=f"log/{log_name(name)[0]}")
        case ["raw", "published", "removed", _]:
            return Named(stage=Stage.BRONZE, tier="bronze", group="removed")
        case ["raw", "quarantine", *_]:
            return Named(stage=Stage.BRONZE, tier="bronze", group="quarantine", is_final=True)
        case ["raw", "ready" | "daily", _, table, *_]:
            first, last = _days(steps)
            return Named(stage=Stage.BRONZE, tier="bronze", table=table, day=first, last_day=last, is_final=True)
        case ["processed", tier, table, *_, _name]:
            first, last = _days(steps)
            return Named(
                stage=Stage.PROCESSED,
                tier="gold" if tier == "gold" else "silver",
                table=table,
                group=f"{QUALITY if tier == 'quality' else ''}{_chain_of_folder(steps)}",
                day=first,
                last_day=last,
            )
        case ["state", "etl", chain, exchange, symbol, _name]:
            tier = "gold" if chain.startswith(_GOLD) else "silver"
            return Named(stage=Stage.CHECKPOINTS, tier=tier, group=_chain(chain, exchange, symbol))
        case ["state", "etl", "positions.json"]:
            return Named(stage=Stage.POSITIONS, tier="silver", group="*")
    raise ValueError(f"{key!r} is no file of a lake that an archive keeps")


def is_kept(key: str) -> bool:
    """Whether an archive keeps files of such a name."""
    try:
        named(key)
    except ValueError:
        return False
    return True


def piece_key(log: str, number: int) -> str:
    """The key of a piece of the log of that name.

    >>> piece_key("20260609T035959Z-1a2b.log", 0), piece_key("20260609T035959Z-1a2b.log", 2)
    ('raw/published/20260609T035959Z-1a2b.log', 'raw/published/20260609T035959Z-1a2b.log.000002')
    """
    return f"raw/published/{log}" + (f".{number:06d}" if number else "")


def log_name(piece: str) -> tuple[str, int]:
    """The log that a piece is of, and its number.

    >>> log_name("20260609T035959Z-1a2b.log.000002"), log_name("compacted.jsonl")
    (('20260609T035959Z-1a2b.log', 2), ('compacted.jsonl', 0))
    """
    name, _, number = piece.rpartition(".")
    return (name, int(number)) if number.isdigit() else (piece, 0)


def checkpoint_number(key: str) -> int:
    """The number of the commit that a checkpoint is of.

    >>> checkpoint_number("state/etl/trades/kraken/BTC-USD/000000000012-20260609.checkpoint")
    12
    """
    return int(PurePosixPath(key).stem.partition("-")[0])


def home_of(key: str) -> str:
    """The folder in which the years of a processed file's stream lie; see `etl.core.outputs.Output.home`.

    >>> home_of("processed/gold/bars/bar_set=tick-9/exchange=okx/symbol=A-B/r7/year=2026/month=6/bars.parquet")
    'processed/gold/bars/bar_set=tick-9/exchange=okx/symbol=A-B/r7'
    """
    steps = key.split("/")[:-1]
    return "/".join(step for step in steps if step.partition("=")[0] not in UNITS)


def stream_of(key: str) -> str:
    """The folder of all that a chain publishes of a stream: the home of a processed file, whichever home it is in.

    >>> stream_of("processed/silver/trades/exchange=okx/symbol=A-B/r7/year=2026/month=6/day=9/trades.parquet")
    'processed/silver/trades/exchange=okx/symbol=A-B'
    """
    home = home_of(key)
    return home.rpartition("/")[0] if generation(home) else home


def day_folder(key: str) -> str:
    """The folder of the day, else of the month, that a file lies in, with a slash at its end.

    >>> day_folder("raw/ready/csv/trades/year=2026/month=6/day=9/hour=4/x.parquet"), day_folder("raw/published/a.log")
    ('raw/ready/csv/trades/year=2026/month=6/day=9/', 'raw/published/')
    """
    return key.rpartition("/hour=" if "/hour=" in key else "/")[0] + "/"


def generation(home: str) -> int:
    """The number of the commit that made a home; 0: none did, nothing was ever replaced there.

    >>> generation("processed/silver/trades/exchange=kraken/symbol=A-B/r7"), generation("a/symbol=A-B")
    (7, 0)
    """
    last = home.rpartition("/")[2]
    return int(last[1:]) if last[:1] == "r" and last[1:].isdigit() else 0


def _days(steps: list[str]) -> tuple[date | None, date | None]:
    """The days of a file, by its name or else by its partitions."""
    units = named_units(steps[-1])
    if not units:
        values = dict(step.split("=", 1) for step in steps if "=" in step)
        units = tuple(int(values[unit]) for unit in UNITS if unit in values)
    if not units:
        return None, None
    start, end = unit_span(units)
    return start.date(), (end - timedelta(microseconds=1)).date()


def _chain_of_folder(steps: list[str]) -> str:
    """The chain that writes a folder: `gold/book_bars/bar_duration_sec=60` is `book-bars-60`'s."""
    values = dict(step.split("=", 1) for step in steps if "=" in step)
    own = [value for name, value in values.items() if name not in (*UNITS, "exchange", "symbol")]
    return _chain("-".join([steps[2], *own]), values.get("exchange", ""), values.get("symbol", ""))


def _chain(name: str, exchange: str, symbol: str) -> str:
    return "/".join([name.replace("_", "-"), exchange, symbol])
