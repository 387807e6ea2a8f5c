"""The reference part of the page on features, made from their declarations: options, tables, families, columns."""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from textwrap import dedent
from typing import Any

import msgspec

from config.reference import kind, written
from etl.features.declared import family_types
from etl.features.options import FeatureOptions
from etl.features.tables import TABLES, FeatureTable
from scripts.features.declared import Described, described

_NUMBER = re.compile(r"\d+(\.\d+)?")
_NAMES_MAX = 6  # of columns that differ in their numbers alone


def page() -> str:
    """Tables of the options, and of every table's facts and features."""
    found = described(FeatureOptions())
    parts = ["### Options", "", *_options()]
    for table in TABLES:
        own = [each for each in found if each.table == table.name]
        parts += ["", f"### {table.tier.capitalize()} `{table.name}`", "", *_table(table, own)]
    return "\n".join(parts)


def _options() -> Iterator[str]:
    yield "| option | value | default | meaning | families |"
    yield "|---|---|---|---|---|"
    users: dict[str, list[str]] = {}
    for name, family in family_types().items():
        for option in family.options:
            users.setdefault(option, []).append(name)
    meanings, types = _attribute_docs(FeatureOptions), inspect.get_annotations(FeatureOptions)
    for field in msgspec.structs.fields(FeatureOptions):
        value, default = kind(types[field.name]), f"`{written(field.default)}`"
        yield _row(f"`{field.name}`", value, default, meanings[field.name], ", ".join(users.get(field.name, ())))


def _attribute_docs(cls: type) -> dict[str, str]:
    """What the text below each attribute of a class says."""
    (parsed,) = (node for node in ast.parse(dedent(inspect.getsource(cls))).body if isinstance(node, ast.ClassDef))
    found: dict[str, str] = {}
    for node, below in zip(parsed.body, parsed.body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            assert isinstance(node.target, ast.Name)
            found[node.target.id] = " ".join(str(below.value.value).split())
    return found


def _table(table: FeatureTable, own: list[Described]) -> Iterator[str]:
    yield f"{table.about} A row is {table.row}; made from {table.made_from}."
    yield from ("", "| column | type | meaning |", "|---|---|---|")
    for fact in table.facts:
        yield _row(f"`{fact.name}`", "time, us UTC" if fact.dtype.is_temporal() else str(fact.dtype).lower(), fact.what)
    for family in dict.fromkeys(each.family for each in own):
        if family:
            yield from ("", f"#### {family}", "", _about(family))
        yield from ("", *_features(each for each in own if each.family == family))


def _about(family: str) -> str:
    """The family in a sentence or two, and what it is made from."""
    made_by = family_types()[family]
    said = (inspect.getdoc(made_by) or "").split("\n\n")[0]
    return f"{' '.join(said.split())} Made from {' and '.join(made_by.channels)}."


def _features(own: Iterable[Described]) -> Iterator[str]:
    """A row for each feature; those that differ in their numbers alone share one."""
    alike: dict[tuple[Any, ...], list[Described]] = {}
    for each in own:
        pattern = (_NUMBER.sub("#", each.name), _NUMBER.sub("#", each.formula), each.unit, each.source, each.spec)
        alike.setdefault(pattern, []).append(each)
    yield "| feature | unit | formula | source | spec |"
    yield "|---|---|---|---|---|"
    for group in alike.values():
        first = group[0]
        formula = first.formula if len({each.formula for each in group}) == 1 else f"{first.formula}, and so on"
        yield _row(_names([each.name for each in group]), _unit(first), formula, first.source, first.spec)


def _names(names: list[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return ", ".join(quoted) if len(quoted) <= _NAMES_MAX else f"{quoted[0]}, {quoted[1]}, ... {quoted[-1]}"


def _unit(each: Described) -> str:
    return each.unit if each.type == "float64" else ", ".join(filter(None, (each.unit, each.type)))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
