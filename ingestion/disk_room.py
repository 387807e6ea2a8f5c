"""Whether there is room to write: a pure decision with a gap between stopping and going on."""

_RESUME_FACTOR = 1.25
_RESUME_BYTES_MIN = 32 << 20  # two steps by which a journal grows
_AGAIN_AFTER_S = 5.0  # after a refused write; a quota does not show in what is free


class DiskRoom:
    """Short of room below the reserve, or when the disk refused a write; no longer a good deal above the reserve."""

    def __init__(self, reserve_bytes: int) -> None:
        """`reserve_bytes` 0: only a refused write says that the disk is full."""
        self.reserve_bytes = reserve_bytes
        self.free_bytes: int | None = None  # when last looked at
        self.is_short = False
        self.pauses = 0
        self._not_before_s = 0.0

    def look(self, free_bytes: int, *, now_s: float) -> bool:
        """Take what is free now; whether `is_short` has changed."""
        self.free_bytes = free_bytes
        if not self.is_short:
            return free_bytes < self.reserve_bytes and self._shorten()
        enough_bytes = max(self.reserve_bytes * _RESUME_FACTOR, _RESUME_BYTES_MIN)
        self.is_short = free_bytes < enough_bytes or now_s < self._not_before_s
        return not self.is_short

    def refused(self, *, now_s: float) -> bool:
        """Take note that the disk refused a write; whether `is_short` has changed."""
        self._not_before_s = now_s + _AGAIN_AFTER_S
        return not self.is_short and self._shorten()

    def has_for(self, size_bytes: int, *, now_s: float) -> bool:
        """Whether a journal of this size may be sealed now: its files stand beside it until it can go."""
        if not self.is_short:
            return True
        return now_s >= self._not_before_s and self.free_bytes is not None and self.free_bytes > 2 * size_bytes

    def _shorten(self) -> bool:
        self.is_short = True
        self.pauses += 1
        return True
