"""The page of exchanges names all of them, counts ccxt's as they are, and outlives another ccxt."""

import re

import ccxt.pro
import pytest

from ingestion.exchanges.catalog import native_exchanges
from scripts import exchanges_page


def test_every_native_exchange_and_every_table_of_it_is_named() -> None:
    page = exchanges_page.page()
    for name, exchange in native_exchanges().items():
        section = page.partition(f"### {exchange.profile.title}\n")[2].partition("\n### ")[0]
        assert f"`{name}`" in section
        for table in exchange.profile.channels:
            assert f"| {table} | " in section


def test_the_counts_are_those_of_the_list() -> None:
    page = exchanges_page.page()
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in page.partition("| variant of |")[2].splitlines()
        if line.startswith("| `")
    ]
    assert [row[0].strip("`") for row in rows] == list(ccxt.pro.exchanges)
    counts = re.findall(r"^\| (\w+) \| `watch\w+` \| (\d+) \| (\d+) \|$", page, re.MULTILINE)
    assert [name for name, *_ in counts] == ["trades", "ticker", "orderbook", "candles", "funding", "liquidations"]
    for column, (_, able, alone) in enumerate(counts, 1):
        assert sum(row[column] == "x" for row in rows) == int(able)
        assert sum(row[column] == "x" and not row[-1] for row in rows) == int(alone)
    assert {row[0]: row[-1] for row in rows}["`binanceus`"] == "binance"


def test_another_ccxt_than_the_locked_one_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    own = exchanges_page.page()
    monkeypatch.setattr(exchanges_page, "_locked", lambda: "0.0.0")
    assert exchanges_page.page() == own
