"""The reference part of the page on bars, made from the builders: types, parameters, columns."""

import inspect
import re

import polars as pl

from etl.bars import BAR_SCHEMA, bar_types, schema
from etl.bars.adaptation import Tuning
from etl.bars.builder import BuilderOptions
from scripts.bar_sets import parameters_of, required_of

_COMMENT = re.compile(r'^ +"?(\w+)"?: .*?  # (.+)$', re.MULTILINE)
_QUOTE, _BASE = "quote", "base"


def page() -> str:
    """Tables of the types with their parameters, of what each parameter is, and of the columns of bars."""
    return "\n".join(
        ["### Types and parameters", "", *_types(), "", *_parameters(), "", "### Columns", "", *_columns()]
    )


def _types() -> list[str]:
    lines = ["| type | short | must be given | may be given |", "|---|---|---|---|"]
    for kind, cls in bar_types().items():
        required = required_of(kind)
        free = [name for name in parameters_of(kind) if name not in required]
        lines.append(f"| `{kind}` | {_code(cls.alias)} | {_listed(required)} | {_listed(free)} |")
    return lines


def _parameters() -> list[str]:
    """Each parameter once for every meaning it has, in the words of the builders."""
    meanings: dict[tuple[str, str], list[str]] = {}
    for kind, cls in bar_types().items():
        said = _comments(Tuning) | _comments(BuilderOptions) | _arguments(cls)
        for name in parameters_of(kind):
            meanings.setdefault((name, said.get(name, "")), []).append(kind)
    lines = ["| parameter | of | meaning |", "|---|---|---|"]
    for (name, meaning), kinds in meanings.items():
        whom = "all" if len(kinds) == len(bar_types()) else ", ".join(_families(kinds))
        lines.append(f"| `{name}` | {whom} | {meaning.replace('|', chr(92) + '|')} |")
    return lines


def _families(kinds: list[str]) -> list[str]:
    """The kinds, three of one family as the family: they never take different parameters."""
    return list(dict.fromkeys(kind.rpartition("_")[2] for kind in kinds))


def _columns() -> list[str]:
    meanings = dict(_COMMENT.findall(inspect.getsource(schema)))
    lines = ["| column | type | unit | meaning |", "|---|---|---|---|"]
    for name, dtype in BAR_SCHEMA.items():
        meaning = meanings.get(name, "").replace("|", "\\|")
        lines.append(f"| `{name}` | {_type(dtype)} | {_unit(name)} | {meaning} |")
    return lines


def _arguments(cls: type) -> dict[str, str]:
    """What the docstrings of a class and those it is made from say of its parameters."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        _, _, block = (inspect.getdoc(each) or "").partition("Args:\n")
        for name, text in re.findall(r"^    (\w+): ((?:.+\n?)(?:^     +.+\n?)*)", block, re.MULTILINE):
            found[name] = " ".join(text.split())
    return found


def _comments(options: type) -> dict[str, str]:
    return dict(_COMMENT.findall(inspect.getsource(options)))


def _type(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Datetime):
        return "time, us UTC"
    return f"decimal({dtype.precision}, {dtype.scale})" if isinstance(dtype, pl.Decimal) else str(dtype).lower()


def _unit(name: str) -> str:
    if "dollar_volume" in name:
        return _QUOTE
    if "volume" in name:
        return _BASE
    if name.endswith("_us"):
        return "us"
    if name.endswith("_count") or name.startswith("n_"):
        return "trades"
    if name in {"open", "high", "low", "close", "vwap"}:
        return "quote per base"
    by_type = {"threshold", "theta", "theta_buy", "theta_sell", "overshoot", "expected_imbalance", "noise_floor"}
    return "ticks, base or quote" if name in by_type | {"v_plus", "v_minus"} else ""


def _listed(names: list[str]) -> str:
    return ", ".join(map(_code, names))


def _code(name: str) -> str:
    return f"`{name}`" if name else ""
