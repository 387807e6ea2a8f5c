"""`daedalus features`: one table of what can be done with features, each command in its own module."""

from scripts.lazy_commands import Command, lazy_app

COMMANDS: dict[str, Command] = {
    "list": Command("scripts.features.list:list_features", "List every feature: unit, formula, source"),
    "orderbook": Command("scripts.features.build:orderbook", "Make the features of captured order books"),
    "trades": Command("scripts.features.build:trades", "Make the features of trades, of the lake or a file"),
    "ticker": Command("scripts.features.build:ticker", "Make the features of captured tickers"),
    "plot": Command("scripts.features.plot:plot", "Draw the book and its features, as PNG or HTML"),
}

app = lazy_app("features", COMMANDS, help="Features of books, trades and tickers: list them, make them, draw them.")
