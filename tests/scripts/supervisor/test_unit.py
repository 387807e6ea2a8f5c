"""The unit that is installed: systemd takes it, it is as hardened as the page says, and names this machine's places."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from config.alongside import Supervisor
from scripts.service import _python
from scripts.supervisor.unit import TEMPLATE, Place, unit_text
from tests.exchange_process import ROOT

STANDARD = Place(
    user="daedalus",
    group="daedalus",
    python=Path("/opt/daedalus/current/.venv/bin/python"),
    config=Path("/etc/daedalus/config.yaml"),
    folders=[Path("/srv/daedalus")],
    working_folder=Path("/"),
)
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (apt-get install systemd)"
)


def rendered(place: Place = STANDARD, *, of_user: bool = False, section: Supervisor | None = None) -> str:
    return unit_text(TEMPLATE.read_text(), place, section or Supervisor(), of_user=of_user)


def values(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def test_the_file_is_what_the_standard_places_give() -> None:
    """But for `env`, by which the file can be verified where nothing is installed."""
    assert rendered() == TEMPLATE.read_text().replace("/usr/bin/env ", "")


def test_this_machines_values_are_in_it() -> None:
    place = replace(
        STANDARD,
        user="jo",
        group="staff",
        python=Path("/home/jo/my venv/bin/python"),
        config=Path("/home/jo/100%/$x.yaml"),
        folders=[Path("/home/jo/lake"), Path('/mnt/"quoted" disk')],
        working_folder=Path("/home/jo/my work"),
    )
    found = values(rendered(place, section=Supervisor(stop_timeout_s=10.0, stale_after_s=600.0)))
    assert (
        found["ExecStart"] == '"/home/jo/my venv/bin/python" -m scripts.daedalus_supervisor -c /home/jo/100%%/$$x.yaml'
    )
    assert found["ReadWritePaths"] == found["RequiresMountsFor"] == '/home/jo/lake "/mnt/\\"quoted\\" disk"'
    assert found["WorkingDirectory"] == "/home/jo/my work"
    assert (found["User"], found["Group"], found["ProtectHome"]) == ("jo", "staff", "read-only")
    assert (found["TimeoutStopSec"], found["WatchdogSec"]) == ("55", "9000")


def test_a_users_own_service_asks_for_nothing_that_needs_rights() -> None:
    found = values(rendered(of_user=True))
    assert not {"User", "Group", "CapabilityBoundingSet", "ProtectSystem", "PrivateTmp", "After"} & set(found)
    assert found["WantedBy"] == "default.target"
    assert found["NoNewPrivileges"] == "yes"
    assert "# Without its disk" not in rendered(of_user=True)


def test_a_path_that_a_unit_cannot_name_is_refused() -> None:
    with pytest.raises(ValueError, match="line break"):
        rendered(replace(STANDARD, config=Path("/etc/x\nExecStartPre=/bin/evil")))


@needs_systemd
@pytest.mark.parametrize("of_user", [False, True], ids=["system", "user"])
def test_systemd_takes_it(tmp_path: Path, *, of_user: bool) -> None:
    place = replace(STANDARD, python=Path(sys.executable), folders=[tmp_path, tmp_path / "with space"])
    for name, text in (("daedalus.service", rendered(place, of_user=of_user)), ("plain.service", TEMPLATE.read_text())):
        unit = tmp_path / name
        unit.write_text(text)
        said = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
        assert (said.returncode, said.stdout + said.stderr) == (0, "")


@needs_systemd
def test_it_is_as_hardened_as_the_page_says(tmp_path: Path) -> None:
    unit = tmp_path / "daedalus.service"
    unit.write_text(rendered())
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    score = re.search(r"exposure level for daedalus.service: ([\d.]+)", said.stdout)
    assert score
    assert float(score[1]) <= 2.0
    assert f"exposure level {score[1]}" in (ROOT / "docs" / "service.md").read_text()


def test_a_link_to_the_version_in_use_stays_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/usr/local/bin/daedalus -> /opt/daedalus/current/.venv/bin/daedalus, and `current` -> the folder of a version."""
    version = tmp_path / "2026-11-21" / ".venv" / "bin"
    version.mkdir(parents=True)
    (version / "daedalus").touch(mode=0o755)
    (version / "python").symlink_to(sys.executable)
    (tmp_path / "current").symlink_to("2026-11-21")
    command = tmp_path / "bin" / "daedalus"
    command.parent.mkdir()
    command.symlink_to("../current/.venv/bin/daedalus")
    assert _python(command) == Path(sys.executable), "another environment than the one that runs"
    monkeypatch.setattr(sys, "prefix", str(version.parent))
    assert _python(command) == tmp_path / "bin" / ".." / "current" / ".venv" / "bin" / "python"


def test_a_dry_run_prints_it_and_changes_nothing(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    paths = f"{{raw_dir: {tmp_path}/lake/raw, processed_dir: {tmp_path}/lake/processed, state_dir: {tmp_path}/state}}"
    config.write_text(f"storage: {{paths: {paths}}}\n")
    command = [sys.executable, "-m", "scripts.cli", "service", "install", "--dry-run", "-c", str(config)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = values(said.stdout)
    python = Path(sys.executable).with_name("python")
    assert found["ExecStart"] == f"{python} -m scripts.daedalus_supervisor -c {config}"
    assert found["ReadWritePaths"] == f"{tmp_path}/lake/processed {tmp_path}/lake/raw {tmp_path}/state"
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
    refused = subprocess.run([*command, "--run-as", "nobody-of-that-name"], cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "this machine has no user nobody-of-that-name" in refused.stderr
