"""The ledger of a synchronisation: what is known to be in the archive, what waits to be sent, how far logs were read.

It is a cache. What it says to be there was seen there; lost, it is made again from a listing of the archive.
"""

from collections.abc import Callable, Iterable, Iterator

from storage.base import ObjectInfo
from storage.sync.backlog import PERHAPS_THERE, Backlog, iso
from storage.sync.database import LAST
from storage.sync.names import named
from storage.sync.plan import Remote

_REMOTE = "key, size_bytes, version, etag, crc32, rows"
_DUE, _DUE_NOW = 1, 2  # a manifest, and one that lacks a folder
_LARGE_DAY_FILES = 2000  # of which it takes long to write that one is new


class Ledger(Backlog):
    """The ledger of one lake and one archive. One thread at a time uses it."""

    def there(self, keys: Iterable[str]) -> dict[str, Remote]:
        """What is known of these objects."""
        found = (self._rows(f"select {_REMOTE} from there where key = ?", key) for key in keys)
        return {row["key"]: Remote(**row) for rows in found for row in rows}

    def there_below(self, prefix: str) -> dict[str, Remote]:
        """Every object known to be there whose key begins with a prefix."""
        rows = self._rows(f"select {_REMOTE} from there where key >= ? and key < ?", prefix, prefix + LAST)
        return {row["key"]: Remote(**row) for row in rows}

    def perhaps_below(self, prefix: str) -> list[str]:
        """Every key below a prefix that is there, or was sent and not seen since: a kill came, or the network broke."""
        query = f"select key from {PERHAPS_THERE} where key >= ? and key < ?"
        return [key for (key,) in self._db.execute(query, (prefix, prefix + LAST))]

    def there_of_day(self, day: str) -> Iterator[Remote]:
        """The objects of a day, by key."""
        return (Remote(**row) for row in self._rows(f"select {_REMOTE} from there where day = ? order by key", day))

    def record(self, found: Iterable[Remote]) -> None:
        """Note what was seen in the archive: it need not be sent any more, and its day's manifest is to be written."""
        for each in found:
            day = iso(named(each.key).day)
            if day:
                self._touch(day, each.key)
            values = (each.key, day, each.size_bytes, each.version, each.etag, each.crc32, each.rows)
            self._db.execute("insert or replace into there values (?, ?, ?, ?, ?, ?, ?)", values)
            self._db.execute("delete from begun where key = ?", (each.key,))
            self._db.execute(
                "delete from waiting where key = ? and size_bytes = ? and version = ?",
                (each.key, each.size_bytes, each.version),
            )

    def forget(self, keys: Iterable[str]) -> None:
        """Note that these are not there any more."""
        for key in keys:
            if day := iso(named(key).day):
                self._touch(day, key)
            self._db.execute("delete from there where key = ?", (key,))
            self._db.execute("delete from begun where key = ?", (key,))

    def _touch(self, day: str, key: str) -> None:
        """Note that a manifest is to be written; soon, where it does not show the folder yet."""
        folder = key.rpartition("/")[0] + "/"
        known = self._db.execute("select 1 from there where key >= ? and key < ? limit 1", (folder, folder + LAST))
        due = _DUE if known.fetchone() else _DUE_NOW
        self._db.execute(
            "insert into days (day, due) values (?, ?) on conflict do update set due = max(due, ?)", (day, due, due)
        )

    def scanned(self, listed: Iterable[ObjectInfo], adopted: Callable[[ObjectInfo], Remote | None]) -> tuple[int, int]:
        """Make what is known to be there equal to a listing of everything; how many were lost, and how many are new.

        `adopted` says of an object that was not known, or not in this state, which local state it is of; None: none.
        """
        self._db.execute("create temp table listed (key text primary key) without rowid")
        new = 0
        for info in listed:
            known = self.there([info.key]).get(info.key)
            if known is None or (known.etag, known.size_bytes) != (info.etag, info.size_bytes):
                found = adopted(info)
                if found is None:
                    continue
                self.record([found])
                new += 1
            self._db.execute("insert into listed values (?)", (info.key,))
        lost = self._db.execute("delete from there where key not in (select key from listed)").rowcount
        self._db.execute("drop table listed")
        self._db.execute(
            "insert into days (day, due) select distinct day, ? from there where day is not null"
            " on conflict do update set due = excluded.due",
            (_DUE_NOW,),
        )
        return lost, new

    def days_to_write(self, *, written_before_ns: int) -> list[str]:
        """Days whose manifest is to be written: large ones that name all folders only if the last is old enough."""
        query = (
            "select day from days where due = ? or (due = ? and (written_ns < ?"
            " or (select count(*) from there where there.day = days.day) < ?)) order by day"
        )
        return [str(day) for (day,) in self._db.execute(query, (_DUE_NOW, _DUE, written_before_ns, _LARGE_DAY_FILES))]

    def day_written(self, day: str, wall_ns: int) -> None:
        """Note that a manifest is there."""
        self._db.execute("update days set due = 0, written_ns = ? where day = ?", (wall_ns, day))

    def is_due(self) -> bool:
        """Whether a manifest lacks a folder."""
        return self._db.execute("select 1 from days where due = ? limit 1", (_DUE_NOW,)).fetchone() is not None

    def home(self, stream: str) -> tuple[str, str]:
        """Where the years of a stream's output lay, and how far back it was not yet final; empty: not seen."""
        return self._db.execute("select home, mark from homes where stream = ?", (stream,)).fetchone() or ("", "")

    def set_home(self, stream: str, home: str, mark: str) -> None:
        """Note them."""
        self._db.execute("insert or replace into homes values (?, ?, ?)", (stream, home, mark))
