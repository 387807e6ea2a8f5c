"""What is new in a lake since it was last looked at, without a walk over it: read from logs and from newest folders.

The order of looks makes that what is found speaks of nothing that is not found: checkpoints before the files whose
rows they count, positions before the logs that they are of. Checkpoints are kept by a link, because the watcher soon
drops them.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from shared.disk import Disk, translated
from shared.partitioning import UNITS, Lake
from storage.compaction_log import NAME as COMPACTED
from storage.compaction_log import Compacted, log_path
from storage.published import log_paths, read_log
from storage.removed import record_folder, removed_outputs
from storage.sync.ledger import Ledger
from storage.sync.names import (
    FOREIGN,
    PIECE_BYTES,
    Stage,
    checkpoint_number,
    generation,
    home_of,
    log_name,
    named,
    piece_key,
)
from storage.sync.plan import Local, Remote, is_same
from storage.sync.turns import chain_and_stream, rank

_LOG_BYTES = 4 << 20  # of a log that are looked at together
_NEWEST = 2  # folders of days or months of an output that still change


class Changes:
    """Finds what is new and notes it in the ledger. `held` is the folder of kept checkpoints; None: none are kept."""

    def __init__(self, lake: Lake, ledger: Ledger, *, held: Path | None, disk: Disk) -> None:
        self._lake, self._ledger, self._held, self._disk = lake, ledger, held, disk

    def look(self) -> None:
        """Note everything that is new."""
        homes = {stream: home_folder(stream) for stream in self._streams()}
        self._look_at_state()
        for stream, home in homes.items():
            with self._ledger.changing():
                if home is None or home_folder(stream) != home or not self._look_at_output(stream, home):
                    self.put_off_checkpoints(f"{self._lake.key_of(stream)}/any.parquet")
        self._look_at_kept()
        self._look_at_logs()
        self.look_at_compacted()

    def path_of(self, key: str) -> Path:
        """The file that is sent under a key."""
        what = named(key)
        if what.stage in {Stage.CHECKPOINTS, Stage.POSITIONS}:
            assert self._held is not None
            return self._held / _flat(key)
        if what.stage is Stage.LOGS:
            return self._lake.published / log_name(Path(key).name)[0]
        return self._lake.path_of(key)

    # Checkpoints

    def _look_at_state(self) -> None:
        """Keep the positions, then every checkpoint that is not in the archive yet."""
        if self._held is not None:
            self._disk.make_dirs(self._held)
            for old in self._held.iterdir():
                self._disk.remove(old)
        root = self._lake.refining
        with self._ledger.changing():
            there, perhaps = self._ledger.there_below("state/etl/"), self._ledger.perhaps_below("state/etl/")
            self._ledger.drop(self._ledger.waiting_below("state/etl/"))
            self._ledger.wait(self._kept([root / "positions.json"], there))
            for folder in sorted(root.glob("*/*/*/"), key=_followers_first):
                found = {self._lake.key_of(path): path for path in sorted(folder.glob("*.checkpoint"))}
                self._ledger.wait(self._kept(list(found.values()), there))
                if found:
                    below, newest = self._lake.key_of(folder) + "/", max(found)
                    gone = [key for key in perhaps if key.startswith(below) and key not in found]
                    self._ledger.supersede(dict.fromkeys(gone, newest))
                    self._ledger.supersede_by(below, newest)

    def _kept(self, paths: list[Path], there: Mapping[str, Remote]) -> Iterator[Local]:
        for path in paths:
            try:
                found = path.stat()
                file = Local(key=self._lake.key_of(path), size_bytes=found.st_size, version=found.st_mtime_ns)
                if is_same(file, there.get(file.key)):
                    continue
                if self._held is not None:
                    self._disk.link(path, self._held / _flat(file.key))
            except FileNotFoundError:  # the watcher has dropped it, or has never run
                continue
            yield file

    def put_off_checkpoints(self, key: str) -> None:
        """Let those of the stream that a processed file is of wait: not all that they count was found."""
        stream = named(key).group.partition("/")[2]
        waiting = [each for each in self._ledger.waiting_below("state/etl/") if each.count("/") > 2]
        self._ledger.drop(each for each in waiting if chain_and_stream(each)[1] == stream)

    # Outputs

    def _streams(self) -> Iterator[Path]:
        """The folder of each stream of each output."""
        for name in ("processed/silver", "processed/gold", "processed/quality"):
            yield from _symbols(self._lake.path_of(name))

    def _look_at_output(self, stream: Path, home: Path) -> bool:
        """Note what is new of an output, from its newest folder back to what was final; False: it was exchanged."""
        key, home_key = self._lake.key_of(stream), self._lake.key_of(home)
        known_home, mark = self._ledger.home(key)
        try:
            newest: list[str] = []
            for leaf in _leaves(home):
                name = leaf.relative_to(home).as_posix()
                newest.append(name)
                self._ledger.wait(self._files(leaf))
                if known_home == home_key and name == mark:
                    break
        except FileNotFoundError:
            return False
        if known_home != home_key and not self._leave_old_home(key, home_key):
            return True  # looked at as a whole again
        if newest and (found := (home_key, newest[:_NEWEST][-1])) != (known_home, mark):
            self._ledger.set_home(key, *found)
        return True

    def _files(self, folder: Path) -> Iterator[Local]:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".parquet") and not entry.name.startswith("."):
                    found = entry.stat()
                    key = self._lake.key_of(Path(entry.path))
                    yield Local(key=key, size_bytes=found.st_size, version=found.st_mtime_ns)

    def _leave_old_home(self, stream: str, home: str) -> bool:
        """What lies there in another home is superseded as soon as the checkpoint that made this home is there.

        False: that checkpoint was not found yet.
        """
        self._ledger.drop(key for key in self._ledger.waiting_below(stream + "/") if home_of(key) != home)
        old = [key for key in self._ledger.perhaps_below(stream + "/") if home_of(key) != home]
        kept = removed_outputs(self._lake) if old else set()  # what retention removed here is nowhere but there
        old = [
            key for key in old if key not in kept or self._lake.path_of(home + key.removeprefix(home_of(key))).exists()
        ]
        if not old:
            return True
        group = _group_of(home)
        checkpoints = {**self._ledger.there_below("state/etl/"), **self._ledger.waiting_below("state/etl/")}
        of_chain = [key for key in checkpoints if named(key).group == group]
        made = [key for key in of_chain if checkpoint_number(key) >= generation(home)]
        if made:
            self._ledger.supersede(dict.fromkeys(old, max(made)))
        return bool(made)

    # Bronze

    def _look_at_kept(self) -> None:
        """Note what is kept as it is: what could not be read, and the record of what was removed on purpose."""
        with self._ledger.changing():
            for folder in (self._lake.quarantine, record_folder(self._lake)):
                for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                    if path.is_file() and not path.name.startswith("."):
                        key, found = self._lake.key_of(path), path.stat()
                        version = 0 if named(key).is_final else found.st_mtime_ns
                        self._ledger.wait([Local(key=key, size_bytes=found.st_size, version=version)])

    def _look_at_logs(self) -> None:
        """Note the files that were published, then the logs up to there."""
        for path in log_paths(self._lake):
            if self._ledger.fact(FOREIGN + path.name):
                continue  # another machine sends it
            position = self._ledger.position(path.name)
            while path.stat().st_size != position:
                with self._ledger.changing():
                    entries, after = read_log(path, start=position, bytes_about=_LOG_BYTES)
                    files = (
                        Local(
                            key=f"raw/ready/{each.path}",
                            size_bytes=each.bytes,
                            version=0,
                            rows=each.rows,
                            crc32=each.crc32,
                        )
                        for each in entries
                    )
                    self._ledger.wait(files, group=f"log/{path.name}")
                    self._look_at_pieces(path.name, position, after)
                    self._ledger.set_position(path.name, after)
                if after == position:  # what follows is torn, or still being written
                    break
                position = after

    def look_at_compacted(self) -> None:
        """Note the files that compaction made, and which ones they stand for."""
        path = log_path(self._lake)
        position = self._ledger.position(COMPACTED)
        if not path.exists() or path.stat().st_size == position:
            return
        with path.open("rb") as log, self._ledger.changing():
            log.seek(position)
            after = position
            for line in log:
                try:
                    found = msgspec.json.decode(line, type=Compacted) if line.endswith(b"\n") else None
                except msgspec.MsgspecError:
                    found = None
                if found is None:
                    break
                after += len(line)
                key = f"raw/{found.made}"
                made = Local(key=key, size_bytes=found.bytes, version=0, rows=found.rows, crc32=found.crc32)
                self._ledger.wait([made], group=f"log/{COMPACTED}")
                self._ledger.supersede({f"raw/{source}": key for source in found.of})
            self._look_at_pieces(COMPACTED, position, after)
            self._ledger.set_position(COMPACTED, after)

    def _look_at_pieces(self, name: str, before: int, after: int) -> None:
        """Note the pieces of a log that have grown from `before` to `after`; what is behind is not looked at yet."""
        for number in range(before // PIECE_BYTES, -(-after // PIECE_BYTES)):
            start = number * PIECE_BYTES
            size = min(after - start, PIECE_BYTES)
            if size > 0:
                self._ledger.wait([Local(key=piece_key(name, number), size_bytes=size, version=0, start=start)])


def _group_of(folder: str) -> str:
    return named(f"{folder}/any.parquet").group


def _followers_first(folder: Path) -> tuple[int, Path]:
    """What follows is looked at before what it follows, so that it is never found ahead of it."""
    return -rank(folder.parent.parent.name), folder


def home_folder(stream: Path) -> Path | None:
    """Where the years of a stream lie; None: it is being exchanged at this moment, or gone."""
    try:
        names = [entry.name for entry in os.scandir(stream) if entry.is_dir()]
    except FileNotFoundError:
        return None
    made = [name for name in names if generation(name)]
    return stream / max(made, key=generation) if made else stream


def _symbols(root: Path) -> Iterator[Path]:
    with translated(root):
        try:
            folders = sorted(entry.path for entry in os.scandir(root) if entry.is_dir())
        except FileNotFoundError:
            return
    for folder in map(Path, folders):
        if folder.name.startswith("symbol="):
            yield folder
        else:
            yield from _symbols(folder)


def _leaves(folder: Path) -> Iterator[Path]:
    """The folders of days or months below a home, the newest first."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.partition("=")[0] in UNITS]
    if not names:
        yield folder
    for name in sorted(names, key=lambda name: int(name.partition("=")[2]), reverse=True):
        yield from _leaves(folder / name)


def _flat(key: str) -> str:
    return key.replace("/", "~")
