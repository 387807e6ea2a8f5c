"""What was traded on each finished UTC day, for thresholds and bar lengths that follow the market slowly."""

from collections.abc import Callable
from fractions import Fraction
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

DAY_US = 86_400_000_000
DAYS_MAX = 20  # AFML's bars a day are judged over about a month of trading


class Ledger(Struct, frozen=True, kw_only=True):
    """Totals by day as exact texts; days without trades are not in it."""

    day: int | None = None  # since 1970; of the newest trade
    today: str = "0"
    finished: tuple[str, ...] = ()  # of the days before, oldest first


def rolled(ledger: Ledger, us: int, *, keep: int) -> Ledger:
    """The ledger once a trade of this moment has come; a moment of an earlier day belongs to the newest day."""
    day = us // DAY_US
    if ledger.day is None:
        return replace(ledger, day=day)
    if day <= ledger.day:
        return ledger
    return Ledger(day=day, finished=(*ledger.finished, ledger.today)[-keep:])


def added(ledger: Ledger, total: Fraction) -> Ledger:
    """The ledger with this much more today."""
    return replace(ledger, today=str(Fraction(ledger.today) + total))


def over_days(ledger: Ledger, summary: Callable[[list[Fraction]], Fraction]) -> Fraction | None:
    """`summary` of the totals of the finished days; None while there is none."""
    return summary([Fraction(total) for total in ledger.finished]) if ledger.finished else None


def mean(totals: list[Fraction]) -> Fraction:
    """The exact mean.

    >>> mean([Fraction(1), Fraction(2)])
    Fraction(3, 2)
    """
    return sum(totals, Fraction(0)) / len(totals)


def middle(totals: list[Fraction]) -> Fraction:
    """The exact median.

    >>> middle([Fraction(4), Fraction(1), Fraction(3), Fraction(2)])
    Fraction(5, 2)
    """
    return Fraction(median(totals))
