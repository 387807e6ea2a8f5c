"""Where recordings are, for the tests that need them."""

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def recordings() -> Path:
    folder = Path(os.environ.get("DAEDALUS_TEST_DATA") or _ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder}; set DAEDALUS_TEST_DATA")
    return folder
