"""The sections of what runs beside capture and refining: synchronisation, compaction, retention, supervisor, health."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from config.section import ListOf, Secret, Section, refuse
from shared.rows import ROW_TYPES


def _table(name: str) -> str:
    if name not in ROW_TYPES:
        raise refuse(f"one of {', '.join(ROW_TYPES)}")
    return name


def _listening(found: str) -> str:
    host, _, port = found.rpartition(":")
    if found and not (host and port.isascii() and port.isdecimal() and int(port) < 65_536):
        raise refuse("an address and a port, such as 127.0.0.1:9464, or nothing")
    return found


def _of_http(found: SecretStr | None) -> SecretStr | None:
    if found is not None and found.get_secret_value().partition("://")[0] not in {"http", "https"}:
        raise refuse("an address that begins with https:// or http://")
    return found


TableName: TypeAlias = Annotated[str, AfterValidator(_table)]
Tier: TypeAlias = Literal["bronze", "silver", "gold"]
Child: TypeAlias = Literal["ingest", "watch", "sync", "compact"]


class Sync(Section):
    """How the lake is kept in step with the store of `storage.archive`."""

    interval_s: Annotated[float, Field(ge=0.1, le=86_400)] = 60.0
    """Pause between two passes."""
    channels: ListOf[TableName] | None = None
    """Bronze tables that are synchronised; gaps always are. null: all."""
    tiers: ListOf[Tier] = ("bronze", "silver", "gold")
    """Tiers that are synchronised; checkpoints go with silver and gold."""
    files_at_once: Annotated[int, Field(ge=1, le=64)] = 8
    """Files that are under way together."""
    bandwidth_limit_mb_s: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Megabytes a second, both ways together; null: no limit."""
    unfinished_keep_hours: Annotated[float, Field(ge=0.1, le=8760)] = 48.0
    """Uploads in parts that nobody went on with for so long are given up, and the store's room is freed."""
    delete_after_verify: bool = False
    """true: a pass also does what `daedalus retain` does, with `retention` as it stands."""


class Compaction(Section):
    """How small files become few large ones."""

    interval_hours: Annotated[float, Field(ge=0.0001, le=8760)] = 6.0
    """The supervisor runs `daedalus compact` so long after the last time; first some minutes after its own start."""
    after_hours: Annotated[float, Field(ge=0.1, le=8760)] = 6.0
    """How long after its end a day's hour files become day files, so that what comes late is there."""
    min_file_count: Annotated[int, Field(ge=1, le=100_000)] = 1
    """A stream's day with fewer files is left as it is; 1: every day is in `raw/daily` when it is over."""
    target_file_mb: Annotated[float, Field(ge=0.1, le=16_384)] = 256.0
    """A larger day is cut into files of about this size, none across the end of an hour."""


class Retention(Section):
    """What may be removed from this disk, and when. What the archive has not proven to hold never is."""

    keep_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    """Bronze of whole days older than this goes; null: age removes nothing."""
    keep_days_by_channel: Mapping[TableName, Annotated[int, Field(ge=1, le=36_500)]] = Field(default={})
    """Such as {l2: 3, trades: 90}: bronze tables with an age of their own."""
    silver_keep_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    """The same for silver; null: age removes nothing."""
    gold_keep_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    """The same for gold; null: age removes nothing."""
    lake_max_gb: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    """Above this size the oldest bronze goes as well, and of it the largest channels first; null: no cap."""


class Supervisor(Section):
    """How `daedalus_supervisor.py` keeps its children at work."""

    children: ListOf[Child] = ("ingest", "watch", "sync", "compact")
    """What runs; sync needs `storage.archive`, and is left out without it. compact runs now and then, and not where
    bronze comes from `storage.etl_storage_input`."""
    restart_delay_s: Annotated[float, Field(ge=0.1, le=3600)] = 1.0
    """First pause before a child that ended is started again; it doubles with each end."""
    restart_delay_max_s: Annotated[float, Field(ge=0.1, le=86_400)] = 60.0
    """Longest such pause; a child that stays up for ten times as long begins at the first pause again."""
    memory_warning_mb: Annotated[float, Field(ge=16, le=1_000_000)] = 700.0
    """A child that holds more is reported."""
    memory_critical_mb: Annotated[float, Field(ge=16, le=1_000_000)] = 1000.0
    """A child that holds more is ended in good order and started again."""
    stop_timeout_s: Annotated[float, Field(ge=1, le=3600)] = 60.0
    """How long a child may take to end; then it is killed, which loses nothing that was acknowledged."""
    stale_after_s: Annotated[float, Field(ge=1, le=86_400)] = 120.0
    """A collector without new data for so long is ended and started again."""
    nice: Mapping[Child, Annotated[int, Field(ge=-20, le=19)]] = Field(default={"watch": 5, "sync": 10, "compact": 19})
    """Priority by child; 19 yields to everybody, below 0 needs rights."""
    cpu_affinity: Mapping[Child, ListOf[Annotated[int, Field(ge=0, le=4095)]]] = Field(default={})
    """Such as {ingest: [0], watch: [1, 2, 3]}: the processors a child may use; without an entry, all."""

    @field_validator("memory_critical_mb", "restart_delay_max_s")
    @classmethod
    def _not_below_first(cls, most: float, info: ValidationInfo) -> float:
        first = {"memory_critical_mb": "memory_warning_mb", "restart_delay_max_s": "restart_delay_s"}[
            str(info.field_name)
        ]
        if most < info.data.get(first, 0.0):
            raise refuse(f"at least `{first}`")
        return most


class Health(Section):
    """What counts as trouble, and who is told."""

    metrics_address: Annotated[str, AfterValidator(_listening)] = "127.0.0.1:9464"
    """Where the supervisor answers Prometheus; empty: nowhere."""
    webhook_url: Annotated[Secret, AfterValidator(_of_http)] = None
    """Told in JSON when an alarm begins or ends; it may hold a token, so better in the environment."""
    message_age_max_s: Annotated[float, Field(ge=1, le=86_400)] = 120.0
    """Alarm when a feed has said nothing for so long."""
    queue_percent_max: Annotated[float, Field(ge=1, le=100)] = 50.0
    """Alarm when the queue is this full."""
    watcher_lag_max_s: Annotated[float, Field(ge=1, le=864_000)] = 3600.0
    """Alarm when sealed bronze waits this long for the watcher."""
    sync_lag_max_s: Annotated[float, Field(ge=1, le=8_640_000)] = 7200.0
    """Alarm when the archive is this far behind."""
    disk_days_min: Annotated[float, Field(ge=0, le=3650)] = 3.0
    """Alarm when the disk will be full in so many days at the present rate."""
    temperature_max_c: Annotated[float, Field(ge=20, le=120)] = 80.0
    """Alarm when the processor is hotter; a Pi slows down from 80 on."""
    statistics_interval_s: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    """Pause between two lines of statistics in the log."""
