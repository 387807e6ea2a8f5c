"""Compiled kernels that are kept on disk, and compiled anew when anything that they are made from has changed.

Numba's own cache looks at the file of a kernel alone. A kernel that calls one of another file goes on with the old
code of it after an update of this package, and says nothing: the numbers are simply those of before.
"""

import ast
import hashlib
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit
from numba.core import event, types
from numba.core.caching import FunctionCache


def kernel(*, allocates: bool = True, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator for a function that numba's `njit` compiles, with options of `njit`, and that is kept on disk.

    Args:
        allocates: false where no array is made or returned. Then none is counted as in use either, which costs 5 ns for
            every array of every call: a tuple of 40 arrays, handed on five times, costs more than a book's change.
            What makes an array all the same is not compiled.
        options: of `njit`.
    """
    options["_nrt"] = allocates  # said in any case: else it would be as it is for whoever calls first

    def compiled(function: Callable[..., Any]) -> Any:
        dispatcher = njit(**options)(function)
        dispatcher._cache = (_Cache if allocates else _CacheWithoutArrays)(function)  # type: ignore[no-untyped-call]
        return dispatcher

    return compiled


def at_first_compiling(tell: Callable[[], None]) -> None:
    """Call `tell` once, should a kernel be compiled in this process: the first start of a version takes its time."""
    event.register("numba:compile", _First(tell))  # type: ignore[no-untyped-call]


class _First(event.Listener):
    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell, self._is_told = tell, False

    def on_start(self, _event: Any) -> None:
        if not self._is_told:
            self._is_told = True
            self._tell()

    def on_end(self, _event: Any) -> None:
        """Nothing is to be said."""


class _Cache(FunctionCache):
    """Numba's cache of a function, whose entries belong to the sources that they were made from."""

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        modules = {self._py_func.__module__, *_layouts(sig)}
        return *super()._index_key(sig, codegen), tuple(map(sources, sorted(modules)))  # type: ignore[no-untyped-call]


class _CacheWithoutArrays(_Cache):
    """That of a function which counts no array: a caller would give free what it got from it."""

    def save_overload(self, sig: Any, data: Any) -> None:
        returned = data.signature.return_type
        if any(isinstance(each, types.Array) for each in (returned, *getattr(returned, "types", ()))):
            raise TypeError(f"{self._py_func.__qualname__} returns an array: it cannot be allocates=False")
        super().save_overload(sig, data)  # type: ignore[no-untyped-call]


def _layouts(of_types: Any) -> Iterator[str]:
    """The modules of the named tuples among these types: what is compiled knows fields by their places alone."""
    for each in of_types:
        if isinstance(each, types.BaseNamedTuple):
            yield each.instance_class.__module__  # type: ignore[attr-defined]
        if isinstance(each, types.BaseTuple):
            yield from _layouts(each)


@cache
def sources(module: str) -> str:
    """A digest of the text of a module and of all that it imports from its own top package."""
    found, waiting = set(), {module}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= {imported for imported in _imported(name) if imported in sys.modules} - found
    return hashlib.sha256(b"".join(_text(name) for name in sorted(found))).hexdigest()


def _imported(module: str) -> Iterator[str]:
    top = module.partition(".")[0]
    for node in ast.walk(ast.parse(_text(module))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == top:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == top)


def _text(module: str) -> bytes:
    file = sys.modules[module].__file__
    return Path(file).read_bytes() if file else b""
