"""What the machine says of itself: memory, processor, disk, temperature, throttling. None where it does not say."""

import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_MB = 1 << 20
_THERMAL = Path("/sys/class/thermal")
_THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")  # of a Raspberry Pi
_NOW = 0xF  # the bits below are of this moment
_BITS = {  # https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
    0: "under-voltage now: use a stronger power supply or a shorter cable",
    1: "processor slowed down now: under-voltage or heat",
    2: "throttled now",
    3: "warm now: the soft temperature limit is reached",
    16: "under-voltage since boot",
    17: "processor slowed down since boot",
    18: "throttled since boot",
    19: "soft temperature limit reached since boot",
}


@dataclass(frozen=True)
class Machine:
    """One look at the machine. Also the shape of `machine` in state/supervisor.json."""

    temperature_c: float | None = None  # the hottest sensor of the processor
    throttled: list[str] | None = None  # why a Raspberry Pi runs slower now; empty: it does not
    throttled_bits: int | None = None  # what it says of that in full, see `explained`
    memory_available_mb: float | None = None
    disk_free_mb: float | None = None


def machine(folder: Path) -> Machine:
    """How the machine is doing; `folder` says which disk."""
    free_mb = None
    with suppress(OSError):
        free_mb = round(shutil.disk_usage(folder).free / _MB, 1)
    available_mb = round(psutil.virtual_memory().available / _MB, 1)
    bits = throttled_bits()
    now = None if bits is None else explained(bits & _NOW)
    return Machine(temperature_c(), now, bits, available_mb, free_mb)


def temperature_c(thermal: Path = _THERMAL) -> float | None:
    """The processor's temperature, of the kernel's thermal zones or else of what psutil finds."""
    zones = {}
    for zone in thermal.glob("thermal_zone*"):
        with suppress(OSError, ValueError):
            zones[zone / "temp"] = ((zone / "type").read_text().lower(), int((zone / "temp").read_text()) / 1000)
    cpu = [degrees for kind, degrees in zones.values() if "cpu" in kind or "pkg" in kind]
    found = cpu or [degrees for _, degrees in zones.values()]
    if not found and thermal == _THERMAL:
        sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
        found = [each.current for group in sensors.values() for each in group]
    return round(max(found), 1) if found else None


def throttled_bits(file: Path = _THROTTLED) -> int | None:
    """The bits of `vcgencmd get_throttled`; None where this is no Raspberry Pi."""
    with suppress(OSError, ValueError):
        return int(file.read_text().strip(), 16)
    if command := shutil.which("vcgencmd"):
        with suppress(OSError, ValueError, subprocess.SubprocessError):
            said = subprocess.run([command, "get_throttled"], capture_output=True, text=True, timeout=2, check=True)  # noqa: S603
            return parsed_throttling(said.stdout)
    return None


def parsed_throttling(said: str) -> int:
    """The number in what `vcgencmd get_throttled` prints.

    >>> parsed_throttling("throttled=0x50005")
    327685
    """
    return int(said.strip().partition("=")[2], 16)


def explained(bits: int) -> list[str]:
    """What each bit that is set means, what is now before what was.

    >>> explained(0x50000)
    ['under-voltage since boot', 'throttled since boot']
    """
    return [meaning for bit, meaning in _BITS.items() if bits >> bit & 1]


@dataclass(frozen=True)
class Weight:
    """What one child takes, its own children included."""

    memory_mb: float  # resident; pages that they share count for each
    cpu_percent: float  # of one processor, since the look before


class Scale:
    """Weighs processes; the processor's share needs two looks at the same process."""

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}

    def weigh(self, pid: int) -> Weight | None:
        """What a process and those below it take; None where it is gone."""
        try:
            above = self._known.setdefault(pid, psutil.Process(pid))
            whole = [above, *(self._known.setdefault(each.pid, each) for each in above.children(recursive=True))]
        except psutil.Error:
            self._known.pop(pid, None)
            return None
        memory_bytes, cpu_percent = 0, 0.0
        for process in whole:
            with suppress(psutil.Error):
                memory_bytes += process.memory_info().rss
                cpu_percent += process.cpu_percent()
        return Weight(round(memory_bytes / _MB, 1), round(cpu_percent, 1))

    def forget_gone(self) -> None:
        """Let go of processes that have ended."""
        self._known = {pid: process for pid, process in self._known.items() if process.is_running()}
