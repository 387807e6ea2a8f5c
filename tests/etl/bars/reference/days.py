"""What the days of a stream came to: specification 6 and 7."""

from decimal import Decimal
from fractions import Fraction

from tests.etl.bars.reference.exact import ZERO, plus

DAY_US = 86_400_000_000


class Days:
    """Totals by UTC day; the day is that of the largest timestamp so far, and a day without trades is none."""

    def __init__(self) -> None:
        self.today: int | None = None
        self.so_far = ZERO
        self.finished: list[Decimal] = []

    def pass_to(self, us: int) -> None:
        day = us // DAY_US
        if self.today is not None and day > self.today:
            self.finished.append(self.so_far)
            self.so_far = ZERO
        self.today = day if self.today is None else max(day, self.today)

    def add(self, amount: Decimal) -> None:
        self.so_far = plus(self.so_far, amount)

    def mean(self, last: int) -> Fraction | None:
        days = [Fraction(day) for day in self.finished[-last:]]
        return sum(days) / len(days) if days else None

    def median(self, last: int) -> Fraction | None:
        days = sorted(Fraction(day) for day in self.finished[-last:])
        if not days:
            return None
        return (days[(len(days) - 1) // 2] + days[len(days) // 2]) / 2
