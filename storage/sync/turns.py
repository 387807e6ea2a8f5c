"""In which turns checkpoints are sent, so that an archive can be brought back whichever was the last to arrive.

A chain that follows another may be behind it, never ahead: it sees which rows were replaced since. So a chain goes
after those that it may be made of, told by its name; and the newest checkpoint of each before the older ones, which
count rows of trees that may be gone.
"""

import re
from collections.abc import Iterable

_CANDLES = re.compile(r"candles-(\d+)([a-zA-Z]+)")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "M": 2_678_400}
_RANKS = {"trades": 0, "book-bars": 2}


def rank(chain: str) -> int:
    """Chains of a lower rank come first: candles are made of shorter ones, and everything of trades.

    >>> [rank(chain) for chain in ("trades", "orderbook", "bars-tick-7", "book-bars-60", "candles-15s", "candles-1m")]
    [0, 1, 1, 2, 25, 70]
    """
    if candles := _CANDLES.fullmatch(chain):
        return 10 + int(candles[1]) * _UNIT_S.get(candles[2], 2**31)
    return next((value for name, value in _RANKS.items() if chain == name or chain.startswith(f"{name}-")), 1)


def chain_and_stream(key: str) -> tuple[str, str]:
    """Which chain a checkpoint is of, and which stream.

    >>> chain_and_stream("state/etl/trades/kraken/BTC-USD/000000000012-20260609.checkpoint")
    ('trades', 'kraken/BTC-USD')
    """
    _, _, chain, exchange, symbol, _ = key.split("/")
    return chain, f"{exchange}/{symbol}"


def in_turns(keys: Iterable[str]) -> list[list[str]]:
    """Checkpoints in turns: each turn may go when those before it, of the same stream, are there."""
    of_folder: dict[str, list[str]] = {}
    for key in sorted(keys, reverse=True):
        of_folder.setdefault(key.rpartition("/")[0], []).append(key)
    turns: dict[tuple[int, int], list[str]] = {}
    for found in of_folder.values():
        for age, key in enumerate(found):
            turns.setdefault((age, rank(chain_and_stream(key)[0]) if not age else 0), []).append(key)
    return [turns[turn] for turn in sorted(turns)]
