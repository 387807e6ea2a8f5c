"""Amounts of bytes as people read them."""


def size_of(count: int) -> str:
    """An amount of bytes, in the unit that leaves one to three digits before the point.

    >>> size_of(999), size_of(12_345_678), size_of(64_000_000_000)
    ('999 B', '12.3 MB', '64.0 GB')
    """
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.1f} {unit}" if unit != "B" else f"{count} B"
        size /= 1000
    return f"{size:,.1f} TB"
