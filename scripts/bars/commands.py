"""`daedalus bars`: one table of what can be done with bars, each command in its own module."""

from scripts.lazy_commands import Command, lazy_app

COMMANDS: dict[str, Command] = {
    "build": Command("scripts.bars.build:build", "Build bars from the lake, or from any file of trades"),
    "list": Command("scripts.bars.list:list_sets", "List the bar sets of the lake"),
    "export": Command("scripts.bars.export:export", "Write bars of the lake to one Parquet, CSV or Arrow file"),
    "stats": Command("scripts.bars.stats:stats", "Compare bar sets: sizes, durations and how their returns behave"),
    "plot": Command("scripts.bars.plot:plot", "Draw prices with their bars, as PNG or HTML"),
    "rebuild": Command("scripts.bars.rebuild:rebuild", "Recompute the bars of the lake from a moment on"),
}

app = lazy_app("bars", COMMANDS, help="Build, list, export, compare, draw and rebuild bars.")
