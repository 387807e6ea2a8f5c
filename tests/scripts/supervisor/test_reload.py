"""Settings that change again while they are read anew."""

from contextlib import closing
from pathlib import Path

import pytest

from config.config import load_config
from scripts.supervisor import daemon


def test_a_file_that_breaks_after_it_was_found_good_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a Pi the look at the file takes ten seconds, in which somebody goes on writing."""
    file = tmp_path / "config.yaml"
    file.write_text(f"storage: {{paths: {{state_dir: {tmp_path}/state}}}}")
    settings = load_config(file, environment={})
    supervisor = daemon.Supervisor(settings, file)
    monkeypatch.setattr(daemon, "refused", lambda _: "")
    with closing(supervisor._ear):
        file.write_text("storage: {pathz: {}}")
        supervisor._reload()
        file.unlink()
        supervisor._reload()
    assert supervisor._settings is settings
