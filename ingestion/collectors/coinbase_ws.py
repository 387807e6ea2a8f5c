"""`CoinbaseCollector`: the native collector for Coinbase Advanced Trade."""

from collections.abc import Mapping
from dataclasses import dataclass

from ingestion.collectors.native_collector import NativeCollector, NativeOptions
from ingestion.exchanges.coinbase import PROFILE, Coinbase
from ingestion.exchanges.protocol import SessionOptions, Subscription
from ingestion.inlet import Inlet
from ingestion.retry import RetryPolicy
from shared.partitioning import stored_symbol


@dataclass(frozen=True)
class CoinbaseOptions:
    """What to collect from where."""

    url: str
    products: Mapping[str, tuple[str, ...]]  # by table, in Coinbase's own form
    silence_timeout_s: float = PROFILE.silence_timeout_s
    keep_info: bool = False  # store the exchange's own record of each trade as well
    rest_url: str = ""  # in place of Coinbase's own
    orderbook_depth: int = 50
    orderbook_interval_ns: int = 1_000_000_000

    def native(self) -> NativeOptions:
        """The same for the native collector. Raises: ValueError for a table that the exchange does not have."""
        session = SessionOptions(
            self.keep_info, self.orderbook_depth, self.orderbook_interval_ns, self.url, self.rest_url
        )
        subscriptions = tuple(
            Subscription(table, stored_symbol(product), product)
            for table, products in self.products.items()
            for product in products
        )
        return NativeOptions(Coinbase(session), subscriptions, self.silence_timeout_s)


class CoinbaseCollector(NativeCollector):
    """Collects trades, ticker, candles, every level-2 update and snapshots of Coinbase's products."""

    def __init__(self, options: CoinbaseOptions, inlet: Inlet, retry: RetryPolicy) -> None:
        super().__init__(options.native(), inlet, retry)
