"""A day of one stream of l2 as sealing leaves it, of whatever size: messages over and over, their prices moved."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ingestion.writers.segments import Segment, SegmentOptions
from shared.content_hash import content_hash
from shared.disk import Disk
from shared.partitioning import Lake, Partition, SegmentName
from shared.rows import Stream
from shared.tables import table
from storage.published import PublishedLog

KIND = table("l2")
_DAY_US = 1_779_926_400_000_000  # 2026-05-28
_EPOCH = "20260527T230000Z-0001"


@dataclass(frozen=True)
class Shape:
    """How a day is spread over files."""

    rows: int
    files: int = 288
    hours: int = 24  # into whose folders they go
    sets_clock_back: bool = False  # in the middle of each file, by half of what it spans
    group_rows: int = 1 << 17


def messages(rows: int) -> pa.Table:
    """Columns `msg_seq`, `side`, `price` and `size` of made messages of some 60 levels each."""
    random = np.random.default_rng(7)
    return pa.table(
        {
            "msg_seq": np.cumsum(random.random(rows) < 1 / 60),
            "side": np.where(random.random(rows) < 0.5, "bid", "ask"),
            "price": np.round(2650 + random.normal(0, 4, rows), 2),
            "size": np.where(random.random(rows) < 0.4, 0.0, np.round(random.gamma(0.7, 20, rows), 3)),
        }
    )


def store_day(lake: Lake, like: pa.Table, shape: Shape, *, symbols: tuple[str, ...] = ("ETH-USDT",)) -> None:
    """Put a day's files into `ready` and name them in the log, made of rows with the columns of `messages`."""
    disk = Disk(durable=False)
    disk.make_dirs(lake.published)
    log = PublishedLog(lake, _EPOCH, disk=disk)
    for symbol in symbols:
        stream = Stream("native", "binance", "l2", symbol)
        for at, part in enumerate(_parts(like, shape)):
            hour = Partition.of_us(stream.exchange, symbol, _DAY_US + at * shape.hours // shape.files * 3_600_000_000)
            folder = lake.ready_dir(stream.source, stream.table, hour)
            disk.make_dirs(folder)
            path = folder / str(SegmentName(f"{hour.start():%Y%m%dT%H}", at, _EPOCH))
            segment = Segment(path, stream, KIND, SegmentOptions())
            rows = _stored(part, stream, hour)
            for first in range(0, rows.num_rows, shape.group_rows):
                group = rows.slice(first, shape.group_rows)
                segment.add(group, content_hash(group))
            segment.finish(disk, boot_id="b")
            log.append([segment.entry(path.relative_to(lake.ready))])
    log.close()


def _parts(like: pa.Table, shape: Shape) -> Iterator[pa.Table]:
    """The rows of each file: `like` from some place on, over and over, with times, numbers and moved prices."""
    random = np.random.default_rng(11)
    moved, number = 0.0, 0
    file_us = shape.hours * 3_600_000_000 // shape.files
    for at in range(shape.files):
        rows = (at + 1) * shape.rows // shape.files - at * shape.rows // shape.files
        places = (random.integers(like.num_rows) + np.arange(rows)) % like.num_rows
        part = like.take(places)
        is_next = np.diff(part["msg_seq"].to_numpy(), prepend=-1) != 0
        message = np.cumsum(is_next) - 1
        moments = np.sort(random.integers(0, file_us, message[-1] + 1))
        if shape.sets_clock_back:
            moments[len(moments) // 2 :] -= file_us // 2
        moved += round(random.normal(0, 3), 2)
        yield pa.table(
            {
                "us": _DAY_US + at * file_us + moments[message],
                "seq": number + np.arange(rows),
                "message": message + at * 1_000_000,
                "is_last": np.append(is_next[1:], True),
                "side": part["side"],
                "price": np.round(part["price"].to_numpy() + moved, 2),
                "size": random.permutation(part["size"].to_numpy()),
            }
        )
        number += rows


def _stored(part: pa.Table, stream: Stream, hour: Partition) -> pa.Table:
    us, message = part["us"].to_numpy(), part["message"].to_numpy()
    values = {
        "capture_ts": us,
        "capture_mono_ns": (us - _DAY_US) * 1000 + 417,
        "collected_at": us // 1000,
        "epoch": _EPOCH,
        "seq": part["seq"],
        "origin": "live",
        "exchange": stream.exchange,
        "symbol": stream.symbol,
        "timestamp": us // 1000 * 1000 - 1_260_000,
        "year": hour.year,
        "month": hour.month,
        "day": hour.day,
        "hour": hour.hour,
        "msg_seq": message,
        "is_snapshot": False,
        "is_last": part["is_last"],
        "side": part["side"],
        "price": part["price"],
        "size": part["size"],
        "update_id": 5_000_000_000 + message * 61,
        "prev_update_id": 5_000_000_000 + message * 61 - 61,
    }
    columns = [_column(values.get(field.name), field.type, part.num_rows) for field in KIND.ready_schema]
    return pa.Table.from_arrays(columns, schema=KIND.ready_schema)


def _column(value: object, kind: pa.DataType, rows: int) -> pa.Array:
    if isinstance(value, np.ndarray | pa.ChunkedArray):
        array = pa.array(value) if isinstance(value, np.ndarray) else value.combine_chunks()
        return array.cast(kind)
    return pa.repeat(pa.scalar(value, kind), rows)
