"""From settings to children: who runs, with which command, limits and priority, and whom changed settings concern."""

from pathlib import Path
from typing import Any

from config.config import Settings
from scripts.supervisor.children import Order
from scripts.supervisor.policy import Limits

# They end one group after the other: what ingest seals last, watch still refines and sync still uploads.
STOP_ORDER = (("ingest", "compact"), ("watch",), ("sync",))
_CAPTURE = {"coinbase", "native", "ccxt", "ingestion"}
_CONCERNS_NOBODY = {"supervisor", "health", "compaction"}
_NOT_OF: dict[str, set[str]] = {
    "watch": _CAPTURE | _CONCERNS_NOBODY | {"sync", "retention"},
    "sync": _CAPTURE | _CONCERNS_NOBODY,
    "compact": {*Settings.model_fields} - {"compaction"},  # each run reads the file itself; these are done at once
}


def orders(settings: Settings, file: Path, *, log_format: str | None = None) -> dict[str, Order]:
    """The children that should run, by name."""
    wanted = children_of(settings)
    return {name: _order(settings, name, _arguments(settings, name, file, log_format)) for name in wanted}


def children_of(settings: Settings) -> list[str]:
    """Those of `supervisor.children` that have something to do with these settings."""
    needs = {"sync": has_archive(settings), "compact": settings.storage.etl_storage_input.type == "local"}
    return [name for name in settings.supervisor.children if needs.get(name, True)]


def last_pass(settings: Settings, file: Path, *, log_format: str | None = None) -> Order:
    """Synchronise what is there, once."""
    return _order(settings, "sync", ["sync", "-c", str(file), *_logging(log_format), "--mode", "once"])


def has_archive(settings: Settings) -> bool:
    """Whether there is anywhere to synchronise with."""
    return settings.storage.archive.type != "local"


def limits(settings: Settings, name: str) -> Limits:
    """What a child may do."""
    section = settings.supervisor
    return Limits(
        restart_delay_s=section.restart_delay_s,
        restart_delay_max_s=section.restart_delay_max_s,
        stop_timeout_s=section.stop_timeout_s,
        memory_warning_mb=section.memory_warning_mb,
        memory_critical_mb=section.memory_critical_mb,
        stale_after_s=section.stale_after_s if name == "ingest" else None,
        rest_s=settings.compaction.interval_hours * 3600 if name == "compact" else None,
    )


def concerned(old: Settings, new: Settings) -> set[str]:
    """The children, of those that do not read a changed file themselves, that must be started anew for it."""
    return {name for name in _NOT_OF if _of(old, name) != _of(new, name)}


def _of(settings: Settings, name: str) -> dict[str, Any]:
    return settings.model_dump(exclude=_NOT_OF[name])


def _arguments(settings: Settings, name: str, file: Path, log_format: str | None) -> list[str]:
    mode = ["--mode", "continuous"] if name == "sync" else []
    if name == "compact":
        log_format = log_format or settings.logging.format  # named, it writes lines of the log and no table
    return [name, "-c", str(file), *_logging(log_format), *mode]


def _logging(log_format: str | None) -> list[str]:
    return ["--log-format", log_format] if log_format else []


def _order(settings: Settings, name: str, arguments: list[str]) -> Order:
    section = settings.supervisor
    return Order(name, arguments, dict(section.nice).get(name), dict(section.cpu_affinity).get(name, ()))  # type: ignore[call-overload]
