"""What `state/watcher.json` says. Apart from the watcher: who reads it loads nothing of that."""

from msgspec import field

from shared.state_files import Spoken


class WatcherState(Spoken, kw_only=True):
    """What a watcher has done since it began; written after each poll."""

    streams: dict[str, dict[str, int]] = field(default_factory=dict)
    """Counts by exchange and symbol."""
