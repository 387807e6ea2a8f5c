"""What `daedalus sync --delete-after-verify` removes when all is in the archive: what `daedalus retain` would."""

import time

import typer

from config.config import Settings
from scripts.retain import lines, retain_lake, rules_of
from shared.errors import DaedalusError
from shared.log import get_log
from storage.base import ObjectStore

_EACH_S = 3600.0  # a look at what may go is a walk over the lake
log = get_log("sync")


class Retention:
    """Retention after synchronisation. Raises: SettingsInvalid: nothing is ever to be removed."""

    def __init__(self, settings: Settings, store: ObjectStore, *, keep_days: int | None) -> None:
        rules_of(settings, keep_days=keep_days)
        self._settings, self._store, self._keep_days = settings, store, keep_days
        self._next_s = 0.0

    def now(self) -> bool:
        """Remove, and print what went and what stays; whether all went that the rules let go."""
        found = retain_lake(self._settings, self._store, delete=True, keep_days=self._keep_days)
        for line in lines(found, delete=True):
            typer.echo(line)
        return found.is_done

    def at_times(self) -> None:
        """Remove, if the last time is long enough ago. What keeps it from doing so is logged, and tried again."""
        if time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + _EACH_S
        try:
            found = retain_lake(self._settings, self._store, delete=True, keep_days=self._keep_days)
        except DaedalusError as error:
            log.warning("nothing was removed here", problem=error.line())
            return
        removal = found.removal
        if removal.removed or removal.stays:
            log.info("removed here", files=len(removal.removed), bytes=removal.freed_bytes, unproven=len(removal.stays))
