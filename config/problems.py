"""What is wrong with a settings file, in lines a person can act on, never showing a secret."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from config.reference import ANY_INDEX, ANY_NAME, Entry, dotted, entries, kind
from shared.errors import SettingsInvalid

_SHOWN_CHARS = 60
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a mapping",
}

Location = tuple[str | int, ...]


class SettingsRefused(SettingsInvalid):
    """A settings file with one problem or several; `line()` has one line for each."""

    def __init__(self, problems: Sequence[str], *, hint: str | None = None) -> None:
        super().__init__("; ".join(problems), hint=hint)
        self.problems = tuple(problems)

    def line(self) -> str:
        """One line per problem; the next step ends the only one, or follows the several."""
        lines = [" ".join(problem.split()) for problem in self.problems]
        return super().line() if len(lines) == 1 else "\n".join([*lines, self.hint])


def problems_of(error: ValidationError, *, file: Path, data: Any, tree: type[BaseModel]) -> list[str]:
    """One line per error: file, full key path, what was found, what was expected."""
    known = {entry.path: entry for entry in entries(tree)}
    lines = []
    for details in error.errors(include_url=False):
        location = _without_tags(details["loc"], data)
        entry = known.get(_pattern(location, known))
        lines.append(f"{file}: {_problem(dict(details), location=location, entry=entry, known=known)}")
    return lines


def suggestion(name: str, *, path: Location, known: Mapping[tuple[str, ...], Entry]) -> str:
    """A guess at what an unknown `name` under `path` was meant to be, as a clause; empty when there is none."""
    parent = _pattern(path, known)
    siblings = [key[-1] for key in known if key[:-1] == parent]
    close = get_close_matches(name, siblings, n=1, cutoff=0.6)
    if close:
        return f", did you mean `{close[0]}`?"
    elsewhere = [entry.key for key, entry in known.items() if key[-1] == name and not entry.is_legacy]
    if elsewhere:
        return f", did you mean `{elsewhere[0]}`?"
    return f", expected one of {', '.join(siblings)}" if siblings and siblings[0] != ANY_NAME else ""


def quoted(found: Any) -> str:
    """A plain value as an error shows it, cut where it is long."""
    if found is None or isinstance(found, bool):
        return {None: "nothing", True: "true", False: "false"}[found]
    if isinstance(found, str):
        return f"the text {found[:_SHOWN_CHARS]!r}" + ("..." if len(found) > _SHOWN_CHARS else "")
    return str(getattr(found, "text", found))[:_SHOWN_CHARS]


def _problem(
    details: dict[str, Any], *, location: Location, entry: Entry | None, known: Mapping[tuple[str, ...], Entry]
) -> str:
    key, found = dotted(location), details["input"]
    match details["type"]:
        case "extra_forbidden":
            if ":" in str(location[-1]):  # what stands behind the colon may be a secret
                return f"{dotted(_before_colon(location))}: no space after the colon"
            if entry:  # known, but to another variant of this section
                return f"{key}: unknown key for `type: {details['loc'][-2]}`"
            return f"{key}: unknown key{suggestion(str(location[-1]), path=location[:-1], known=known)}"
        case "invalid_key":
            return f"{key}: found {_kind_of(details['loc'][-1])} as a key, expected text (quote it)"
        case "missing" | "union_tag_not_found":
            missing = "type" if details["type"] == "union_tag_not_found" else ""
            wanted = known.get((*_pattern(location, known), missing)) if missing else entry
            path = f"{key}.{missing}" if missing else key
            return f"{path}: found nothing, expected {_tags(details) or (wanted.kind if wanted else 'a value')}"
        case "union_tag_invalid":
            return f"{key}.type: found {quoted(found['type'])}, expected {_tags(details)}"
    if location and location[-1] == "[key]":
        if isinstance(found, str):  # one of the names that this mapping takes, else it would not be refused
            wanted_keys = _expected(details, None, location)
            return f"{dotted(location[:-2])}: found {quoted(found)} as a key, expected {wanted_keys}"
        return f"{dotted(location[:-1])}: found {_kind_of(found)} as a key, expected text (quote it)"
    if entry and (inner := _kind_within(entry, location)) and details["type"] != "expected":
        shown = _kind_of(found) if isinstance(found, Mapping | list) else quoted(found)
        return f"{key}: found {shown}, expected {inner}"
    return f"{key or 'the file'}: found {_shown(found, entry)}, expected {_expected(details, entry, location)}"


def _kind_within(entry: Entry, location: Location) -> str | None:
    """What a value of a mapping must be where all are numbers or lists of them: such a mapping holds no secrets."""
    is_within = entry.kind == "mapping" and len(location) > len(entry.path)
    kinds = get_args(entry.info.annotation)
    inner = kind(kinds[1]) if is_within and len(kinds) == 2 else "text"
    return None if inner == "text" else inner


def _before_colon(location: Location) -> Location:
    return (*location[:-1], str(location[-1]).partition(":")[0])


def _expected(details: dict[str, Any], entry: Entry | None, location: Location) -> str:
    context = details.get("ctx", {})
    if details["type"] == "expected":
        return str(context["expected"])
    if details["type"] in {"model_type", "model_attributes_type", "dict_type", "mapping_type"}:
        return "a mapping of keys"
    if details["type"] == "literal_error":
        return f"one of {str(context['expected']).replace(chr(39), '')}".replace(" or ", ", ")
    if details["type"] == "string_type" and entry and dotted(entry.path) != dotted(location):
        return "text"  # within a list or a free mapping
    return entry.kind if entry else str(details["msg"])


def _tags(details: dict[str, Any]) -> str:
    tags = details.get("ctx", {}).get("expected_tags", "")
    return f"one of {tags}".replace("'", "") if tags else ""


def _shown(found: Any, entry: Entry | None) -> str:
    """The value where it is plain and no secret, else only its kind."""
    if entry is None or entry.is_secret or not entry.is_plain or isinstance(found, Mapping | list | tuple):
        return _kind_of(found)
    if entry.kind == "mapping" or _may_hold_credentials(found):
        return f"{_kind_of(found)} (not shown)"
    return quoted(found)


def _may_hold_credentials(found: Any) -> bool:
    return isinstance(found, str) and "@" in found


def _kind_of(found: Any) -> str:
    if found is None:
        return "nothing"
    return next((words for kind, words in _KINDS.items() if isinstance(found, kind)), type(found).__name__)


def _without_tags(location: Location, data: Any) -> Location:
    """`location` without the variant names that pydantic puts between a section and its key."""
    kept: list[str | int] = []
    node = data
    for part in location:
        if isinstance(node, Mapping) and part not in node and part == node.get("type", "local"):
            continue
        kept.append(part if isinstance(node, list) else str(part))
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            node = None
    return tuple(kept)


def _pattern(location: Location, known: Mapping[tuple[str, ...], Entry]) -> tuple[str, ...]:
    """The path in the tree of a place in a file; positions in a list of plain values fall away."""
    pattern: tuple[str, ...] = ()
    parents = {key[:depth] for key in known for depth in range(len(key) + 1)}
    for part in location:
        for step in (ANY_INDEX,) if isinstance(part, int) else (part, ANY_NAME):
            if (*pattern, step) in parents:
                pattern = (*pattern, step)
                break
        else:
            if not isinstance(part, int):
                # A key inside a free mapping belongs to the mapping's own entry.
                return pattern if pattern in known and known[pattern].kind == "mapping" else (*pattern, part)
    return pattern
