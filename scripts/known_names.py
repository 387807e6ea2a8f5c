"""Names that a person asks for and the lake does not have: a typing error must not read as good news."""

from collections.abc import Iterable, Sequence

from shared.partitioning import Lake

_SHOWN_MAX = 12


def unknown_names(asked: Sequence[str], known: Iterable[str], what: str) -> list[str]:
    """A line for each name that is not among the known ones, with those that are.

    >>> unknown_names(["krakn"], ["kraken", "okx"], "exchange")
    ["no exchange 'krakn' in this lake; there are kraken, okx"]
    """
    names = sorted(set(known))
    more = f" and {len(names) - _SHOWN_MAX:,} more" if len(names) > _SHOWN_MAX else ""
    there_are = f"there are {', '.join(names[:_SHOWN_MAX])}{more}" if names else "there is none"
    return [f"no {what} {name!r} in this lake; {there_are}" for name in asked if name not in names]


def stored_names(lake: Lake) -> tuple[set[str], set[str], set[str]]:
    """Exchanges, symbols and tables that have a folder in bronze."""
    found: tuple[set[str], set[str], set[str]] = (set(), set(), set())
    for path in (path for root in (lake.ready, lake.daily) for path in root.glob("*/*/exchange=*/symbol=*")):
        *_, table, exchange, symbol = path.parts
        found[0].add(exchange.partition("=")[2])
        found[1].add(symbol.partition("=")[2])
        found[2].add(table)
    return found
