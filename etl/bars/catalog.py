"""Every kind of bar by its name: a module of this package that defines a `Bars` with a `kind` is found here."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any

import polars as pl

import etl.bars
from etl.bars.builder import Bars


@cache
def bar_types() -> dict[str, type[Bars]]:
    """The classes by `kind`, in the order of their names.

    >>> list(bar_types())
    ['dollar', 'tick', 'time', 'volume']
    """
    modules = (importlib.import_module(f"etl.bars.{found.name}") for found in pkgutil.iter_modules(etl.bars.__path__))
    classes = {cls for module in modules for _, cls in inspect.getmembers(module, inspect.isclass)}
    found = {cls.kind: cls for cls in classes if issubclass(cls, Bars) and cls.kind}
    return dict(sorted(found.items()))


def new_bars(kind: str, **options: Any) -> Bars:
    """A builder of this kind.

    Raises: ValueError for an unknown kind, and for parameters that the kind refuses or does not know.
    """
    types = bar_types()
    if kind not in types:
        raise ValueError(f"unknown bars {kind!r}; there are {', '.join(types)}")
    known = list(inspect.signature(types[kind]).parameters)
    for name in options:
        if name not in known:
            raise ValueError(f"{kind} bars have no parameter {name!r}; there are {', '.join(known)}")
    return types[kind](**options)


def bar_set_id(kind: str, params: Mapping[str, Any]) -> str:
    """The name of a set of bars: kind, readable parameters, and a short hash of kind and parameters.

    >>> bar_set_id("dollar", {"threshold": 1e6}) == bar_set_id("dollar", {"threshold": "1000000.0"})
    True
    >>> bar_set_id("time", {"interval": "1m"})[:-6]
    'time-60s-'
    """
    bars = new_bars(kind, **params)
    return f"{kind}-{'-'.join(bars.params.values())}-{bars.params_hash()[:6]}"


def build_bars(trades: pl.DataFrame, kind: str, *, keep_open: bool = False, **params: Any) -> pl.DataFrame:
    """The bars of a frame of trades, which is put in order first; with `keep_open` also the unfinished last one.

    >>> from datetime import UTC, datetime
    >>> times = [datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in (1, 0, 2)]
    >>> trades = pl.DataFrame({"trade_id": list("bac"), "timestamp": times, "price": 10.0, "amount": 5.0})
    >>> build_bars(trades, "dollar", threshold=100)["first_trade_id"].to_list()
    ['a']
    """
    bars = new_bars(kind, **params)
    has_seq = "trade_seq" in trades.columns and not trades["trade_seq"].null_count()
    keys = ["trade_seq"] if has_seq else ["timestamp", *(name for name in ("epoch", "seq") if name in trades.columns)]
    closed = bars.update(trades.sort(keys, maintain_order=True))
    return pl.concat([closed, bars.peek()]) if keep_open else closed
