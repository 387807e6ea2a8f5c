"""`python -m scripts.ends_with_parent PARENT ARGUMENT...`: `daedalus ARGUMENT...`, which ends when its parent has gone.

Demo and supervisor end their children themselves. This is for a parent that is killed and cannot.
"""

import ctypes
import os
import signal
import sys

from scripts.cli import main

_PR_SET_PDEATHSIG = 1  # prctl(2)


def end_with(parent: int) -> None:
    """Have the kernel send SIGTERM when the parent dies; a system other than Linux knows no such thing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we could ask
            sys.exit(1)


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    main(sys.argv[2:])
