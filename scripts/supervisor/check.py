"""A settings file judged by `daedalus config check`, in a process of its own.

What it takes to know, ccxt and all, would stay in the supervisor for months. The children are looked after meanwhile.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

_WITHIN_S = 120.0


class Check:
    """One file under judgement."""

    def __init__(self, file: Path) -> None:
        self._said, self._began_s = tempfile.TemporaryFile("w+"), time.monotonic()  # noqa: SIM115 - closed in `end`
        command = [sys.executable, "-m", "scripts.cli", "config", "check", "-c", str(file)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self._said)  # noqa: S603

    def problem(self) -> str | None:
        """What is wrong with the file, in a line; empty where nothing is, None while that is not known."""
        code = self._process.poll()
        if code is None:
            return f"not judged within {_WITHIN_S:.0f} s" if time.monotonic() - self._began_s > _WITHIN_S else None
        self._said.seek(0)
        lines = [line.removeprefix("error: ") for line in self._said.read().splitlines() if line.strip()]
        return ("; ".join(lines) or f"code {code}") if code else ""

    def end(self) -> None:
        """Leave nothing of it."""
        self._process.kill()
        self._process.wait()
        self._said.close()
