"""`--status`: what a supervisor's state file says, and whether that can still be true."""

import time
from collections.abc import Iterator
from pathlib import Path

from scripts.living import living
from scripts.supervisor.readings import Machine, explained
from scripts.supervisor.state import STALE_S, ChildState, SupervisorFile


def shown(folder: Path) -> tuple[list[str], bool]:
    """Lines for a person, and whether all is well: the supervisor lives, and so does each of its children."""
    said, now_ns = SupervisorFile(folder).read(), time.time_ns()
    if said is None:
        return ["no supervisor has run on this lake"], False

    def lives(pid: int | None) -> bool:
        return living(pid, seen_ns=said.wall_ns, boot=said.boot) is not None

    age_s = (now_ns - said.wall_ns) / 1e9
    is_alive, is_fresh = lives(said.pid), -STALE_S <= age_s <= STALE_S
    if not is_alive:
        head = f"no supervisor runs: pid {said.pid} is gone; it last said something {_ago(age_s)} ago"
    elif not is_fresh:
        head = f"stale: pid {said.pid} lives, but has said nothing for {_ago(age_s)}; what follows is from then"
    else:
        head = f"supervisor runs as pid {said.pid}"
    there = {name for name, child in said.children.items() if lives(child.pid)}
    is_well = all(name in there or child.state in ("resting", "off") for name, child in said.children.items())
    lines = [
        f"  {name}: {', '.join(_child(child, now_ns, name in there, is_alive))}"
        for name, child in said.children.items()
    ]
    return [head, *lines, *_machine(said.machine)], is_well and is_alive and is_fresh


def _child(child: ChildState, now_ns: int, is_there: bool, is_cared_for: bool) -> Iterator[str]:
    """What there is to say of a child; of one that is gone, how it was last seen."""
    if not is_there:
        yield "gone" if child.pid else child.state if is_cared_for else "does not run"
        if is_cared_for and child.again_s is not None:
            yield f"again in {_ago(child.again_s)}"
        if child.pid:
            yield f"it was {child.state} as pid {child.pid}"
    else:
        yield f"{child.state} as pid {child.pid}" if is_cared_for else f"pid {child.pid} outlived it"
        yield f"for {_ago((now_ns - (child.started_wall_ns or now_ns)) / 1e9)}"
        if child.memory_mb is not None:
            yield f"{child.memory_mb:,.0f} MB, {child.cpu_percent or 0.0:.0f} % of a processor"
    if child.fed_wall_ns:
        yield f"data {_ago((now_ns - child.fed_wall_ns) / 1e9)} ago"
    if child.restarts:
        yield f"{child.restarts} restarts, the last end: {child.last_exit}"
    elif child.state == "resting" and child.last_exit:
        yield f"the last end: {child.last_exit}"


def _machine(machine: Machine) -> Iterator[str]:
    units = {
        "temperature {:.0f} C": machine.temperature_c,
        "{:,.0f} MB of memory available": machine.memory_available_mb,
        "{:,.0f} MB of disk free": machine.disk_free_mb,
    }
    if parts := [text.format(value) for text, value in units.items() if value is not None]:
        yield f"  machine: {', '.join(parts)}"
    for reason in explained(machine.throttled_bits or 0):
        yield f"  machine: {reason}"


def _ago(seconds: float) -> str:
    """A length of time as a person says it.

    >>> _ago(59.4), _ago(3600 * 5), _ago(86400 * 3.5)
    ('59 s', '5.0 h', '3.5 days')
    """
    if seconds < 300:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"
