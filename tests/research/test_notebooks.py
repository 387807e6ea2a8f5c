"""The notebooks run from top to bottom over a small lake of the local exchange, and draw something.

Their cells are plain Python, so that no kernel is needed here; `make notebooks` runs them in one and keeps its outputs.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from research.small_lake import small_lake

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "research").glob("*.ipynb"))
BYTES_MAX = 600_000


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "lake"
    small_lake(folder, trades=2500)
    return folder


def test_there_are_the_notebooks_that_are_told_of() -> None:
    told = (ROOT / "research" / "README.md").read_text()
    assert [path.name for path in NOTEBOOKS] == ["01_orderbook_feature_analysis.ipynb", "02_bars.ipynb"]
    assert all(f"]({path.name})" in told for path in NOTEBOOKS)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs_in_a_fresh_process(notebook: Path, lake: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "tests.research.run_notebook", str(notebook), str(tmp_path)]
    environment = os.environ | {"DAEDALUS_LAKE": str(lake), "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    pictures = sorted(tmp_path.glob("*.png"))
    assert len(pictures) >= 4
    for picture in pictures:
        with Image.open(picture) as image:
            colours = image.convert("RGB").getcolors(1 << 24)
        assert colours is not None
        assert len(colours) > 100, picture.name


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_kept_is_one_run_from_top_to_bottom_and_small(notebook: Path) -> None:
    text = notebook.read_text(encoding="utf-8")
    assert len(text) < BYTES_MAX
    kept = json.loads(text)
    assert (kept["nbformat"], kept["metadata"]["kernelspec"]["name"]) == (4, "python3")
    cells = [cell for cell in kept["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"display_data", "execute_result", "stream"}
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4
