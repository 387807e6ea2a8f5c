"""Threads that move files: many small ones at once, few large ones."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Self, TypeVar

_LARGE_BYTES, _LARGE_AT_ONCE = 16 << 20, 2  # each takes several parts of memory
T = TypeVar("T")
R = TypeVar("R")


class Crew:
    """The threads of one pass."""

    def __init__(self, files_at_once: int) -> None:
        self._small = ThreadPoolExecutor(files_at_once, thread_name_prefix="sync")
        self._large = ThreadPoolExecutor(min(_LARGE_AT_ONCE, files_at_once), thread_name_prefix="sync-large")
        self._outstanding_max = 4 * files_at_once

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in (self._small, self._large):
            pool.shutdown(cancel_futures=True)

    def outcomes(self, calls: Iterable[tuple[int, T, Callable[[], R]]]) -> Iterator[tuple[T, Future[R]]]:
        """What became of calls, given as (bytes, what, call), as they end; no more are begun once we are left."""
        under_way: dict[Future[R], T] = {}
        for size_bytes, what, call in calls:
            pool = self._large if size_bytes > _LARGE_BYTES else self._small
            under_way[pool.submit(call)] = what
            if len(under_way) >= self._outstanding_max:
                yield from self._ended(under_way)
        while under_way:
            yield from self._ended(under_way)

    @staticmethod
    def _ended(under_way: dict[Future[R], T]) -> Iterator[tuple[T, Future[R]]]:
        done, _ = wait(under_way, return_when=FIRST_COMPLETED)
        for future in done:
            yield under_way.pop(future), future
