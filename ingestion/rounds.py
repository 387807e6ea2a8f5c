"""What is looked after once a second while collectors collect: clocks, latencies, holes that nothing has ended."""

import asyncio
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any

from ingestion.inlet import Inlet
from ingestion.timekeeping import ClockSample, ClockStep, StepDetector, chrony_sample, timesyncd_sample
from shared.clock import Clock
from shared.log import get_log

log = get_log("clock")
EVERY_S = 1.0
_ASK_EVERY_S = 64.0  # about as often as a time daemon asks its own servers
_ANSWER_TIMEOUT_S = 2.0
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_DAEMONS: tuple[tuple[tuple[str, ...], Callable[[str], ClockSample | None]], ...] = (
    (("chronyc", "-c", "tracking"), chrony_sample),
    (("timedatectl", "timesync-status"), timesyncd_sample),
)


class Rounds:
    """Goes round the inlets until cancelled.

    Args:
        inlets: the list itself, because collectors come and go.
        clock: whose steps are watched.
        clock_step_ns: see `StepDetector`.
        sleep: waits between two rounds, in seconds.
    """

    def __init__(
        self,
        inlets: Sequence[Inlet],
        clock: Clock,
        *,
        clock_step_ns: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._inlets, self._clock, self._sleep = inlets, clock, sleep
        self._detector = StepDetector(clock_step_ns)
        self._steps = 0
        self._sample: dict[str, Any] | None = None

    @property
    def statistics(self) -> dict[str, Any]:
        """What is known about the machine's clock: steps in this run, and the time daemon's last word."""
        return {"steps": self._steps, "daemon": self._sample}

    async def run(self) -> None:
        """Go round once a second, and ask the machine's time daemon about once a minute."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ask())
            while True:
                self.go()
                await self._sleep(EVERY_S)

    def go(self) -> None:
        """One round."""
        step = self._detector.sample(self._clock.mono_ns(), self._clock.wall_ns(), self._clock.mono_ns())
        if step:
            self._steps += 1
            log.warning("clock step", by_s=round(step.by_s, 6))
        for inlet in self._inlets:
            if step:
                self._tell(inlet, step)
            inlet.measure()
            inlet.tell_unwritten()

    def _tell(self, inlet: Inlet, step: ClockStep) -> None:
        inlet.statistics.clock_steps += 1
        inlet.latency.forget()
        inlet.tell("clock_step", step.evidence, start_us=step.last_wall_ns // 1000)

    async def _ask(self) -> None:
        known = [(command, parse) for command, parse in _DAEMONS if shutil.which(command[0], path=_PATH)]
        silent = False
        while known:
            sample = await asyncio.to_thread(_first_answer, known)
            if sample:
                self._sample = asdict(sample) | {"wall_ns": self._clock.wall_ns()}
            elif not silent:
                silent = True
                log.debug("no time daemon answers", asked=[command[0] for command, _ in known])
            await asyncio.sleep(_ASK_EVERY_S)
        log.debug("neither chrony nor timesyncd is here: clock offsets are not recorded")


def _first_answer(
    known: Sequence[tuple[tuple[str, ...], Callable[[str], ClockSample | None]]],
) -> ClockSample | None:
    return next((sample for command, parse in known if (sample := parse(_said_by(command)))), None)


def _said_by(command: tuple[str, ...]) -> str:
    """What a program printed; nothing where it fails or takes too long."""
    try:
        done = subprocess.run(  # noqa: S603 - one of `_DAEMONS`
            command, capture_output=True, text=True, timeout=_ANSWER_TIMEOUT_S, env={"PATH": _PATH, "LC_ALL": "C"}
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
