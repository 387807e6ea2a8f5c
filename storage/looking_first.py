"""A store that knows no conditional writes, made to do: what stands there is looked at before it is written.

Between the look and the write somebody else may come, so this keeps no two machines apart. It is for the one machine
that writes to such a store.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager

from shared.errors import ObjectConflict, ObjectMissing
from storage.base import Content, ObjectContent, ObjectInfo, ObjectStore, Unfinished, checked_conditions


class LookingFirst:
    """The port over a store whose conditions are not asked of it."""

    def __init__(self, store: ObjectStore) -> None:
        self.name = store.name
        self._store = store

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `ObjectStore`."""
        return self._store.list(prefix)

    def head(self, key: str) -> ObjectInfo:
        """See `ObjectStore`."""
        return self._store.head(key)

    def get(self, key: str, *, start: int = 0, if_match: str | None = None) -> AbstractContextManager[ObjectContent]:
        """See `ObjectStore`; reading has its conditions everywhere."""
        return self._store.get(key, start=start, if_match=if_match)

    def put(self, key: str, content: Content, *, if_absent: bool = False, if_match: str | None = None) -> str:
        """See `ObjectStore`; the condition held a moment before."""
        checked_conditions(if_absent=if_absent, if_match=if_match)
        if if_absent and self._etag(key) is not None:
            raise ObjectConflict(f"{self.name}/{key}", "it is there already")
        self._look(key, if_match)
        return self._store.put(key, content)

    def delete(self, key: str, *, if_match: str | None = None) -> None:
        """See `ObjectStore`; the condition held a moment before."""
        self._look(key, if_match)
        self._store.delete(key)

    def unfinished(self) -> Iterator[Unfinished]:
        """See `ObjectStore`."""
        return self._store.unfinished()

    def discard(self, upload: Unfinished) -> None:
        """See `ObjectStore`."""
        self._store.discard(upload)

    def _look(self, key: str, if_match: str | None) -> None:
        if if_match is None or (etag := self._etag(key)) == if_match:
            return
        reason = "it is gone" if etag is None else "it is not in the state that was asked for"
        raise ObjectConflict(f"{self.name}/{key}", reason)

    def _etag(self, key: str) -> str | None:
        try:
            return self._store.head(key).etag
        except ObjectMissing:
            return None
