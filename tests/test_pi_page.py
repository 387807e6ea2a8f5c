"""The page on the Pi: its settings load, and every command and option of ours that it names is there."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from config.config import load_config
from scripts.cli import app

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "raspberry-pi.md").read_text()
UsageError: type[Exception] = typer.BadParameter.__base__  # which Typer does not export
SHELL = [block.replace("\\\n", " ") for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)]
SETTINGS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
PROSE = re.sub(r"^```.*?^```$", "", PAGE, flags=re.DOTALL | re.MULTILINE)
OURS = re.compile(r"(?<![\w.:=/-])(?<!-u )(?:\S*bin/)?daedalus (?!daedalus)([a-z][^;&|]*)")
"""A command of ours in a shell; `-u daedalus` is its user, `/srv/daedalus` a folder, `restart daedalus` a unit."""


def commands() -> list[str]:
    lines = [line for block in SHELL for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", PROSE)
    return sorted({found.strip() for line in lines for found in OURS.findall(line)})


def refusal(words: list[str]) -> str:
    """Why `daedalus` would not take these words; nothing is run."""
    name, command, context = "daedalus", get_command(app), None
    try:
        while hasattr(command, "resolve_command"):
            context = command.context_class(command, info_name=name, parent=context)
            name, command, words = command.resolve_command(context, words)
        command.make_context(name, words, parent=context)
    except UsageError as error:
        return error.format_message()
    return ""


def test_the_page_names_commands() -> None:
    assert {line.split()[0] for line in commands()} >= {
        "config",
        "demo",
        "ingest",
        "gaps",
        "check",
        "status",
        "service",
        "sync",
    }


@pytest.mark.parametrize("line", commands())
def test_every_command_and_option_is_there(line: str) -> None:
    assert refusal(shlex.split(line, comments=True)) == ""


@pytest.mark.parametrize("line", ["nothing", "check --nothing", "config chekc", "check -c", "demo --seconds many"])
def test_what_is_not_there_is_found_out(line: str) -> None:
    assert refusal(shlex.split(line)) != ""


@pytest.mark.parametrize("text", SETTINGS, ids=range(len(SETTINGS)))
def test_the_settings_load(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    assert load_config(file, environment={}).notices == ()


def test_its_links_lead_somewhere() -> None:
    titles = re.findall(r"^#+ (.+)$", PROSE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", PAGE)
    assert [file for file, _ in links if file and not (DOCS / file).exists()] == []
    assert [anchor for file, anchor in links if not file and anchor not in anchors] == []
