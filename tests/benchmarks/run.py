"""`make bench`: speed and size as ratios within one run, against the targets. What misses one is printed as missed."""

import sys
from operator import ge, le

from rich.console import Console
from rich.table import Table

from shared.log import configure
from tests.benchmarks import bars, ingest, sizes
from tests.benchmarks.ingest import Line


def main() -> int:
    """Measure everything and print one table; the exit code says whether every target was met."""
    configure("error", format="text")
    lines = [*ingest.measure(), *sizes.measure()]
    lines += [
        Line(f"{name} / plain float loop, speed", ratio, f">= {target}") for name, ratio, target in bars.measure()
    ]
    table = Table("what", "ratio", "target", "", "of what")
    for line in lines:
        ratio = "-" if line.ratio is None else f"{line.ratio:.2f}"
        table.add_row(line.what, ratio, line.target, _verdict(line), line.detail)
    Console(width=170).print(table)
    return 1 if any(_verdict(line) == "MISSED" for line in lines) else 0


def _verdict(line: Line) -> str:
    if line.ratio is None:
        return "not measured"
    if not line.target:
        return ""
    sign, bound = line.target.split()
    return "met" if {"<=": le, ">=": ge}[sign](line.ratio, float(bound)) else "MISSED"


if __name__ == "__main__":
    sys.exit(main())
