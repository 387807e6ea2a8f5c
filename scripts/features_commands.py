"""`daedalus features`: one table of what can be done with features, each command in its own module."""

from scripts.lazy_commands import Command, lazy_app

COMMANDS: dict[str, Command] = {
    "list": Command("scripts.features_list:list_features", "List every feature: unit, formula, source"),
    "plot": Command("scripts.features_plot:plot", "Draw the book and its features, as PNG or HTML"),
}

app = lazy_app("features", COMMANDS, help="List what is computed of books and trades, and draw it.")
