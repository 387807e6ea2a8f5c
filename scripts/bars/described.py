"""A bar set as the options of a command describe it, and the layout of a file of trades."""

from collections.abc import Sequence
from typing import Any

import typer

from config.sources import value_of
from etl.core.config import BarSet
from etl.tapes.columns import Layout, SideNames
from etl.tapes.moments import TimeUnit
from scripts.bar_sets import SetRefused, described


def bar_set_of(kind: str, named: dict[str, str | None], further: Sequence[str]) -> BarSet:
    """The bar set of `--type`, of the options named after parameters, and of every `--param name=value`.

    Raises: typer.BadParameter that says which of them is wrong.
    """
    parameters: dict[str, Any] = {name: value_of(text) for name, text in named.items() if text is not None}
    for text in further:
        name, value = _pair(text, option="--param")
        if name in parameters:
            raise typer.BadParameter(f"{name} is given twice")
        parameters[name] = value_of(value)
    try:
        return described(kind, parameters)
    except SetRefused as refused:
        is_option = refused.name in {"type", *named}
        option = f"--{refused.name.replace('_', '-')}" if is_option else f"--param {refused.name}".rstrip()
        raise typer.BadParameter(f"{option}: {refused.problem}") from refused


def layout_of(
    columns: Sequence[str], *, names: str, time_unit: TimeUnit | None, side_names: SideNames, skip_bad: bool
) -> Layout:
    """The layout that the options describe. Raises: typer.BadParameter, InputUnreadable."""
    return Layout(
        columns=dict(_pair(text, option="--column") for text in columns),
        names=tuple(name.strip() for name in names.split(",")) if names else (),
        time_unit=time_unit,
        side_names=side_names,
        skip_bad=skip_bad,
    )


def _pair(text: str, *, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise typer.BadParameter(f"{option} {text}: expected name=value")
    return name.strip(), value.strip()
