"""What ccxt resolved of one message, as rows: the place where its structures are told apart and its caches emptied."""

from collections.abc import Iterator
from typing import Any

from ingestion.collectors import ccxt_tap
from ingestion.collectors.ccxt_options import CcxtOptions
from ingestion.exchanges import ccxt_rows
from ingestion.exchanges.ccxt_markets import candle_rows, funding_row, liquidation_row
from shared.rows import Row

_CANDLE_S = 60  # ccxt's default timeframe, the only one asked for


class Harvest:
    """One session's structures of ccxt turned into rows."""

    def __init__(self, options: CcxtOptions) -> None:
        self._options = options
        self._trade_rows = ccxt_rows.TradeRows(options.exchange_id, keep_info=options.keep_info)
        self._interval_ns = round(options.orderbook_interval_s * 1e9)
        self._snapshot_ns: dict[str, int] = {}  # when a book was last stored
        self.has_books = False

    def rows(self, exchange: Any, mono_ns: int) -> Iterator[Row]:
        """The rows of everything that ccxt has touched since it was last asked."""
        options = self._options
        for result in exchange.touched.take():
            if ccxt_tap.is_book(result):
                self.has_books = True
                symbol = str(result.get("symbol"))
                if self._is_due(symbol, mono_ns):
                    yield ccxt_rows.book_row(result, symbol, options.orderbook_depth)
            elif ccxt_tap.is_ticker(result):
                yield ccxt_rows.ticker_row(result, keep_info=options.keep_info)
            elif ccxt_tap.is_funding(result):
                yield funding_row(result, keep_info=options.keep_info)
            elif ccxt_tap.is_liquidation(result):
                symbol = str(result.get("symbol"))
                if symbol in options.liquidations:  # some exchanges send those of every market
                    market = exchange.markets[symbol]
                    yield liquidation_row(result, market, options.exchange_id, keep_info=options.keep_info)
            else:
                several = list(result)
                if ccxt_tap.is_cache(result):
                    result.clear()
                if several and isinstance(several[0], list):
                    yield from candle_rows(several, _symbol_of(exchange, result), _CANDLE_S)
                else:
                    yield from self._trade_rows.rows(several)

    def _is_due(self, symbol: str, mono_ns: int) -> bool:
        if not self._interval_ns:
            return True
        last_ns = self._snapshot_ns.get(symbol)
        if last_ns is not None and mono_ns - last_ns < self._interval_ns:
            return False
        self._snapshot_ns[symbol] = mono_ns
        return True


def _symbol_of(exchange: Any, candles: Any) -> str:
    """Whose candles these are: ccxt's cache of them does not say, the shelf it stands on does."""
    for symbol, frames in exchange.ohlcvs.items():
        if any(each is candles for each in frames.values()):
            return str(symbol)
    raise ValueError("ccxt resolved candles that it keeps for no symbol")
