"""Logging: an event name and fields, as text for a person or JSON for a machine, on standard error, without secrets."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
REDACTED = "***"
_SECRET_WORDS = ("secret", "password", "passphrase", "api_key", "apikey", "access_key", "private_key", "token")


def configure(level: str = "info", *, format: str = "text") -> None:  # noqa: A002 (the setting's own name)
    """Set the process's logging, once, in the composition root; libraries' warnings take the same road.

    Raises: ValueError for a level or format we do not know.
    """
    if level not in LEVELS or format not in {"text", "json"}:
        raise ValueError(f"logging is debug, info, warning or error, as text or json; was {level}, {format}")
    steps: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    structlog.configure(
        processors=[*steps, *_renderers(format)],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: structlog.PrintLogger(_stderr()),
        cache_logger_on_first_use=False,  # standard error may be replaced after the first line
    )
    forward = _Stderr()
    forward.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=steps,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(format)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _Stderr)]
    root.addHandler(forward)
    root.setLevel(max(LEVELS[level], logging.WARNING))


def get_log(name: str) -> FilteringBoundLogger:
    """A log whose lines carry `log=name`; it obeys a `configure` that comes later."""
    return cast("FilteringBoundLogger", structlog.get_logger(log=name))


def is_json() -> bool:
    """Whether `configure` has asked for JSON."""
    return isinstance(structlog.get_config()["processors"][-1], structlog.processors.JSONRenderer)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The event with every secret replaced: by its key's name, or because the value says it is one.

    >>> redact(None, "info", {"event": "connected", "api_key": "k", "options": {"clientSecret": "s", "depth": 5}})
    {'event': 'connected', 'api_key': '***', 'options': {'clientSecret': '***', 'depth': 5}}
    """
    for key, value in event.items():
        event[key] = _shown(key, value)
    return event


def _shown(key: str, value: Any) -> Any:
    # A secret of pydantic's is known by its one method: this room does not know pydantic.
    if hasattr(value, "get_secret_value") or any(word in key.lower().replace("-", "_") for word in _SECRET_WORDS):
        return value if value is None or isinstance(value, bool) else REDACTED
    if isinstance(value, Mapping):
        return {inner: _shown(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(key, item) for item in value]
    return value


def _renderers(format: str) -> list[Processor]:  # noqa: A002
    # Tracebacks without local variables, against both defaults of structlog: among them stand secrets.
    if format == "json":
        bare = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        return [structlog.processors.ExceptionRenderer(bare), structlog.processors.JSONRenderer()]
    return [
        structlog.dev.ConsoleRenderer(
            colors=_stderr().isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
    ]


def _stderr() -> TextIO:
    return sys.stderr


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what standard error is now, as our own lines do."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self.stream = _stderr()
        super().emit(record)
