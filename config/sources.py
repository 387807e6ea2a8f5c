"""Where settings come from: one YAML file, and the environment for secrets alone."""

import errno
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from config.problems import SettingsRefused, suggestion
from config.reference import ANY_NAME, Entry, entries
from config.section import Number

PREFIX = "DAEDALUS_"
EXAMPLE = Path(__file__).with_name("config.examples.yaml")
_BYTES_MAX = 1_048_576
_HINT_YAML = "Correct the line, then try `daedalus config check`"


def read_mapping(file: Path) -> dict[Any, Any]:
    """The top level of a settings file. Raises: SettingsRefused with one line that says what to do."""
    text = _text(file)
    try:
        data = _data(text)
    except yaml.MarkedYAMLError as error:
        raise SettingsRefused([f"{file}{_place(error)}: not valid YAML: {_reason(error)}"], hint=_HINT_YAML) from None
    except yaml.YAMLError:
        raise SettingsRefused([f"{file}: holds characters that YAML does not allow"], hint=_HINT_YAML) from None
    except (ValueError, RecursionError):  # a date or number that is none, or absurd nesting
        raise SettingsRefused([f"{file}: holds a value that YAML cannot read"], hint=_HINT_YAML) from None
    if data is None:
        raise SettingsRefused([f"{file}: is empty"], hint=_copy_hint(file))
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else "one value"
        raise SettingsRefused([f"{file}: found {kind} at the top level, expected keys such as `ingestion:`"])
    return data


def with_environment(
    data: dict[Any, Any], environment: Mapping[str, str], *, tree: type[BaseModel]
) -> tuple[dict[Any, Any], list[str]]:
    """`data` with the secrets that the environment gives, and a notice for each that fits no section of it.

    Names are the key's path in capitals with two underscores for each dot. Raises: SettingsRefused for a name that
    is no secret's: everything else belongs into the file, where it can be seen.
    """
    known = {entry.path: entry for entry in entries(tree)}
    notices, problems = [], []
    for name, value in sorted(environment.items()):
        steps = tuple(name.removeprefix(PREFIX).lower().split("__"))
        if not name.startswith(PREFIX) or len(steps) < 2 or not value:
            continue
        entry = _entry(steps, known)
        if entry is None or not entry.is_secret:
            clue = "" if entry else suggestion(steps[-1], path=steps[:-1], known=known)
            problems.append(f"environment {name}: no secret of that name{clue or _where(entry)}")
        elif not _has_place(steps[:-1], entry, data):
            notices.append(f"environment {name} is ignored: the settings file has no section for it")
        else:
            data = _replaced(data, steps, value)
    if problems:
        raise SettingsRefused(
            problems, hint="Only secrets are read from the environment; unset it, or correct its name"
        )
    return data, notices


def secrets_in(data: Any, *, tree: type[BaseModel]) -> bool:
    """Whether a settings file's own text holds a secret."""
    names = {entry.path[-1] for entry in entries(tree) if entry.is_secret}
    if isinstance(data, Mapping):
        return any((key in names and value) or secrets_in(value, tree=tree) for key, value in data.items())
    return isinstance(data, list) and any(secrets_in(value, tree=tree) for value in data)


def value_of(text: str) -> Any:
    """What a text would mean as a value in a settings file; text that is no YAML means itself."""
    try:
        return _data(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


class _Loader(yaml.SafeLoader):
    """Plain YAML that refuses a key written twice and remembers the text of numbers."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping; the second of two equal keys is an error, for YAML would silently take it."""
        seen = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else id(key)
            if name in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(problem="a key stands twice in one section", problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


def _number(loader: _Loader, node: yaml.ScalarNode) -> Number:
    return Number.of_text(str(node.value), loader.construct_yaml_float(node))


_Loader.add_constructor("tag:yaml.org,2002:float", _number)


def _data(text: str) -> Any:
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(_BYTES_MAX + 1)
    except FileNotFoundError:
        raise SettingsRefused([f"{file}: there is no such file"], hint=_copy_hint(file)) from None
    except IsADirectoryError:
        raise SettingsRefused([f"{file}: is a folder"], hint="Name the file itself with --config") from None
    except PermissionError:
        raise SettingsRefused(
            [f"{file}: may not be read"], hint=f"Try `chmod u+r {file}`, or start as its owner"
        ) from None
    except OSError as error:
        reason = errno.errorcode.get(error.errno or 0, "error")
        raise SettingsRefused([f"{file}: cannot be read ({reason})"], hint="Name another with --config") from None
    if len(content) > _BYTES_MAX:
        raise SettingsRefused([f"{file}: is larger than 1 MB"], hint="Name the settings file with --config")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SettingsRefused([f"{file} line {line}: is not UTF-8 text"], hint="Save the file as UTF-8") from None


def _place(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _reason(error: yaml.MarkedYAMLError) -> str:
    """The parser's own reason without what it quotes from the file, which may be a secret."""
    return re.sub(r"'[^']{3,}'|\"[^\"]{3,}\"", "...", error.problem or "cannot be parsed")


def _copy_hint(file: Path) -> str:
    try:
        example = EXAMPLE.relative_to(Path.cwd())
    except ValueError:
        example = EXAMPLE
    return f"Try `cp {example} {file}` and edit it, or name another file with --config"


def _entry(steps: tuple[str, ...], known: Mapping[tuple[str, ...], Entry]) -> Entry | None:
    return next(
        (
            entry
            for path, entry in known.items()
            if len(path) == len(steps)
            and all(part == ANY_NAME or part.lower() == step for part, step in zip(path, steps, strict=True))
        ),
        None,
    )


def _where(entry: Entry | None) -> str:
    return f", `{entry.key}` is set in the file" if entry else ""


def _has_place(steps: tuple[str, ...], entry: Entry, data: Any) -> bool:
    """Whether the file has the named exchange, or the kind of storage, that the secret belongs to."""
    for part, step in zip(entry.path, steps, strict=False):
        if part == ANY_NAME and not (isinstance(data, Mapping) and step in data):
            return False
        data = data.get(step) if isinstance(data, Mapping) else None
    return entry.path[0] != "storage" or (isinstance(data, Mapping) and data.get("type") == "s3")


def _replaced(data: Any, steps: tuple[str, ...], value: str) -> Any:
    """`data` with `value` at `steps`; what is no section stays, so that it is reported as the mistake it is."""
    if not steps:
        return value
    if data is not None and not isinstance(data, Mapping):
        return data
    section = data or {}
    return {**section, steps[0]: _replaced(section.get(steps[0]), steps[1:], value)}
