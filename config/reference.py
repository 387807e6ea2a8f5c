"""The settings tree as a flat list: what the documentation, the environment and error messages are made of."""

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

ANY_NAME = "<id>"
ANY_INDEX = "[]"
_KEY_CHARS = 60
_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    SecretStr: "text (secret)",
    Path: "path of a folder",
    Any: "anything",
}


@dataclass(frozen=True)
class Entry:
    """One key of the settings file."""

    path: tuple[str, ...]  # mapping names stand as `<id>`, list positions as `[]`
    info: FieldInfo
    others: tuple[FieldInfo, ...] = ()  # the same key in the other variants of its section

    @property
    def key(self) -> str:
        """The path as a person writes it.

        >>> Entry(("etl", "bars", "[]", "type"), FieldInfo()).key
        'etl.bars[].type'
        """
        return dotted(self.path)

    @property
    def sections(self) -> list[type[BaseModel]]:
        """The sections that may stand as this key's value; empty for a plain value."""
        return [model for suffix, model in _models(self.info.annotation) if not suffix]

    @property
    def is_plain(self) -> bool:
        """Whether the value is a value, not sections with keys of their own."""
        return not _models(self.info.annotation)

    @property
    def is_secret(self) -> bool:
        """Whether the value must never be shown."""
        return SecretStr in _flat(self.info.annotation)

    @property
    def is_legacy(self) -> bool:
        """Whether the key is of older files and does nothing."""
        extra = self.info.json_schema_extra
        return isinstance(extra, dict) and bool(extra.get("deprecated"))

    @property
    def kind(self) -> str:
        """What the value must be, in words."""
        infos = (self.info, *self.others)
        if all(get_origin(info.annotation) is Literal for info in infos):
            return f"one of {', '.join(word for info in infos for word in get_args(info.annotation))}"
        return kind(self.info.annotation, metadata=self.info.metadata)

    @property
    def description(self) -> str:
        """What the key is for, in a sentence or two; a section speaks through its own first line."""
        own = list(dict.fromkeys(info.description for info in (self.info, *self.others) if info.description))
        return " ".join(own or [(section.__doc__ or "").splitlines()[0] for section in self.sections])

    @property
    def default(self) -> str:
        """The default as it is written in a file; `required` where there is none."""
        return "required" if self.info.default is PydanticUndefined else written(self.info.default)


def dotted(path: tuple[str | int, ...]) -> str:
    """A path with dots between names and brackets around positions.

    >>> dotted(("etl", "bars", 2, "threshold"))
    'etl.bars[2].threshold'
    """
    parts = [f"[{part}]" if isinstance(part, int) else _printable(part) for part in path]
    return "".join(part if part.startswith("[") or not index else f".{part}" for index, part in enumerate(parts))


def written(value: Any) -> str:
    """A default as YAML shows it."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if value == "":
        return "''"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return f"[{', '.join(written(item) for item in value)}]"
    return "{}" if isinstance(value, Mapping) else str(value)


def entries(model: type[BaseModel]) -> Iterator[Entry]:
    """Every key below `model`, sections before what they hold; a key that variants share comes once."""
    found: dict[tuple[str, ...], Entry] = {}
    for entry in _entries(model, ()):
        first = found.get(entry.path)
        found[entry.path] = replace(first, others=(*first.others, entry.info)) if first else entry
    yield from found.values()


def kind(annotation: Any, *, metadata: list[Any] | tuple[Any, ...] = ()) -> str:
    """What a value of this type must be, in words.

    >>> from msgspec import Meta
    >>> kind(Annotated[int, Meta(ge=1, le=5)]), kind(tuple[Annotated[float, Meta(gt=0)], ...])
    ('whole number, 1 to 5', 'list of number, above 0')
    """
    annotation, metadata = _bare(annotation, tuple(metadata))
    arguments = [argument for argument in get_args(annotation) if argument not in {type(None), ...}]
    if _models(annotation):
        return "list of sections" if get_origin(annotation) is tuple else "section"
    if _is_union(annotation):
        words = " or ".join(dict.fromkeys(kind(argument) for argument in arguments))
        return words if "secret" in words else f"{words}, or null"
    if get_origin(annotation) is Literal:
        return arguments[0] if len(arguments) == 1 else f"one of {', '.join(arguments)}"
    if get_origin(annotation) is tuple:
        return f"list of {kind(arguments[0])}"
    if get_origin(annotation) is Mapping or isinstance(get_origin(annotation), type):
        return "mapping"
    return _WORDS.get(annotation, "text") + _bounds(metadata)


def _entries(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[Entry]:
    for name, info in model.model_fields.items():
        yield Entry((*path, name), info)
        for suffix, inner in _models(info.annotation):
            yield from _entries(inner, (*path, name, *suffix))


def _bounds(metadata: tuple[Any, ...]) -> str:
    """The limits that annotations of pydantic or msgspec set."""
    items = [item for part in metadata for item in (getattr(part, "metadata", None) or [part])]
    low, above, high, below = (
        next((limit for item in items if (limit := getattr(item, name, None)) is not None), None)
        for name in ("ge", "gt", "le", "lt")
    )
    if low is not None and high is not None:
        return f", {written(low)} to {written(high)}"
    told = (("above", above), ("at least", low), ("at most", high), ("below", below))
    return "".join(f", {word} {written(limit)}" for word, limit in told if limit is not None)


def _bare(annotation: Any, metadata: tuple[Any, ...] = ()) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return inner, (*metadata, *more)
    return annotation, metadata


def _printable(name: str) -> str:
    return name if name.isprintable() and len(name) <= _KEY_CHARS else repr(name[:_KEY_CHARS])


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in {Union, types.UnionType}


def _flat(annotation: Any) -> set[Any]:
    annotation, _ = _bare(annotation)
    return {part for item in get_args(annotation) for part in _flat(item)} if _is_union(annotation) else {annotation}


def _models(annotation: Any) -> list[tuple[tuple[str, ...], type[BaseModel]]]:
    """The sections a type holds, each with the step that leads into it (none, `<id>` or `[]`)."""
    annotation, _ = _bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [((), annotation)]
    arguments = get_args(annotation)
    if _is_union(annotation):
        return [found for argument in arguments for found in _models(argument)]
    if get_origin(annotation) is tuple:
        return [((ANY_INDEX, *suffix), model) for suffix, model in _models(arguments[0])]
    if len(arguments) == 2 and arguments[0] is str:
        return [((ANY_NAME, *suffix), model) for suffix, model in _models(arguments[1])]
    return []
