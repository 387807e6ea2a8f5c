"""`--status`: what a supervisor's state file says, and whether that can still be true."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from scripts.supervisor.readings import explained
from scripts.supervisor.state import STALE_S, StateFile


def shown(folder: Path) -> tuple[list[str], bool]:
    """Lines for a person, and whether all is well."""
    said = StateFile(folder).read()
    is_alive = psutil.pid_exists(said.get("pid", 0)) if said else False
    return said_of(said, now_ns=time.time_ns(), is_alive=is_alive)


def said_of(said: Mapping[str, Any], *, now_ns: int, is_alive: bool) -> tuple[list[str], bool]:
    """The lines of one state, and whether all is well: the supervisor lives, and so does each of its children."""
    if not said:
        return ["no supervisor has run on this lake"], False
    age_s = (now_ns - said["wall_ns"]) / 1e9
    children = said["children"]
    if not is_alive:
        head = f"no supervisor runs: pid {said['pid']} is gone; what follows is from {_ago(age_s)} ago"
    elif not -STALE_S <= age_s <= STALE_S:
        head = f"stale: pid {said['pid']} lives, but has said nothing for {_ago(age_s)}; what follows is from then"
    else:
        head = f"supervisor runs as pid {said['pid']}"
        is_well = all(child["state"] in ("running", "off") for child in children.values())
        return [head, *_children(children, now_ns), *_machine(said["machine"])], is_well
    return [head, *_children(children, now_ns), *_machine(said["machine"])], False


def _children(children: Mapping[str, Mapping[str, Any]], now_ns: int) -> Iterator[str]:
    for name, child in children.items():
        parts = [child["state"] + (f" as pid {child['pid']}" if child["pid"] else "")]
        if child["started_wall_ns"]:
            parts.append(f"for {_ago((now_ns - child['started_wall_ns']) / 1e9)}")
        if child["memory_mb"] is not None:
            parts.append(f"{child['memory_mb']:,.0f} MB, {child['cpu_percent']:.0f} % of a processor")
        if child["fed_wall_ns"]:
            parts.append(f"data {_ago((now_ns - child['fed_wall_ns']) / 1e9)} ago")
        if child["restarts"]:
            parts.append(f"{child['restarts']} restarts, the last end: {child['last_exit']}")
        yield f"  {name}: {', '.join(parts)}"


def _machine(machine: Mapping[str, Any]) -> Iterator[str]:
    units = {"temperature_c": "temperature {:.0f} C", "memory_available_mb": "{:,.0f} MB of memory available"}
    units["disk_free_mb"] = "{:,.0f} MB of disk free"
    if parts := [text.format(machine[name]) for name, text in units.items() if machine[name] is not None]:
        yield f"  machine: {', '.join(parts)}"
    for reason in explained(machine["throttled_bits"] or 0):
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
