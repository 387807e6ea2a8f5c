"""`make bench`: speed and size as ratios within one run, against the targets. What misses one is printed as missed."""

import argparse
import sys
from operator import ge, le

from rich.console import Console
from rich.table import Table

from shared.log import configure
from tests.benchmarks import bars, bars_files, compaction, features, ingest, sizes, sync_idle, sync_rivals
from tests.benchmarks.ingest import Line

PARTS = {
    "capture": (ingest.measure, sizes.measure),
    "bars": (bars.measure, bars_files.measure),
    "features": (features.measure,),
    "compact": (compaction.measure,),
    "sync": (sync_rivals.measure, sync_idle.measure),
}


def main() -> int:
    """Measure, and print one table; the exit code says whether every target was met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=PARTS, help="none: all")
    part = parser.parse_args().part
    configure("error", format="text")
    lines = [line for name in PARTS if part in (None, name) for measure in PARTS[name] for line in measure()]
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
