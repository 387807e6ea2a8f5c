"""The contract between a venue's protocol (pure) and the socket shell."""

from typing import NamedTuple, Protocol

from ingestion.simulator.events import Moment


class Frame(NamedTuple):
    """One WebSocket text message and the channel it belongs to."""

    channel: str
    data: bytes


class Session(Protocol):
    """One client's conversation: client messages and market moments in, frames out. It never waits."""

    @property
    def subscribed(self) -> bool:
        """Whether the client has asked for any channel."""

    @property
    def wants_market(self) -> bool:
        """Whether the client has asked for a channel that the market feeds."""

    def open(self, now_ns: int) -> list[Frame]:
        """Frames that greet a new client."""

    def receive(self, message: bytes, now_ns: int) -> list[Frame]:
        """Frames that answer one client message."""

    def publish(self, moment: Moment) -> list[Frame]:
        """Frames that tell this client of a moment its venue has just applied."""

    def tick(self, now_ns: int) -> list[Frame]:
        """Frames due once a second."""

    def bad_trade(self, price: str, now_ns: int) -> list[Frame]:
        """A well-formed trade frame whose price no market can have; its trade_id is 0."""

    def oversize(self, count: int) -> None:
        """Make the next `count` book snapshots larger than 10 MiB."""

    def mute(self, symbol: str, moments: int) -> None:
        """Say nothing of the next `moments` of `symbol`, or of all and no heartbeat either where it is empty."""
