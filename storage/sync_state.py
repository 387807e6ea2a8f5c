"""What `state/sync.json` says. Apart from what synchronises: who reads it loads nothing of that."""

from shared.state_files import Spoken


class SyncState(Spoken, kw_only=True):
    """`state/sync.json`: written by each pass, and every few seconds within one."""

    direction: str | None = None
    backlog_files: int | None = None
    backlog_bytes: int | None = None
    last_success_wall_ns: int | None = None
    last_problem: str | None = None
    last_problem_wall_ns: int | None = None
    uploaded_files_total: int = 0
    uploaded_bytes_total: int = 0
    downloaded_files_total: int = 0
    downloaded_bytes_total: int = 0
    is_running: bool = False
