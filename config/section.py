"""What every section of the settings shares: strictness, and the few value types they are made of."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    Strict,
    model_validator,
)
from pydantic_core import PydanticCustomError

from shared.partitioning import stored_exchange, stored_symbol

T = TypeVar("T")

_SECRET_KEYS = {"apikey", "secret", "apisecret", "password", "passphrase", "privatekey", "token", "accesstoken"}
_CCXT_SYMBOL = re.compile(r"[^/\s]+/[^/\s]+")
_PRODUCT = re.compile(r"[A-Z0-9]+(-[A-Z0-9]+)+")
_FOLDER = re.compile(r"[A-Za-z0-9._-]+")


class Section(BaseModel):
    """One mapping of the settings file: frozen, no key it does not know, no value of another type."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        validate_default=True,  # a default may clash with what is set beside it
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, found: Any) -> Any:
        """A section whose keys are all commented out reads as null; it means the defaults."""
        return {} if found is None else found


class Number(float):
    """A float that still knows its text in the file, so that exact numbers lose no digit."""

    text: str

    @classmethod
    def of_text(cls, text: str, value: float) -> "Number":
        """`value` with the `text` it was written as."""
        number = cls(value)
        number.text = text
        return number


def refuse(expected: str) -> PydanticCustomError:
    """The error for a value that is not `expected`; the path and what was found are added by `problems`."""
    return PydanticCustomError("expected", "{expected}", {"expected": expected})


def _ccxt_symbol(found: str) -> str:
    if not _CCXT_SYMBOL.fullmatch(found) or not _storable(found):
        raise refuse("a ccxt symbol such as BTC/USD or BTC/USDT:USDT")
    return found


def _product(found: str) -> str:
    if not _PRODUCT.fullmatch(found):
        raise refuse("a Coinbase product such as BTC-USD")
    return found


def _storable(symbol: str) -> bool:
    try:
        return bool(stored_symbol(symbol))
    except ValueError:
        return False


def _stored_symbol(found: str) -> str:
    if not _storable(found):
        raise refuse("a symbol such as BTC-USD or BTC/USD")
    return stored_symbol(found)


def _stored_exchange(found: str) -> str:
    try:
        return stored_exchange(found)
    except ValueError:
        raise refuse("an exchange's name such as kraken") from None


def _folder(found: str) -> str:
    if not _FOLDER.fullmatch(found) or found in {".", ".."}:
        raise refuse("the name of one folder: letters, digits, '.', '_' and '-'")
    return found


def _directory(found: Path) -> Path:
    try:
        expanded = found.expanduser()
    except RuntimeError:
        raise refuse("a folder; `~name` must be a user of this machine") from None
    if "\0" in str(found) or found == Path():
        raise refuse("the path of a folder")
    return expanded


def _without_credentials(found: str) -> str:
    scheme, separator, rest = found.partition("://")
    if scheme not in {"ws", "wss", "http", "https"} or not separator or not rest:
        raise refuse("an address that begins with wss://, https://, ws:// or http://")
    if "@" in rest.partition("/")[0]:
        raise refuse("an address without a user or password in it")
    return found


def _of_schemes(*schemes: str) -> AfterValidator:
    def check(found: str) -> str:
        if found.partition("://")[0] not in schemes:
            raise refuse(f"an address that begins with {schemes[0]}:// or {schemes[1]}://")
        return found

    return AfterValidator(check)


def _without_secrets(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Free options reach logs and checkpoints, so a secret may not stand among them."""
    for key in _keys(found):
        if re.sub(r"[^a-z]", "", key.lower()) in _SECRET_KEYS:
            raise refuse(f"options without secrets (`{key}`): use the section's own key or the environment")
    return found


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _keys(inner)


def _each_once(found: tuple[T, ...]) -> tuple[T, ...]:
    twice = [item for index, item in enumerate(found) if item in found[:index]]
    if twice:
        raise refuse(f"each once, but {twice[0]!r} is listed twice")
    return found


ListOf: TypeAlias = Annotated[tuple[T, ...], Strict(False), AfterValidator(_each_once)]
CcxtSymbol: TypeAlias = Annotated[str, AfterValidator(_ccxt_symbol)]
Product: TypeAlias = Annotated[str, AfterValidator(_product)]
StoredSymbol: TypeAlias = Annotated[str, AfterValidator(_stored_symbol)]
StoredExchange: TypeAlias = Annotated[str, AfterValidator(_stored_exchange)]
Folder: TypeAlias = Annotated[str, AfterValidator(_folder)]
Directory: TypeAlias = Annotated[Path, Strict(False), AfterValidator(_directory)]
Address: TypeAlias = Annotated[str, AfterValidator(_without_credentials)]
WebSocketAddress: TypeAlias = Annotated[Address, _of_schemes("wss", "ws")]
RestAddress: TypeAlias = Annotated[Address, _of_schemes("https", "http")]
Options: TypeAlias = Annotated[Mapping[str, Any], AfterValidator(_without_secrets)]
Secret: TypeAlias = SecretStr | None
Legacy: TypeAlias = Annotated[
    Any,
    AfterValidator(lambda _: None),  # read, reported once, never kept
    Field(repr=False, exclude=True, json_schema_extra={"deprecated": True}),
]
