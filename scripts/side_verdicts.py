"""What `daedalus check` says about whose side the stored trades name."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from shared.exchange_facts import SideNames, facts_of
from storage.side_agreement import JUDGED_MIN, TAKER_ABOVE
from storage.side_report import SideDay

_OTHER: dict[str, SideNames] = {"taker": "maker", "maker": "taker"}
_WORDS = {"too few": f"too few to judge (below {JUDGED_MIN:,} price changes)"}


def side_lines(days: list[SideDay], *, with_days: bool) -> Iterator[str]:
    """The count of each verdict in one line, before it a line for each day if wanted; nothing where there is no day."""
    yield from map(_measured, days if with_days else ())
    if days:
        found = Counter(day.verdict for day in days)
        shown = {"taker": found["taker"], "inverted": found["inverted"], **found}
        counts = ", ".join(f"{count:,} {_WORDS.get(name, name)}" for name, count in shown.items())
        yield f"sides, by symbol and day: {counts}"


def inverted_lines(days: list[SideDay], settings: Mapping[str, SideNames], *, file: str) -> Iterator[str]:
    """For each inverted day what was measured and what to do."""
    for day in days:
        if day.verdict == "inverted":
            yield f"INVERTED SIDES: {_measured(day)}. {_remedy(day, settings, file)}"


def side_rows(days: list[SideDay]) -> list[dict[str, Any]]:
    """The days as rows, for JSON."""
    return [{name: value for name, value in day.row().items() if name != "files"} for day in days]


def _measured(day: SideDay) -> str:
    name = f"{day.exchange} {day.symbol} {day.year}-{day.month:02}-{day.day:02}"
    measured = (
        [f"{day.prices.share:.1%} of {day.price_changes:,} price changes"] if day.prices.share is not None else []
    )
    if day.quotes.share is not None:
        measured.append(f"{day.quotes.share:.1%} of {day.quoted:,} quotes")
    return f"{name}: {day.verdict}, the stored side agrees with {' and '.join(measured) or 'nothing: no side is known'}"


def _remedy(day: SideDay, settings: Mapping[str, SideNames], file: str) -> str:
    anew = "run `daedalus watch --once`, which makes silver and bars anew"
    in_force = settings.get(day.exchange, facts_of(day.exchange).side_names)
    if in_force != day.side_names:
        return f"Silver took the exchange's word for the {day.side_names}'s side, the settings say {in_force}: {anew}"
    return (
        f"A taker's side agrees with more than {TAKER_ABOVE:.0%}. Silver took the exchange's word for the "
        f"{day.side_names}'s side: set etl.side_convention: {{{day.exchange}: {_OTHER[day.side_names]}}} in {file}, "
        f"then {anew}"
    )
