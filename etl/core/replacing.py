"""Replacing rows that were published: what differs, and the one exchange that makes the new ones seen.

Readers list folders and then open files by name, with no code of ours. Whoever has listed the old tree and opens files
of the new one must not read a part of each in silence, so whatever is different gets a name that was never there.
"""

import filecmp
import os
from dataclasses import dataclass, field
from pathlib import Path

from etl.core.checkpoints import Swap
from etl.core.outputs import Output
from etl.core.staging import Stage, read_rows


@dataclass
class Difference:
    """What published files and those staged in their place come to; paths are of published files."""

    added: list[int] = field(default_factory=list)  # hours or days that had no file
    replaced: list[Path] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)
    equal: list[Path] = field(default_factory=list)


def difference(output: Output, stage: Stage, *, from_us: int) -> Difference:
    """What it comes to that staged rows take the place of all published ones numbered `stage.first` and above.

    Stages files that are only cut short, and forgets staged ones that are as they were.
    """
    out = Difference()
    old = {
        unit_us: path for path in output.every_file() if (unit_us := output.unit_of(path)) >= output.unit_us(from_us)
    }
    for unit_us, path in old.items():
        rows = read_rows(path)
        if unit_us not in stage.files:
            kept = rows.filter(rows[output.order] < stage.first)
            if not kept.height:
                out.removed.append(path)
                continue
            stage.write(kept, unit_us, output.facts)
        staged = stage.files[unit_us]
        if filecmp.cmp(path, staged, shallow=False) or read_rows(staged).equals(rows):
            out.equal.append(path)
            del stage.files[unit_us]
        else:
            out.replaced.append(path)
    out.added = sorted(stage.files.keys() - old.keys())
    return out


def arranged(output: Output, stage: Stage, found: Difference) -> Swap:
    """The tree that takes the place of the deepest folder in which anything differs. Files that stay are linked.

    A folder that only gets files also has one file under a new name: no listing of the old tree can be read whole
    once the new one is there.
    """
    gone = {*found.removed, *found.replaced}
    finals = {unit_us: _renamed(output.path(unit_us), stage.number) for unit_us in stage.files}
    differing = {path.parent for path in gone}
    folder = Path(os.path.commonpath([*differing, *(final.parent for final in finals.values())]))
    kept = {path: path for path in sorted(folder.rglob("*")) if path.is_file() and path not in gone}
    for parent in {final.parent for final in finals.values()} - differing:
        told = next((path for path in kept if path.parent == parent and path.suffix == ".parquet"), None)
        if told:
            kept[told] = _renamed(output.path(output.unit_of(told)), stage.number)
            gone.add(told)
    tree = stage.folder / f"{stage.number:012d}-tree"
    for path, final in kept.items():
        stage.disk.make_dirs(tree / final.parent.relative_to(folder))
        stage.disk.link(path, tree / final.relative_to(folder))
    for unit_us, final in finals.items():
        stage.disk.make_dirs(tree / final.parent.relative_to(folder))
        stage.disk.rename(stage.files[unit_us], tree / final.relative_to(folder))
    stage.disk.make_dirs(tree)
    for path in (tree, *tree.rglob("*")):
        if path.is_dir():
            stage.disk.sync_dir(path)
    return Swap(tree.name, stage.relative(folder), stage.relative(min(gone)))


def _renamed(path: Path, number: int) -> Path:
    """A name for the same hour or day that no file has had: numbers of commits are used once."""
    return path.with_name(f"{path.stem}-r{number}{path.suffix}")
