"""Replacing rows that were published: what differs, and the one exchange that makes the new ones seen.

Readers list folders and then open files by name, with no code of ours, and some pass over in silence what is gone when
they come to it. So no path of the old tree may lead into the new one: a folder that was never there holds all of it.
"""

import filecmp
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
    """The tree that takes the place of the stream's folder. Files that stay are linked.

    All of it lies in a folder named after the commit, whose number is used once.
    """
    gone, old = {*found.removed, *found.replaced}, output.home()
    tree = stage.folder / f"{stage.number:012d}-tree"
    home = tree / f"r{stage.number}"
    stage.disk.make_dirs(home)
    kept = {path: home / path.relative_to(old) for path in old.rglob("*") if path.is_file() and path not in gone}
    staged = {path: output.path(unit_us, home) for unit_us, path in stage.files.items()}
    folders = {final.parent for final in (*kept.values(), *staged.values())}
    for folder in sorted(folders):
        stage.disk.make_dirs(folder)
    for path, final in kept.items():
        stage.disk.link(path, final)
    for path, final in staged.items():
        stage.disk.rename(path, final)
    for folder in sorted(folders):
        stage.disk.sync_dir(folder)
    return Swap(tree.name, stage.relative(output.stream))
