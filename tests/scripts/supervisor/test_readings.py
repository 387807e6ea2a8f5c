"""What the machine says: thermal zones, a Pi's throttling, the weight of processes."""

import os
import subprocess
import sys
from pathlib import Path

from scripts.supervisor.readings import Scale, explained, machine, temperature_c, throttled_bits


def zone(folder: Path, number: int, kind: str, temperature: str) -> None:
    (folder / f"thermal_zone{number}").mkdir()
    (folder / f"thermal_zone{number}" / "type").write_text(kind + "\n")
    (folder / f"thermal_zone{number}" / "temp").write_text(temperature)


def test_the_processors_zone_goes_before_hotter_ones(tmp_path: Path) -> None:
    assert temperature_c(tmp_path) is None
    zone(tmp_path, 0, "battery", "61000\n")
    assert temperature_c(tmp_path) == 61.0
    zone(tmp_path, 1, "cpu-thermal", "48312\n")
    assert temperature_c(tmp_path) == 48.3
    zone(tmp_path, 2, "cpu-broken", "n/a\n")
    assert temperature_c(tmp_path) == 48.3


def test_the_bits_of_a_pi(tmp_path: Path) -> None:
    file = tmp_path / "get_throttled"
    file.write_text("50005\n")
    bits = throttled_bits(file)
    assert bits == 0x50005
    assert [each.partition(":")[0] for each in explained(bits)] == [
        "under-voltage now",
        "throttled now",
        "under-voltage since boot",
        "throttled since boot",
    ]
    assert explained(0) == []


def test_a_machine_says_what_it_can(tmp_path: Path) -> None:
    found = machine(tmp_path)
    assert found.disk_free_mb is not None
    assert found.disk_free_mb > 0
    assert found.memory_available_mb is not None
    assert machine(tmp_path / "missing").disk_free_mb is None


def test_a_process_weighs_with_its_children() -> None:
    """A child holds 64 MB, and its own child as much."""
    hold = "import sys; held = bytearray(64 << 20); print(flush=True); "
    below = f"{hold} input()"
    above = f"import subprocess; below = subprocess.Popen([sys.executable, '-c', {below!r}]); below.wait()"
    scale = Scale()
    process = subprocess.Popen(
        [sys.executable, "-c", hold + above], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        process.stdout.readline()
        process.stdout.readline()
        weight = scale.weigh(process.pid)
        assert weight is not None
        assert 128 < weight.memory_mb < 512
    finally:
        process.communicate("\n")
    assert scale.weigh(process.pid) is None
    scale.forget_gone()
    assert scale.weigh(os.getpid()) is not None
