"""Bar sets as people write them, in settings or as options, checked by the builders themselves."""

import inspect
import re
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any

from config.config import Settings
from config.problems import SettingsRefused, quoted
from config.section import Number
from etl.bars import bar_set_id, bar_types, new_bars
from etl.bars.catalog import bar_type
from etl.bars.catalog import parameters as names_of
from etl.bars.ladder import rungs
from etl.core.config import BarSet, FilterSpec

OURS = frozenset({"late", "dedup_window"})  # said by whoever runs a builder, not by who describes a set
_MUST_BE = re.compile(r"\w+(?: of \w+ bars)? must be (.+), was .*", re.DOTALL)


class SetRefused(ValueError):
    """A description of a bar set with one thing wrong in it: under which name, and what."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(problem)
        self.name, self.problem = name, problem


def bar_sets(settings: Settings) -> tuple[BarSet, ...]:
    """The bar sets of the settings.

    Raises: SettingsRefused with a line for each that no builder would make.
    """
    found: dict[str, BarSet] = {}
    problems = []
    for index, written in enumerate(settings.etl.bars):
        path = f"etl.bars[{index}]"
        try:
            bar_set = described(written.type, written.parameters)
        except SetRefused as refused:
            key = f"{path}.{refused.name}" if refused.name else path
            problems.append(f"{key}: {refused.problem}")
            continue
        name = bar_set_id(bar_set.type, bar_set.params)
        if name in found:
            first = list(found).index(name)
            problems.append(f"{path}: the same bars as etl.bars[{first}], expected each set once: join their symbols")
        where = FilterSpec(written.exchanges or (), written.symbols or ())
        found[name] = BarSet(bar_set.type, bar_set.params, where)
    if problems:
        raise SettingsRefused(problems)
    return tuple(found.values())


def candle_intervals(settings: Settings) -> tuple[str, ...]:
    """The intervals of the settings' candles, finest first.

    Raises: SettingsRefused.
    """
    try:
        return tuple(rungs(settings.etl.candles.intervals))
    except ValueError as error:
        raise SettingsRefused([f"etl.candles.intervals: {error}"]) from error


def described(kind: str, parameters: Mapping[str, Any]) -> BarSet:
    """The bar set of this kind and these parameters, as YAML gives them.

    Raises: SetRefused.
    """
    try:
        cls = bar_type(kind)
    except ValueError:
        raise SetRefused("type", f"found {quoted(kind)}, expected one of {', '.join(bar_types())}") from None
    names = parameters_of(cls.kind)
    for name in parameters:
        if name not in names:
            raise SetRefused(name, f"unknown key for `type: {kind}`{_instead_of(name, names)}")
    for name in required_of(cls.kind):
        if name not in parameters:
            raise SetRefused(name, "found nothing, expected a value")
    given = {name: exact(value) for name, value in parameters.items()}
    try:
        new_bars(kind, **given)
    except ValueError as error:
        raise _refused(str(error), parameters) from error
    return BarSet(cls.kind, given)


def parameters_of(kind: str) -> list[str]:
    """The names of the parameters that describe a set of this kind."""
    return [name for name in names_of(kind) if name not in OURS]


def required_of(kind: str) -> list[str]:
    """Those of them that have no default."""
    found = inspect.signature(bar_type(kind)).parameters.values()
    return [each.name for each in found if each.kind is each.KEYWORD_ONLY and each.default is each.empty]


def exact(value: Any) -> Any:
    """A value of YAML as builders take it: a float of more digits than float64 keeps becomes a decimal."""
    if isinstance(value, Number):
        with suppress(InvalidOperation):  # YAML knows texts of floats that Decimal does not, as .inf
            if (number := Decimal(value.text)) != Decimal(repr(float(value))):
                return number
        return float(value)
    return tuple(exact(item) for item in value) if isinstance(value, list) else value


def _refused(message: str, parameters: Mapping[str, Any]) -> SetRefused:
    """A builder's refusal, which begins with the name of the parameter."""
    found = re.match(r"\w+", message)
    name = found[0] if found else ""
    if name not in parameters:
        return SetRefused("", message)
    wanted = _MUST_BE.fullmatch(message)
    return SetRefused(name, f"found {quoted(parameters[name])}, expected {wanted[1]}" if wanted else message)


def _instead_of(name: str, names: list[str]) -> str:
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f", did you mean `{close[0]}`?" if close else f", expected one of {', '.join(names)}"
