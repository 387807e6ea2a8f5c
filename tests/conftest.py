"""The last lines of a test run say how much was not run, and why, and what the crash tests measured."""

import logging
import signal
from collections import Counter
from collections.abc import Iterator
from itertools import chain

import pytest
import structlog
from hypothesis import settings

from tests.crash_figures import crash_figures as crash_figures
from tests.crash_figures import summary
from tests.s3_servers import ministack as ministack
from tests.s3_servers import rclone as rclone
from tests.small_disk import small_disk as small_disk

settings.register_profile("house", deadline=None)  # no test asserts on time
settings.load_profile("house")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # so a shell starts `make test &`, and every child would be deaf
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """A command that a test calls sets the process's logging: level `error` would silence the tests that follow."""
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    )
    terminalreporter.section(f"{sum(reasons.values())} skipped")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:4d}  {reason}")
    if table := summary(chain.from_iterable(terminalreporter.stats.values())):
        terminalreporter.section("crash figures")
        for line in table:
            terminalreporter.write_line(line)
