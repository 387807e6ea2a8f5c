"""The lake as tables: what there is to read, and the paths of it. Nobody else needs to know a folder."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shared.partitioning import Lake


@dataclass(frozen=True)
class LakeTable:
    """A table under the name by which people ask for it."""

    name: str
    pattern: str  # of its Parquet files, for any reader that takes globs


def tables(lake: Lake) -> list[LakeTable]:
    """Every table that has files: bronze by its name, `silver_<name>`, `quality_<name>`, `gold_candles` and `bars`.

    `candles` are those of the exchange, in bronze; `gold_candles` ours, from trades.
    """
    found = [
        LakeTable(path.name, f"{lake.ready}/*/{path.name}/**/*.parquet") for path in _unique(lake.ready.glob("*/*"))
    ]
    silver = lake.silver("trades").parent
    found += [LakeTable(f"silver_{path.name}", f"{path}/**/*.parquet") for path in _unique(silver.glob("*"))]
    quality = lake.quality("any").parent
    found += [LakeTable(f"quality_{path.name}", f"{path}/**/*.parquet") for path in _unique(quality.glob("*"))]
    gold = {"gold_candles": lake.candles("any").parent, "bars": lake.bars("any").parent}
    found += [LakeTable(name, f"{root}/**/*.parquet") for name, root in gold.items() if root.is_dir()]
    return found


def _unique(paths: Iterable[Path]) -> list[Path]:
    by_name: dict[str, Path] = {}
    for path in paths:
        if path.is_dir() and next(path.rglob("*.parquet"), None):
            by_name.setdefault(path.name, path)
    return [by_name[name] for name in sorted(by_name)]
