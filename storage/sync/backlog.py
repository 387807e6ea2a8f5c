"""What waits to be sent, in which order, and which objects stand for others."""

from collections.abc import Iterable, Mapping
from datetime import date

from storage.sync.database import LAST, Database
from storage.sync.names import Stage, named
from storage.sync.plan import Local, Selection

_LOCAL = "key, size_bytes, version, rows, start, crc32, key in (select key from begun) as was_begun"
PERHAPS_THERE = "(select key from there union all select key from begun)"


class Backlog(Database):
    """The files that wait, and what is superseded."""

    def wait(self, files: Iterable[Local], *, group: str | None = None) -> None:
        """Note files that may have to be sent; those that are there, or wait as they are, change nothing.

        `group` is theirs where their names do not say one.
        """
        for file in files:
            what = named(file.key)
            state = (file.size_bytes, file.version)
            there = self._db.execute("select size_bytes, version from there where key = ?", (file.key,)).fetchone()
            if there == state:
                self._db.execute("delete from waiting where key = ?", (file.key,))
                continue
            self._db.execute(
                "insert into waiting (key, stage, tier, part, family, day, last_day, size_bytes, version, rows, start,"
                " crc32) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set"
                " size_bytes = excluded.size_bytes, version = excluded.version, rows = excluded.rows,"
                " crc32 = excluded.crc32, state = 'new'"
                " where (size_bytes, version) != (excluded.size_bytes, excluded.version)",
                (
                    file.key,
                    int(what.stage),
                    what.tier,
                    what.table,
                    group or what.group,
                    iso(what.day) or "",
                    iso(what.last_day),
                    *state,
                    file.rows,
                    file.start,
                    file.crc32,
                ),
            )

    def waiting_below(self, prefix: str) -> dict[str, Local]:
        """Every file that waits whose key begins with a prefix."""
        rows = self._rows(f"select {_LOCAL} from waiting where key >= ? and key < ?", prefix, prefix + LAST)
        return {row["key"]: Local(**row) for row in rows}

    def waiting_of(self, keys: Iterable[str]) -> list[Local]:
        """Those of these files that wait and were not set aside."""
        query = f"select {_LOCAL} from waiting where state = 'new' and key = ?"
        return [Local(**row) for key in keys for row in self._rows(query, key)]

    def waiting(
        self, stage: Stage, selection: Selection, *, after: tuple[str, str] = ("", ""), count: int
    ) -> list[Local]:
        """The next files of a stage that can be sent, the older days first, behind a day and key."""
        wanted, values = _condition(selection)
        held_back = (
            "exists (select 1 from waiting as before where before.stage < waiting.stage and before.state = 'new'"
            f" and (before.family = waiting.family or waiting.family = '*') and {_condition(selection, 'before')[0]})"
        )
        rows = self._rows(
            f"select {_LOCAL} from waiting where stage = ? and (day, key) > (?, ?) and state = 'new' and {wanted}"
            f" and not {held_back} order by day, key limit ?",
            int(stage),
            *after,
            *values,
            *values,
            count,
        )
        return [Local(**row) for row in rows]

    def planned(self, stage: Stage, selection: Selection) -> list[Local]:
        """The files of a stage that wait, in the order in which they would be sent."""
        wanted, values = _condition(selection)
        query = f"select {_LOCAL} from waiting where stage = ? and state = 'new' and {wanted} order by day, key"
        return [Local(**row) for row in self._rows(query, int(stage), *values)]

    def backlog(self, selection: Selection) -> tuple[int, int]:
        """How many files wait to be sent, and their bytes."""
        wanted, values = _condition(selection)
        query = f"select count(*), coalesce(sum(size_bytes), 0) from waiting where state = 'new' and {wanted}"
        files, size_bytes = self._db.execute(query, values).fetchone()
        return int(files), int(size_bytes)

    def begin(self, keys: Iterable[str]) -> None:
        """Note that these are about to be sent: until they are seen there, they may be there or not."""
        self._db.executemany("insert or ignore into begun values (?)", [(key,) for key in keys])

    def set_aside(self, key: str, state: str) -> None:
        """Note that a file is not to be tried again before a full scan, and why."""
        self._db.execute("update waiting set state = ? where key = ?", (state, key))

    def aside(self, state: str) -> int:
        """How many files were set aside for a reason."""
        return int(self._db.execute("select count(*) from waiting where state = ?", (state,)).fetchone()[0])

    def try_all_again(self) -> None:
        """Let everything that was set aside be tried again, and every log be read from its beginning."""
        self._db.execute("update waiting set state = 'new'")
        self._db.execute("delete from facts where name like 'position %'")
        self._db.execute("delete from homes")

    def drop(self, keys: Iterable[str]) -> None:
        """Let files wait no more."""
        self._db.executemany("delete from waiting where key = ?", [(key,) for key in keys])

    def supersede(self, keys: Mapping[str, str]) -> None:
        """Note whose content others hold."""
        self._db.executemany("insert or replace into superseded values (?, ?)", keys.items())

    def supersede_by(self, below: str, newest: str) -> None:
        """Let `newest` stand for all that stood for others and begins with `below`: it may have been dropped unsent."""
        self._db.execute("update superseded set by = ? where by >= ? and by < ?", (newest, below, below + LAST))

    def superseded(self, keys: Iterable[str]) -> dict[str, str]:
        """Of these keys, those whose content others hold."""
        found = (self._db.execute("select key, by from superseded where key = ?", (key,)).fetchone() for key in keys)
        return {key: by for each in found if each for key, by in [each]}

    def removable(self, *, count: int) -> dict[str, str]:
        """The next objects that may be there, and whose content others hold that are there."""
        rows = self._db.execute(
            "select superseded.key, by from superseded join there on there.key = by"
            f" where superseded.key in {PERHAPS_THERE} and by not in (select key from waiting) limit ?",
            (count,),
        )
        return dict(rows.fetchall())

    def settle_absent(self) -> None:
        """Forget of superseded ones those that are neither there nor on the way, their successors being there."""
        self._db.execute(
            "delete from superseded where by in (select key from there)"
            f" and key not in {PERHAPS_THERE} and key not in (select key from waiting)"
        )

    def settle(self, keys: Iterable[str]) -> None:
        """Note that these superseded ones are gone."""
        self._db.executemany("delete from superseded where key = ?", [(key,) for key in keys])


def _condition(selection: Selection, table: str = "waiting") -> tuple[str, list[str]]:
    """`Selection.allows` in SQL, and its values."""
    tiers = sorted(selection.tiers)
    texts = [f"{table}.tier in ({', '.join('?' * len(tiers))})"]
    values = [*tiers]
    if selection.channels is not None:
        tables = ["", "gaps", *sorted(selection.channels)]
        texts.append(f"({table}.tier != 'bronze' or {table}.part in ({', '.join('?' * len(tables))}))")
        values += tables
    if selection.since is not None:
        texts.append(f"({table}.last_day is null or {table}.last_day >= ?)")
        values.append(selection.since.isoformat())
    return " and ".join(texts), values


def iso(day: date | None) -> str | None:
    """A day as text; None: none."""
    return None if day is None else day.isoformat()
