"""`make bench`: speed and size as ratios within one run, against the targets of this step."""

from rich.console import Console
from rich.table import Table

from tests.benchmarks import bars, ingest


def main() -> None:
    """Measure everything and print one table."""
    rows = [*ingest.measure(), *((name, ratio, f">= {target}") for name, ratio, target in bars.measure())]
    table = Table("measured", "ratio", "target", "")
    for name, ratio, target in rows:
        sign, bound = target.split()
        met = ratio <= float(bound) if sign == "<=" else ratio >= float(bound)
        table.add_row(name, f"{ratio:.2f}", target, "met" if met else "MISSED")
    Console().print(table)


if __name__ == "__main__":
    main()
