"""The reference page of the bronze tables, made from the row types."""

import inspect
import re

import pyarrow as pa

from shared.rows import Row
from shared.tables import COMMON, Table, tables

_COMMENT = re.compile(r"^    (\w+): .*?  # (.+)$", re.MULTILINE)
_ORIGINS = {
    "capture_ts": "wall clock at receipt, before anything was parsed",
    "capture_mono_ns": "monotonic clock at receipt; comparable within one boot",
    "collected_at": "`capture_ts` in milliseconds",
    "epoch": "the collector run, `YYYYMMDDTHHMMSSZ-xxxx`",
    "seq": "running count of the stream in its epoch; a hole is a loss, and has a gap row",
    "origin": "ws, rest or csv",
    "exchange": "the exchange's name in the lake",
    "symbol": "the symbol's name in the lake, as BTC-USD or BTC-USDT_USDT",
    "timestamp": "when the exchange says it happened",
    "year": "of `capture_ts`, for rest and csv of `timestamp`; UTC, as in the path",
    "month": "as year",
    "day": "as year",
    "hour": "as year",
}


def page() -> str:
    """What every table has, then a table of columns for each."""
    common = next(iter(tables()))
    parts = ["### Every table", "", *_rows(common, list(COMMON), _ORIGINS)]
    for each in tables():
        own = [name for name in each.ready_schema.names if name not in COMMON]
        said = (inspect.getdoc(each.row_type) or "").split("\n")[0]
        parts += ["", f"### `{each.name}`", "", said, "", *_rows(each, own, _comments(each.row_type))]
    return "\n".join(parts)


def _rows(table: Table, names: list[str], meanings: dict[str, str]) -> list[str]:
    lines = ["| column | type | null | unit | meaning |", "|---|---|---|---|---|"]
    for name in names:
        field = table.ready_schema.field(name)
        unit = (field.metadata or {}).get(b"unit", b"").decode()
        null = "yes" if field.nullable else ""
        meaning = meanings.get(name, "").replace("|", "\\|")
        lines.append(f"| `{name}` | {_type(field.type)} | {null} | {unit} | {meaning} |")
    return lines


def _type(kind: pa.DataType) -> str:
    return str(kind).replace(" not null", "")


def _comments(row_type: type[Row]) -> dict[str, str]:
    """What stands behind each field in the source: the one place where a column is explained."""
    return dict(_COMMENT.findall(inspect.getsource(row_type)))
