"""What a connection does by itself, without a socket."""

from types import SimpleNamespace
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedOK

from ingestion.collectors.connection import Connection
from ingestion.collectors.frame_socket import Arrival
from ingestion.continuity import Feed
from ingestion.exchanges.coinbase import Coinbase
from ingestion.exchanges.protocol import Subscription
from ingestion.inlet import Inlet
from ingestion.intake import Intake
from shared.clock import SystemClock


class OneFrame:
    """A socket that brings one heartbeat and is closed then."""

    def __init__(self) -> None:
        self._left = [b'{"channel":"heartbeats","sequence_num":0,"timestamp":"2026-08-09T21:05:42Z","events":[]}']

    async def arrival(self) -> Arrival:
        if not self._left:
            raise ConnectionClosedOK(None, None)
        return Arrival(1, 1, [self._left.pop()])


async def test_a_book_is_begun_anew_by_the_connection_that_carries_it() -> None:
    inlet = Inlet(
        Feed("native", "coinbaseadvanced", "20260101T000000Z-0000"), Intake(bytes_max=9, rows_max=9), SystemClock()
    )
    inlet.stale_books = {"BTC-USD"}
    venue: Any = SimpleNamespace(inlet=inlet)
    owner: Any = None
    asked = []
    for table in ("trades", "l2"):
        session = Coinbase().session([Subscription(table, "BTC-USD", "BTC-USD")])
        connection = Connection(1, url="", session=session, venue=venue, owner=owner)
        socket: Any = OneFrame()
        with pytest.raises(ConnectionClosedOK):
            await connection._receive(socket)
        asked.append(connection._outbox.qsize())
    assert asked == [0, 2]
    assert not inlet.stale_books
