"""A kernel is compiled anew when another file that it goes by has changed, and only then."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core.errors import NumbaError

from etl.compiled import kernel

ROOT = Path(__file__).parents[2]
SOURCES = {
    "inner.py": "from etl.compiled import kernel\n@kernel()\ndef step(x):\n    return x + 1\n",
    "numbers.py": "SCALE = 10\n",
    "layout.py": "from typing import NamedTuple\nclass Pair(NamedTuple):\n    first: int\n    second: int\n",
    "outer.py": (
        "from etl.compiled import kernel\nfrom made import numbers\nfrom made.inner import step\n"
        "@kernel()\ndef told(pair):\n    return numbers.SCALE * step(pair.first)\n"
    ),
    "__init__.py": "",
}
FIRST = "from etl.compiled import at_first_compiling; at_first_compiling(lambda: print('compiling'));"
TOLD = "from made.outer import told; from made.layout import Pair; print(told(Pair(first=1, second=5)), told.stats)"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.mkdir()
    for name, text in SOURCES.items():
        (made / name).write_text(text)
    return made


def told(package: Path) -> tuple[int, bool]:
    """What the kernel gives in a process of its own, and whether it was compiled there."""
    value, _, stats = said(package).partition(" ")
    return int(value), "cache_hits=Counter()" in stats


def said(package: Path, *, before: str = "") -> str:
    path = os.pathsep.join([str(package.parent), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", before + TOLD]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_a_kernel_that_did_not_change_is_not_compiled_again(package: Path) -> None:
    assert told(package) == (20, True)
    assert told(package) == (20, False)


def test_the_first_compiling_of_a_process_is_told_once_and_none_is_not(package: Path) -> None:
    first, again = (said(package, before=FIRST) for _ in range(2))  # two kernels, one in the other
    assert [text.splitlines().count("compiling") for text in (first, again)] == [1, 0]


@pytest.mark.parametrize(
    ("file", "old", "new", "value"),
    [
        ("inner.py", "x + 1", "x + 2", 30),
        ("numbers.py", "10", "11", 22),
        ("layout.py", "first: int\n    second: int", "second: int\n    first: int", 20),
    ],
    ids=["a kernel that it calls", "a number", "the order of fields"],
)
def test_it_is_when_what_it_goes_by_did(package: Path, file: str, old: str, new: str, value: int) -> None:
    assert told(package) == (20, True)
    text = (package / file).read_text()
    assert old in text
    (package / file).write_text(text.replace(old, new))
    assert told(package) == (value, True)


def test_a_kernel_that_counts_no_arrays_may_not_give_one_away() -> None:
    @kernel(allocates=False)
    def part(values):  # type: ignore[no-untyped-def]
        return values[1:], 1.0

    @kernel(allocates=False)
    def fresh(values):  # type: ignore[no-untyped-def]
        return np.zeros(len(values)).sum()

    with pytest.raises(TypeError, match="returns an array: it cannot be allocates=False"):
        part(np.zeros(3))
    with pytest.raises(NumbaError):
        fresh(np.zeros(3))
