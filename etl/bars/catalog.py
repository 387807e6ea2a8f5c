"""Every kind of bar by its name: a module of this package that defines a `Bars` with a `kind` is found here."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
import polars as pl

import etl.bars
from etl.bars.builder import Bars
from etl.bars.calling import parameters_of
from etl.bars.given import Given, frame_of_trades, in_order
from etl.bars.state import State
from shared.errors import StateMismatch

LABEL_CHARS_MAX = 100  # it names a folder


@cache
def bar_types() -> dict[str, type[Bars]]:
    """The classes by `kind`, in the order of their names.

    >>> list(bar_types())[:3]
    ['dollar', 'dollar_imbalance', 'dollar_run']
    """
    modules = (importlib.import_module(f"etl.bars.{found.name}") for found in pkgutil.iter_modules(etl.bars.__path__))
    classes = {cls for module in modules for _, cls in inspect.getmembers(module, inspect.isclass)}
    found = {cls.kind: cls for cls in classes if issubclass(cls, Bars) and vars(cls).get("kind")}
    return dict(sorted(found.items()))


def bar_type(kind: str) -> type[Bars]:
    """The class of a kind, or of a short name of it.

    Raises: ValueError for an unknown one.

    >>> bar_type("tib") is bar_type("tick_imbalance")
    True
    """
    types = bar_types()
    for cls in types.values():
        if kind and kind in (cls.kind, cls.alias):
            return cls
    raise ValueError(f"unknown bars {kind!r}; there are {', '.join(types)}")


def parameters(kind: str) -> list[str]:
    """The names of what a kind may be told beside its state.

    >>> parameters("time")
    ['interval', 'skip_first_partial', 'late', 'dedup_window', 'on_gap', 'gap_reset_s']
    """
    return [name for name in parameters_of(bar_type(kind)) if name != "state"]


def new_bars(kind: str, **options: Any) -> Bars:
    """A builder of this kind.

    Raises: ValueError for an unknown kind, and for parameters that the kind refuses, misses or does not know.
    """
    return bar_type(kind)(**options)


def bar_set_id(kind: str, params: Mapping[str, Any]) -> str:
    """The name of a set of bars: kind, readable parameters, and a short hash of kind and parameters.

    >>> bar_set_id("dollar", {"threshold": 1e6}) == bar_set_id("dollar", {"threshold": "1000000.0"})
    True
    >>> bar_set_id("time", {"interval": "1m"})[:-6]
    'time-60s-'
    >>> bar_set_id("tib", {"expected_ticks_init": 1000, "ewma_window": 20})[:-6]
    'tick_imbalance-1000-guarded-ewma_window_20-'
    """
    bars = new_bars(kind, **params)
    label = re.sub(r"[^A-Za-z0-9._-]", "", bars.label)[:LABEL_CHARS_MAX]
    return f"{bars.kind}-{label}-{bars.params_hash()[:6]}"


def read_state(kind: str, data: bytes) -> State:
    """The state of a builder of this kind, saved as `msgspec.msgpack.encode(bars.snapshot())`.

    Raises: StateMismatch for bytes that are cut off or something else.
    """
    try:
        return msgspec.msgpack.decode(data, type=bar_type(kind).State)
    except msgspec.DecodeError as broken:
        raise StateMismatch(
            f"these {len(data)} bytes are no state of {kind} bars: {broken}", hint="Build these bars anew"
        ) from None


def build_bars(trades: Given, kind: str, *, keep_open: bool = False, **params: Any) -> pl.DataFrame:
    """The bars of a frame of trades, which is put in order first; with `keep_open` also the unfinished last one.

    Args:
        trades: a frame of Polars (lazy too) or pandas, or a table of pyarrow, of one stream. It needs `timestamp`
            (without a zone: UTC), `price` and `amount`: float64, or decimals, whole numbers or text, which are exact.
            `side` says buy or sell (the taker's), unknown or nothing. Without `trade_id` nothing is a duplicate.
        kind: one of `bar_types()`.
        keep_open: whether to give the unfinished bar too, marked partial.
        **params: of the kind.

    Raises: InputUnreadable for trades that cannot be used, with the row; ValueError for parameters that cannot.

    >>> from datetime import UTC, datetime
    >>> times = [datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in (1, 0, 2)]
    >>> trades = pl.DataFrame({"trade_id": list("bac"), "timestamp": times, "price": "10.0", "amount": 5})
    >>> build_bars(trades, "dollar", threshold=100)["first_trade_id"].to_list()
    ['a']
    """
    bars = new_bars(kind, **params)
    closed = bars.update(in_order(frame_of_trades(trades)))
    return pl.concat([closed, bars.peek()]) if keep_open else closed
