"""Settings that change again while they are read anew."""

from contextlib import closing
from pathlib import Path

import pytest

from config.config import load_config
from scripts.supervisor import daemon

GOOD = "supervisor: {{children: []}}\nhealth: {{metrics_address: ''}}\nstorage: {{paths: {{state_dir: {}/state}}}}\n"


class Judging:
    """A look at a file that never ends; on a Pi it takes ten seconds, in which somebody goes on writing."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def problem(self) -> None:
        return None

    def end(self) -> None:
        pass


def test_a_file_that_breaks_while_it_is_judged_changes_nothing_of_what_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(GOOD.format(tmp_path))
    settings = load_config(file, environment={})
    monkeypatch.setattr(daemon, "Check", Judging)
    supervisor = daemon.Supervisor(settings, file)
    with closing(supervisor._ear):
        file.write_text(GOOD.format(tmp_path) + "sync: {interval_s: 7}\n")
        supervisor._begin_to_reload()
        assert supervisor._new is not None
        file.write_text("storage: {pathz: {}}")
        supervisor._take_new(supervisor._new[0], "")
        supervisor._health.stop()
        assert supervisor._settings.sync.interval_s == 7
        for _ in range(2):  # broken, then gone
            supervisor._begin_to_reload()
            assert supervisor._new is None
            file.unlink(missing_ok=True)
    assert supervisor._settings.sync.interval_s == 7
