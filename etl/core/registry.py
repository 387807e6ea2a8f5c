"""Transforms by name. Importing a module of `etl.transforms` registers what it holds; there is no list to edit."""

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from etl.core.base import BaseTransform

_T = TypeVar("_T", bound=type[BaseTransform])
_REGISTERED: dict[str, type[BaseTransform]] = {}


def register_transform(name: str) -> Callable[[_T], _T]:
    """Class decorator that makes a transform known as `name`."""

    def register(transform: _T) -> _T:
        known = _REGISTERED.setdefault(name, transform)
        if known is not transform:
            raise ValueError(f"two transforms are called {name!r}: {known.__module__} and {transform.__module__}")
        return transform

    return register


def transform(name: str) -> type[BaseTransform]:
    """The transform called `name`."""
    found = transforms()
    if name not in found:
        raise ValueError(f"no transform is called {name!r}; there are: {', '.join(sorted(found))}")
    return found[name]


@cache
def transforms() -> dict[str, type[BaseTransform]]:
    """Every transform of `etl.transforms` by name."""
    package = importlib.import_module("etl.transforms")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"etl.transforms.{module.name}")
    return dict(_REGISTERED)
