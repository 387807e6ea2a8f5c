"""Archives to synchronise with: a folder, and a bucket of a real server."""

from itertools import count
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from config.places import Archive
from storage.base import ObjectStore
from storage.factory import object_store
from tests.s3_servers import s3_place

_NUMBERS = count()


def opened(place: dict[str, object]) -> ObjectStore:
    return object_store(TypeAdapter(Archive).validate_python(place).options(), root=Path())


@pytest.fixture
def folder_store(tmp_path: Path) -> ObjectStore:
    """An empty archive in `archive` below the test's folder."""
    (tmp_path / "archive").mkdir()
    return opened({"type": "folder", "path": str(tmp_path / "archive")})


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    """Both kinds of archive, empty."""
    if request.param == "folder":
        found: ObjectStore = request.getfixturevalue("folder_store")
        return found
    return opened(s3_place(request.getfixturevalue("ministack"), prefix=f"archive/{next(_NUMBERS)}"))
