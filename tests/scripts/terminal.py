"""The real command on a terminal of a known width."""

import os
import pty
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def on_a_terminal(*arguments: str, columns: int) -> str:
    """What a terminal of this width would have shown."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "scripts.cli", *arguments]
    environment = {**os.environ, "COLUMNS": str(columns), "LINES": "50", "TERM": "dumb", "NO_COLOR": "1"}
    process = subprocess.Popen(command, cwd=ROOT, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 65_536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(master)
    assert process.wait() == 0, shown
    return shown.decode()
