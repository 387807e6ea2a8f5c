"""The reference page of exchanges: what each can stream, and what its protocol lets us prove."""

import importlib
import re
from pathlib import Path
from typing import Any

from ingestion.collectors.ccxt_options import METHODS
from ingestion.exchanges.catalog import native_exchanges
from ingestion.exchanges.protocol import Channel, Exchange, Profile
from shared.exchange_facts import facts_of
from shared.rows import ROW_TYPES

_ROOT = Path(__file__).resolve().parents[1]
_FILE = _ROOT / "docs/exchanges.md"
_CCXT_HEADING = "## Through ccxt"
_END = "\n\n<!-- end of the generated part"
_NOT_STREAMED = ("instruments", "frames", "gaps", "rejects")  # every exchange has them


def page() -> str:
    """The matrix of native exchanges, a section for each, and what ccxt adds."""
    natives = native_exchanges()
    sections = [_section(exchange) for exchange in natives.values()]
    return "\n\n".join([_matrix(natives), *sections, _ccxt()])


def _matrix(natives: dict[str, type[Exchange]]) -> str:
    tables = [table for table in ROW_TYPES if table not in _NOT_STREAMED]
    lines = ["## Native exchanges", "", f"| in the lake | {' | '.join(tables)} |", "|---" * (len(tables) + 1) + "|"]
    for name, exchange in natives.items():
        channels = exchange.profile.channels
        cells = [_proof(channels[table]) if table in channels else "" for table in tables]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _proof(channel: Channel) -> str:
    return ", ".join(channel.guarantees)


def _section(exchange: type[Exchange]) -> str:
    profile, facts = exchange.profile, facts_of(exchange.profile.name)
    lines = [
        f"### {profile.title}",
        "",
        f"`{profile.name}`: `{profile.ws_url}`, REST `{profile.rest_url}`. {profile.notes}".rstrip(),
        "",
        "| table | channel | proof of completeness | note |",
        "|---|---|---|---|",
    ]
    for table, channel in profile.channels.items():
        lines.append(f"| {table} | {_cell(channel.name)} | {_proof(channel)} | {_cell(channel.note)} |")
    lines += ["", *(f"- {each}" for each in _limits(profile))]
    side = {"taker": "the taker's side", "maker": "the maker's side", "unknown": "nobody knows whose side"}
    ids = {"contiguous": "count by one per symbol: a jump is a loss", "unordered": "prove nothing"}
    lines += [
        f"- Trades: the exchange's `side` is {side[facts.side_names]}; ids {ids[facts.trade_ids]} ({facts.source}).",
        f"- Source: {profile.source}.",
    ]
    return "\n".join(lines)


def _limits(profile: Profile) -> list[str]:
    limits = profile.limits
    tighter = "".join(f", {count} of {table}" for table, count in limits.streams_of_table.items())
    life = f"; cut by the exchange after {limits.lifetime_s / 3600:g} h" if limits.lifetime_s else ""
    ping = f"; our ping each {profile.ping_every_s:g} s" if profile.ping else ""
    return [
        f"A connection: {limits.streams_per_connection} streams{tighter}{life}. Symbols per message: "
        f"{limits.symbols_per_message}. At most {limits.messages_per_s:g} messages/s and "
        f"{limits.connections_per_minute:g} connections/min; REST weight {limits.rest_weight_per_minute:g}/min.",
        f"Heartbeat: something comes within {profile.silence_timeout_s:g} s, or it is taken for dead{ping}.",
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _ccxt() -> str:
    """What ccxt streams, counted; with another ccxt than the locked one installed, what was counted before."""
    ccxt = importlib.import_module("ccxt.pro")
    version = importlib.import_module("ccxt").__version__
    if version != _locked():
        standing = _FILE.read_text(encoding="utf-8").partition(_CCXT_HEADING)
        return standing[1] + standing[2].partition(_END)[0]
    objects = {name: getattr(ccxt, name)() for name in ccxt.exchanges}
    derived = {name: found for name, each in objects.items() if (found := _derived_from(type(each), ccxt))}
    flags = {table: method.flag for table, method in METHODS.items()}
    lines = [
        _CCXT_HEADING,
        "",
        f"ccxt {version} lists **{len(objects)}** exchanges with WebSockets. {len(derived)} of them are variants of "
        "another (the same code at another address), counted here as exchanges of their own. What ccxt says that it "
        "streams of them:",
        "",
        "| table | ccxt's method | exchanges | without variants |",
        "|---|---|---|---|",
    ]
    for table, flag in flags.items():
        able = [name for name, each in objects.items() if each.has.get(flag)]
        alone = sum(name not in derived for name in able)
        lines.append(f"| {table} | `{flag}` | {len(able)} | {alone} |")
    blind = [f"`{name}`" for name, each in objects.items() if not each.has.get("fetchTrades")]
    lines += [
        "",
        f"No exchange streams level 2 or open interest through ccxt. A dead stream cannot be told from a quiet market "
        f"on {', '.join(blind)}: ccxt has no `fetchTrades` for them.",
        "",
        f"| id | {' | '.join(flags)} | variant of |",
        "|---" * (len(flags) + 2) + "|",
    ]
    for name, each in objects.items():
        cells = ["x" if each.has.get(flag) else "" for flag in flags.values()]
        lines.append(f"| `{name}` | {' | '.join(cells)} | {derived.get(name, '')} |")
    return "\n".join(lines)


def _derived_from(exchange: type[Any], ccxt: Any) -> str | None:
    """The listed exchange whose class this one extends."""
    parents = (parent for parent in exchange.__mro__[1:] if parent.__module__.startswith("ccxt.pro."))
    return next((parent.__name__ for parent in parents if parent.__name__ in ccxt.exchanges), None)


def _locked() -> str:
    """The version of ccxt that `requirements.txt` names."""
    found = re.search(r"^ccxt==(\S+)", (_ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else ""
