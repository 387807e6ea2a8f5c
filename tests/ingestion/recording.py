"""Capture with raw frames from a local exchange, and decode them again by the command. For tests."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from ingestion.exchanges.protocol import Session
from scripts.cli import main
from shared.errors import FrameMalformed
from shared.partitioning import Lake
from shared.rows import TABLE_OF, L2Message, Row, Ticker, Trade
from shared.tables import COMMON, table
from tests.ingestion.collecting import bronze
from tests.levels import by_level


class BrokenDecoder:
    """In place of a session's `receive`: spoils what the right one says, and keeps that as the truth.

    Trades get another price, every fifth frame is refused, tickers are dropped, of book messages a level.
    """

    def __init__(self, patch: pytest.MonkeyPatch, session: type[Session]) -> None:
        self.honest: dict[str, list[tuple[Any, ...]]] = {}
        self._count, right = 0, session.receive

        def receive(this: Session, frame: bytes, wall_ns: int, mono_ns: int) -> Sequence[Row]:
            try:
                rows = right(this, frame, wall_ns, mono_ns)
            except FrameMalformed as error:
                self._keep_reject(frame, error, mono_ns)
                raise
            self._keep(rows, mono_ns)
            self._count += 1
            if rows and self._count % 5 == 0:
                raise FrameMalformed("broken", "the decoder does not know this")
            return [_spoilt(row) for row in rows if not isinstance(row, Ticker)]

        patch.setattr(session, "receive", receive)

    def _keep(self, rows: Sequence[Row], mono_ns: int) -> None:
        for row in rows:
            whole = by_level(row) if isinstance(row, L2Message) else [row]
            mine = self.honest.setdefault(TABLE_OF[type(row)], [])
            mine += [(mono_ns, *_plain(msgspec.structs.astuple(each))) for each in whole]

    def _keep_reject(self, frame: bytes, error: FrameMalformed, mono_ns: int) -> None:
        payload = frame.decode(errors="backslashreplace")
        mine = self.honest.setdefault("rejects", [])
        mine.append((mono_ns, "unknown", None, "frames", error.reason, payload, None))


def _spoilt(row: Row) -> Row:
    if isinstance(row, Trade):
        return msgspec.structs.replace(row, price=row.price + 1)
    if isinstance(row, L2Message) and len(row) > 1:
        return msgspec.structs.replace(
            row,
            side=row.side[1:],
            price=row.price[1:],
            size=row.size[1:],
            timestamps=row.timestamps and row.timestamps[1:],
        )
    return row


def _plain(values: tuple[Any, ...]) -> list[Any]:
    """As a reader of Parquet finds them: levels as lists of pairs."""
    return [[tuple(pair) for pair in value] if isinstance(value, list) else value for value in values]


def stored(lake: Lake, name: str) -> list[tuple[Any, ...]]:
    """A table's rows in their order: when each came, and what it says."""
    rows = bronze(lake, name)
    if not rows.height:
        return []
    own = [column for column in table(name).ready_schema.names if column not in COMMON]
    wanted = rows.select("capture_mono_ns", "symbol", pl.col("timestamp").dt.timestamp("us"), *own)
    rows_of = [
        tuple([tuple(pair.values()) for pair in value] if isinstance(value, list) else value for value in row)
        for row in wanted.iter_rows()
    ]
    return in_streams(rows_of)


def in_streams(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Symbol after symbol, the rows of each in their order."""
    return sorted(rows, key=lambda row: str(row[1]))


def settings_of(lake: Lake, folder: Path) -> str:
    path = folder / "settings.json"
    places = {"raw_dir": str(lake.raw), "processed_dir": str(lake.processed), "state_dir": str(lake.state)}
    path.write_text(json.dumps({"storage": {"paths": places}}))
    return str(path)


def redecoded(
    capsys: pytest.CaptureFixture[str], lake: Lake, folder: Path, exchange: str, *args: str
) -> dict[str, Any]:
    """What the command says as JSON; the new lake is `folder`/again."""
    capsys.readouterr()  # what the collector logged
    with pytest.raises(SystemExit) as done:
        main(["redecode", "--exchange", exchange, "--config", settings_of(lake, folder), "--json", *args])
    assert not done.value.code
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said
