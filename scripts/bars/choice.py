"""The bar sets and streams that a person names, or one line that says which there are."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches

from scripts.known_names import unknown_names
from shared.errors import InputUnreadable
from shared.partitioning import Lake, stored_exchange, stored_symbol
from storage.bar_sets import BarStream, bar_streams

_SHOWN_MAX = 6


def chosen_streams(
    lake: Lake, bar_sets: Sequence[str] = (), *, exchanges: Sequence[str] = (), symbols: Sequence[str] = ()
) -> list[BarStream]:
    """The streams of these bar sets, in the order in which the sets are named; of all of them where none is.

    A set is named by its whole id or by the beginning of it, as `dollar` or `time-60s`.

    Raises: InputUnreadable: a name that is not in the lake, with those that are, or no stream that fits them all.
    """
    there = bar_streams(lake)
    if not there:
        hint = "Name them in etl.bars of the settings, then run `daedalus watch`"
        raise InputUnreadable(f"{lake.bars('any').parent}: no bars yet", hint=hint)
    sets = list(dict.fromkeys(name for asked in bar_sets for name in _sets_of(asked, there)))
    exchanges, symbols = _stored(exchanges, stored_exchange), _stored(symbols, stored_symbol)
    wanted = [each for each in there if not sets or each.bar_set in sets]
    lines = [
        *unknown_names(exchanges, {each.exchange for each in wanted}, "exchange"),
        *unknown_names(symbols, {each.symbol for each in wanted}, "symbol"),
    ]
    if lines:
        raise InputUnreadable("; ".join(lines), hint="Correct the name, or leave the option out")
    found = [
        each
        for each in wanted
        if (not exchanges or each.exchange in exchanges) and (not symbols or each.symbol in symbols)
    ]
    if not found:
        raise InputUnreadable(f"no bars of {', '.join(symbols)} on {', '.join(exchanges)} in this lake")
    return sorted(found, key=lambda each: sets.index(each.bar_set)) if sets else found


def _stored(names: Sequence[str], form: Callable[[str], str]) -> list[str]:
    try:
        return [form(name) for name in names]
    except ValueError as error:
        raise InputUnreadable(str(error)) from error


def _sets_of(asked: str, there: Sequence[BarStream]) -> list[str]:
    names = sorted({each.bar_set for each in there})
    if asked in names:
        return [asked]
    found = [name for name in names if name.startswith(f"{asked}-")]
    if not found:
        near = get_close_matches(asked, names, n=3, cutoff=0.4)
        more = f" and {len(names) - _SHOWN_MAX:,} more" if len(names) > _SHOWN_MAX else ""
        there_are = f"nearest: {', '.join(near)}" if near else f"there are {', '.join(names[:_SHOWN_MAX])}{more}"
        raise InputUnreadable(f"no bar set {asked!r} in this lake; {there_are}", hint="`daedalus bars list` shows all")
    return found
