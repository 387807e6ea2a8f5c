"""Binance US: the protocol of Binance spot at its own addresses, with its own budget."""

from typing import ClassVar

from ingestion.exchanges.binance import BOOKS_PER_CONNECTION, SPOT_CHANNELS, Binance
from ingestion.exchanges.binance_session import PING
from ingestion.exchanges.protocol import Limits, Profile


class BinanceUs(Binance):
    """Binance US."""

    profile = Profile(
        name="binanceus",
        title="Binance US",
        ws_url="wss://stream.binance.us:9443",
        rest_url="https://api.binance.us",
        source="docs.binance.us; the protocol is that of Binance spot, whose recorded frames it is tested with",
        channels=SPOT_CHANNELS,
        limits=Limits(
            streams_per_connection=1024,
            streams_of_table=BOOKS_PER_CONNECTION,
            symbols_per_message=200,
            messages_per_s=4,
            connections_per_minute=60,
            lifetime_s=86_400,
            rest_weight_per_minute=960,  # 1200
        ),
        silence_timeout_s=60.0,
        ping=PING,
        ping_every_s=20.0,
        notes="Times in milliseconds. No recording of this exchange was at hand.",
    )
    stream_path: ClassVar[str] = "/stream"  # microseconds are not documented here
    book_weight: ClassVar[float] = 10
    look_weight: ClassVar[float] = 1
    instruments_weight: ClassVar[float] = 10


EXCHANGE = BinanceUs
