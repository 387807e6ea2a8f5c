"""The generated part of docs/health.md: alarms, metrics, and the keys of `--json`, from the code."""

from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from msgspec import Struct

from scripts.health import facts
from scripts.health.metrics import ALARM, METRICS
from scripts.health.verdict import ALARMS

_STRUCTS: tuple[type[Struct], ...] = (
    facts.Health,
    facts.Process,
    facts.Feed,
    facts.Channel,
    facts.Journals,
    facts.WatcherLag,
    facts.Archive,
    facts.Compaction,
    facts.DiskUse,
    facts.Machine,
    facts.Alarm,
)


def page() -> str:
    """Tables of the alarms, the metrics and the keys."""
    alarms = [f"| `{name}` | {meaning} |" for name, meaning in ALARMS.items()]
    metrics = [
        f"| `{each.name}` | {each.kind} | {', '.join(f'`{label}`' for label in each.labels)} | {each.meaning} |"
        for each in (*METRICS, ALARM)
    ]
    head = ["### Alarms", "", "| alarm | when |", "|---|---|", *alarms]
    head += ["", "### Metrics", "", "| metric | kind | labels | meaning |", "|---|---|---|---|", *metrics]
    keys = ["", "### Keys of `--json`", "", "`level` is `ok`, `warning` or `critical`; `alarms` is a list of `Alarm`."]
    return "\n".join([*head, *keys, *(line for struct in _STRUCTS for line in _table(struct))])


def _table(struct: type[Struct]) -> Iterator[str]:
    said = " ".join((struct.__doc__ or "").split())
    beginning = "The other keys are those of `Health`" if struct is facts.Health else f"`{struct.__name__}`"
    yield from ("", f"{beginning}: {said[0].lower()}{said[1:]}", "", "| key | value | meaning |", "|---|---|---|")
    for name, hint in get_type_hints(struct, include_extras=True).items():
        value, meta = get_args(hint)
        yield f"| `{name}` | {_kind(value)} | {meta.description} |"


def _kind(value: Any) -> str:
    """What a key's value is, in words of JSON.

    >>> _kind(float | None), _kind(list[str]), _kind(Literal["a", "b"])
    ('number or null', 'list of text', 'text')
    """
    words = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "null"}
    if get_origin(value) is list:
        return f"list of {_kind(get_args(value)[0])}"
    if get_origin(value) is dict:
        return "mapping of text to text"
    if get_origin(value) is Literal:
        return "text"
    if isinstance(value, UnionType):
        return " or ".join(map(_kind, get_args(value)))
    return words.get(value) or f"`{value.__name__}`"
