"""The pairs a seeded market can trade, with each venue's own price steps.

Steps are those the venues published in 2026; first prices are merely plausible.
"""

import re

from ingestion.simulator.events import Instrument

_SIZE_DECIMALS = 8

# symbol: decimals of the price at Coinbase, at Kraken, first price as text
_PAIRS: dict[str, tuple[int, int, str]] = {
    "BTC-USD": (2, 1, "65000"),
    "ETH-USD": (2, 2, "1920"),
    "SOL-USD": (2, 2, "77"),
    "XRP-USD": (4, 5, "0.62"),
    "DOGE-USD": (5, 7, "0.0925"),
    "ADA-USD": (4, 6, "0.41"),
    "LTC-USD": (2, 2, "68"),
    "LINK-USD": (3, 5, "11.8"),
    "AVAX-USD": (2, 2, "24"),
    "DOT-USD": (3, 4, "4.9"),
}
SYMBOLS = tuple(_PAIRS)
_INVENTED = re.compile(r"SIM\d{1,4}-USD")  # as many as a load test wants


def instrument(symbol: str, *, venue: str) -> Instrument:
    """The pair as `venue` trades it.

    Raises:
        ValueError: the pair is not simulated.
    """
    pair = (2, 2, "100") if _INVENTED.fullmatch(symbol) else _PAIRS.get(symbol)
    if pair is None:
        raise ValueError(f"{symbol} is not simulated; choose from {', '.join(SYMBOLS)}")
    decimals = pair[1] if venue == "kraken" else pair[0]
    whole, _, fraction = pair[2].partition(".")
    return Instrument(symbol, decimals, _SIZE_DECIMALS, int(whole + fraction.ljust(decimals, "0")))
