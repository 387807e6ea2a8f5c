"""The file of a ledger: opened, begun anew where it cannot be read, changed all or not at all."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from shared.disk import Disk
from shared.errors import DiskFull, LakeUnusable
from shared.log import get_log

_SCHEMA = """
create table if not exists there (
    key text primary key, day text, size_bytes integer not null, version integer not null, etag text not null,
    crc32 integer, rows integer) without rowid;
create index if not exists there_by_day on there (day, key);
create table if not exists waiting (
    key text primary key, stage integer not null, tier text not null, part text not null, family text not null,
    day text not null, last_day text, size_bytes integer not null, version integer not null, rows integer,
    start integer not null, state text not null default 'new', crc32 integer)
    without rowid;
create index if not exists waiting_in_order on waiting (stage, day, key);
create index if not exists waiting_by_family on waiting (family, stage);
create table if not exists begun (key text primary key) without rowid;
create table if not exists superseded (key text primary key, by text not null) without rowid;
create table if not exists days (day text primary key, due integer not null, written_ns integer not null default 0)
    without rowid;
create table if not exists homes (stream text primary key, home text not null, mark text not null) without rowid;
create table if not exists facts (name text primary key, value text not null) without rowid;
"""
LAST = "\U0010ffff"  # sorts after all that a key can hold
log = get_log("sync")


class Database:
    """The tables of a ledger of one lake and one archive. One thread at a time uses it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._db.executescript(_SCHEMA)
        if not any(name == "crc32" for _, name, *_ in self._db.execute("pragma table_info(waiting)")):
            self._db.execute("alter table waiting add column crc32 integer")  # a ledger of before

    @classmethod
    def opened(cls, path: Path, *, archive: str, disk: Disk) -> Self:
        """The ledger at `path`; begun anew where there is none, it cannot be read, or it is of another archive."""
        try:
            ledger = cls._at(path)
            of = ledger.fact("archive")
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise _unusable(path, error) from error
            log.warning("the ledger cannot be read: it is made again from the archive", file=str(path))
            of = "unreadable"
        if of not in {"", archive}:
            if of != "unreadable":
                log.warning("another archive than before: what it holds is looked up", was=of, now=archive)
                ledger.close()
            for end in ("", "-wal", "-shm"):
                disk.remove(path.with_name(path.name + end))
            ledger = cls._at(path)
        with ledger.changing():
            ledger.set_fact("archive", archive)
        return ledger

    @classmethod
    def _at(cls, path: Path) -> Self:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("pragma journal_mode = wal")
            return cls(connection)
        except sqlite3.Error:
            connection.close()
            raise

    @classmethod
    def copied(cls, path: Path, *, archive: str) -> Self:
        """The ledger at `path` in memory, to plan with; empty where there is none of this archive."""
        copy = sqlite3.connect(":memory:", isolation_level=None)
        if path.exists():
            with (
                suppress(sqlite3.DatabaseError),
                closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as found,
            ):
                found.backup(copy)
        ledger = cls(copy)
        if ledger.fact("archive") not in {"", archive}:
            ledger.close()
            return cls(sqlite3.connect(":memory:", isolation_level=None))
        return ledger

    def close(self) -> None:
        """Let the file go."""
        self._db.close()

    @contextmanager
    def changing(self, *, is_durable: bool = False) -> Iterator[None]:
        """All changes in here, or none; durable ones and all before them stand after a power cut.

        Most need not: of a cache an older state is fine, as long as it knows all that may be in the archive.

        Raises: DiskFull, LakeUnusable.
        """
        try:
            self._db.execute(f"pragma synchronous = {'full' if is_durable else 'normal'}")
            self._db.execute("begin")
            try:
                yield
            except BaseException:
                with suppress(sqlite3.Error):
                    self._db.execute("rollback")
                raise
            self._db.execute("commit")
        except sqlite3.OperationalError as error:
            with suppress(sqlite3.Error):
                self._db.execute("rollback")
            raise _unusable(Path(self._db.execute("pragma database_list").fetchone()[2]), error) from error

    def fact(self, name: str) -> str:
        """What was noted under a name; empty: nothing was."""
        found = self._db.execute("select value from facts where name = ?", (name,)).fetchone()
        return str(found[0]) if found else ""

    def set_fact(self, name: str, value: str) -> None:
        """Note something."""
        self._db.execute("insert or replace into facts values (?, ?)", (name, value))

    def position(self, name: str) -> int:
        """How far a log was read."""
        return int(self.fact(f"position {name}") or 0)

    def set_position(self, name: str, position: int) -> None:
        """Note how far a log was read."""
        self.set_fact(f"position {name}", str(position))

    def _rows(self, query: str, *values: Any) -> Iterator[dict[str, Any]]:
        found = self._db.execute(query, values)
        names = [name for name, *_ in found.description]
        return (dict(zip(names, row, strict=True)) for row in found)


def _unusable(path: Path, error: sqlite3.OperationalError) -> LakeUnusable:
    said = str(error)
    if "full" in said:
        return DiskFull(
            path, "the disk is full", hint="Free some space and start again; nothing in the archive is lost"
        )
    hint = "Give this user write permission on a disk that is not read-only, or remove the file: it is made again"
    return LakeUnusable(path, f"the ledger cannot be used ({said})", hint=hint)
