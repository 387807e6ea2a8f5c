"""What a service tells whoever started it, as sd_notify(3) does: datagrams to the socket of `$NOTIFY_SOCKET`."""

import os
import socket
import time

READY, STOPPING, WATCHDOG = "READY=1", "STOPPING=1", "WATCHDOG=1"
_WAIT_S = 0.2  # for a listener that is behind; capture does not wait for one that hangs


def notify(state: str) -> bool:
    """Whether `state` was handed over; False where nobody listens, which is no trouble of the one who tells.

    Args:
        state: lines such as `READY=1` or `STATUS=capturing`.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]  # in the abstract namespace of Linux
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(_WAIT_S)
        try:
            sender.sendto(state.encode(), address)
        except OSError:
            return False
    return True


def reloading() -> str:
    """The state to tell when settings are read anew; `READY` ends it."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"


def watchdog_s() -> float | None:
    """How long the listener waits for `WATCHDOG` before it acts; None: it waits for none of this process."""
    interval_us = os.environ.get("WATCHDOG_USEC", "")
    if not interval_us.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(interval_us) / 1e6
