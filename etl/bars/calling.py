"""How a builder is called: what is missing in a call, or is in it and unknown, is said in one line."""

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import cache, wraps
from typing import Any, get_args, get_type_hints

_EXAMPLES = {"threshold": "1000", "interval": '"1m"', "expected_ticks_init": "1000"}


@cache
def parameters_of(cls: type) -> dict[str, bool]:
    """The names of what the bars of a class may be told, `state` included, each with whether it must be."""
    names: dict[str, bool] = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind is not parameter.VAR_KEYWORD:
            names[name] = parameter.default is parameter.empty
            continue
        (options,) = get_args(get_type_hints(cls.__init__)[name])  # type: ignore[misc]
        names |= dict.fromkeys(options.__annotations__, False)
    return names


def checked(init: Callable[..., None]) -> Callable[..., None]:
    """A constructor of bars that refuses a call which its signature does not fit, instead of Python's own words."""

    @wraps(init)
    def called(self: Any, *args: Any, **options: Any) -> None:
        if type(self).__init__ is called:  # not where a class calls the one that it is made from
            _refuse(type(self), args, options)
        init(self, *args, **options)

    return called


def _refuse(cls: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    names = parameters_of(cls)
    known = [name for name in names if name != "state"]
    needed = [name for name, is_needed in names.items() if is_needed]
    example = f"{cls.__name__}({', '.join(f'{name}={_EXAMPLES[name]}' for name in needed)})"
    if args:
        raise ValueError(f"{cls.kind} bars take their parameters by name, as {example}")
    for name in options:
        if name not in names:
            near = "".join(f" (did you mean {like!r}?)" for like in get_close_matches(name, known, n=1))
            raise ValueError(f"{cls.kind} bars have no parameter {name!r}{near}; there are {', '.join(known)}")
    if missing := [name for name in needed if name not in options]:
        raise ValueError(f"{cls.kind} bars need {' and '.join(missing)}, as {example}")
