"""The error tree: what the world can do to us, each with the operator's next step.

    DaedalusError
      SettingsInvalid      a settings file cannot be read or says something we do not know
      LakeUnusable         a folder of the lake is missing, not writable, full, or on the wrong filesystem
        DiskFull           there is no room, or no quota, left on the disk
        LakeLocked         another live process owns it
      ReadyConflict        a published name exists with other content
      FrameMalformed       an exchange sent bytes that are not its documented format
      ExchangeRefused      an exchange said no: unknown symbol, bad subscription
      PortInUse            a local server cannot have its port
      StateMismatch        a checkpoint belongs to other options or another version
      InputUnreadable      a file a user named cannot be read as what it should be
      LeaseHeld            another process, perhaps on another machine, has what only one may have
      LeaseLost            what only one may have may be another's by now; what goes on without it is not safe
      StorageFailed        an object store did not do what was asked
        StorageRefused     it said no, and will again until a person acts: credentials, bucket, clock, address
        StorageUnreachable no answer, or "later": what was asked may or may not have happened, try again
        ObjectMissing      there is nothing under that key
        ObjectConflict     the object is not in the state that a conditional request named; nothing was changed
        ObjectDamaged      what arrived is not what was sent

A caller's mistake is a `ValueError` at construction; a broken invariant of ours is an `assert`.
"""

from pathlib import Path


class DaedalusError(Exception):
    """Something outside our control went wrong. `hint` is what the operator does next, and a note."""

    hint: str = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint
        if self.hint:
            self.add_note(self.hint)

    def line(self) -> str:
        """One line for a person: what, where, what to do next."""
        text = " ".join(str(self).split())
        return f"{text}{'' if text.endswith('?') else '.'} {self.hint}" if self.hint else text


class SettingsInvalid(DaedalusError):
    """A settings file cannot be read, or holds a key or value we do not accept."""

    hint = "Fix the key, then try `daedalus config check`"


class LakeUnusable(DaedalusError):
    """A folder of the lake cannot be used: missing, read-only, full, or split over filesystems."""

    def __init__(self, path: Path, reason: str, *, hint: str) -> None:
        super().__init__(f"{path}: {reason}", hint=hint)
        self.path, self.reason = path, reason


class DiskFull(LakeUnusable):
    """The disk has no room, or the user no quota; what was acknowledged is safe."""


class LakeLocked(LakeUnusable):
    """Another live process owns this part of the lake."""


class ReadyConflict(DaedalusError):
    """A published name already exists with other content; nothing was overwritten."""

    def __init__(self, staged: Path, ready: Path) -> None:
        super().__init__(
            f"{ready} exists and differs from {staged}",
            hint="Compare the two files, move one away, start again; both are kept",
        )
        self.staged, self.ready = staged, ready


class FrameMalformed(DaedalusError):
    """An exchange sent bytes that are not its documented format. The frame is kept as a reject."""

    hint = "Compare the payload in the rejects table with the exchange's changelog"

    def __init__(self, exchange: str, reason: str) -> None:
        super().__init__(f"{exchange}: {reason}")
        self.exchange, self.reason = exchange, reason


class ExchangeRefused(DaedalusError):
    """An exchange answered a request with a refusal."""

    hint = "Check the symbols and channels in the settings against the exchange's list"


class PortInUse(DaedalusError):
    """A local server cannot bind its port."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"port {port} on {host} is in use",
            hint=f"Stop the other server, or choose another with --port {port + 1} (0 takes any free one)",
        )
        self.host, self.port = host, port


class StateMismatch(DaedalusError):
    """A checkpoint was written by other options or another version and is not continued from."""


class InputUnreadable(DaedalusError):
    """A file that a user named cannot be read as what it should be."""


class LeaseHeld(DaedalusError):
    """Another process, perhaps on another machine, has what only one may have."""

    def __init__(self, place: str, reason: str, *, ends_s: float) -> None:
        super().__init__(
            f"{place}: {reason}",
            hint=f"Stop it there; if it is dead, this is free in {ends_s:.0f} s, without your help",
        )
        self.place, self.reason, self.ends_s = place, reason, ends_s


class LeaseLost(DaedalusError):
    """What only one may have may be another's by now."""

    hint = "What was begun is not finished; start again, and look why renewals did not arrive in time"

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place, self.reason = place, reason


class StorageFailed(DaedalusError):
    """An object store did not do what was asked; `place` names the store, or one object of it, without secrets."""

    def __init__(self, place: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{place}: {reason}", hint=hint)
        self.place, self.reason = place, reason


class StorageRefused(StorageFailed):
    """The store said no, and will again until a person acts."""


class StorageUnreachable(StorageFailed):
    """No answer, or one that means "later": what was asked may or may not have happened; try again later."""

    hint = "Nothing is lost here; check the network and the store if this goes on"


class ObjectMissing(StorageFailed):
    """There is nothing under that key."""

    def __init__(self, place: str) -> None:
        super().__init__(place, "no such object")


class ObjectConflict(StorageFailed):
    """An object is not in the state that a conditional request named: it is there, gone or another; nothing changed."""


class ObjectDamaged(StorageFailed):
    """What arrived is not what was sent; nothing of it was kept, so that it may be asked for again."""

    hint = "It is safe to try again; if it goes on, suspect a proxy, the store or this machine's memory"
