"""`daedalus query` on a narrow terminal: every value whole, or it is a wrong one."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.scripts.terminal import on_a_terminal

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path: Path) -> str:
    folder = tmp_path / "raw" / "ready" / "native" / "trades"
    folder.mkdir(parents=True)
    wide = {f"column_{number}": [f"value-{number:012}", "[red]x[/red]"] for number in range(30)}
    pl.DataFrame(wide).write_parquet(folder / "rows.parquet")
    path = tmp_path / "config.yaml"
    path.write_text(f'storage: {{paths: {{raw_dir: "{tmp_path}/raw", processed_dir: "{tmp_path}/processed"}}}}\n')
    return str(path)


def test_a_row_that_is_too_wide_becomes_a_block_of_lines(config: str) -> None:
    shown = on_a_terminal("query", "select * from trades", "-c", config, columns=80)
    assert max(map(len, shown.splitlines())) <= 80
    for number in range(30):
        assert f"column_{number:<2}  value-{number:012}" in shown
    assert shown.count("[red]x[/red]") == 30
    assert "row 2" in shown


def test_a_row_that_fits_is_a_line_of_a_table(config: str) -> None:
    shown = on_a_terminal("query", "select column_1, column_2 from trades", "-c", config, columns=80)
    assert "│ value-000000000001 │ value-000000000002 │" in shown
    assert "│ [red]x[/red]       │" in shown


def test_what_no_terminal_shows_is_not_cut(config: str) -> None:
    command = [sys.executable, "-m", "scripts.cli", "query", "select * from trades", "-c", config]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(f"value-{number:012}" in shown for number in range(30))


def test_rows_that_are_in_a_journal_alone_are_not_denied(tmp_path: Path) -> None:
    active = tmp_path / "raw" / "active"
    active.mkdir(parents=True)
    (active / "20260609T000000Z-aaaa_000000.journal").touch()
    path = tmp_path / "config.yaml"
    path.write_text(f'storage: {{paths: {{raw_dir: "{tmp_path}/raw", processed_dir: "{tmp_path}/processed"}}}}\n')
    command = [sys.executable, "-m", "scripts.cli", "query", "-c", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "in a journal until ingestion.segment_max_seconds" in done.stderr
