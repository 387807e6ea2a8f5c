"""Whether a process that said something once is still there: its number alone may be another's by now."""

import psutil

from shared.clock import boot_id

_TOLERANCE_S = 2.0  # between the kernel's clock, which tells when a process began, and the wall


def living(pid: int | None, *, seen_ns: int, boot: str = "") -> psutil.Process | None:
    """The process that had this number then, in this boot of the machine where one is named; None where it is gone."""
    if not pid or (boot and boot != boot_id()):
        return None
    try:
        process = psutil.Process(pid)
        is_it = process.create_time() <= seen_ns / 1e9 + _TOLERANCE_S
        return process if is_it and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None
