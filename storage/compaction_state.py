"""What `state/compaction.json` says. Apart from what compacts: who reads it loads nothing of that."""

from shared.state_files import Spoken


class CompactionState(Spoken, kw_only=True):
    """`state/compaction.json`: written when a run over the whole lake begins, and when it ends."""

    is_running: bool = False
    last_success_wall_ns: int | None = None
    last_problem: str | None = None
    last_problem_wall_ns: int | None = None
    took_s: float = 0.0
    """Of the last run that ended well, as are the counts."""
    files: int = 0
    made_files: int = 0
    rows: int = 0
