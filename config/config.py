"""The settings tree and its one loader."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr, ValidationError

from config.alongside import Compaction, Health, Retention, Supervisor, Sync
from config.capture import Ccxt, Coinbase, Ingestion
from config.native import Native
from config.places import Logging, Storage
from config.problems import SettingsRefused, problems_of
from config.reference import dotted, entries
from config.refinement import Etl, OldKeys
from config.section import Section
from config.sources import PREFIX, read_mapping, secrets_in, with_environment
from shared.partitioning import Lake

DEFAULT_FILE = Path("config/config.yaml")
SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"
_DURABILITY_OFF = (
    "DURABILITY IS OFF: ingestion.enable_fsync is false, so a power cut loses what the system had not written by itself"
)


class Settings(OldKeys):
    """Everything Daedalus can be told."""

    coinbase: Coinbase = Coinbase()
    native: Native = Native()
    ccxt: Ccxt = Ccxt()
    ingestion: Ingestion = Ingestion()
    etl: Etl = Etl()
    storage: Storage = Storage()
    sync: Sync = Sync()
    compaction: Compaction = Compaction()
    retention: Retention = Retention()
    supervisor: Supervisor = Supervisor()
    health: Health = Health()
    logging: Logging = Logging()
    _notices: tuple[str, ...] = PrivateAttr(default=())

    @property
    def notices(self) -> tuple[str, ...]:
        """What the operator should hear about these settings, one line each."""
        return self._notices

    def lake(self) -> Lake:
        """Where the tiers live, from `storage.paths`."""
        return self.storage.paths.lake()


def load_config(path: Path | str = DEFAULT_FILE, *, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of one file, with secrets from the environment in place of those in the file.

    Raises: SettingsRefused (a `SettingsInvalid`) with a line for everything that is wrong.
    """
    file = Path(path)
    written = read_mapping(file)
    data, notices = with_environment(written, os.environ if environment is None else environment, tree=Settings)
    settings, problems = _validated(data, file)
    if settings is None:
        raise SettingsRefused(problems)
    if problems := list(_impossible(settings, file)):
        raise SettingsRefused(problems)
    if secrets_in(written, tree=Settings) and _is_world_readable(file):
        notices.append(
            f"{file} holds a secret and everybody on this machine may read it: `chmod 600 {file}`, "
            f"or set it in the environment as {PREFIX}..."
        )
    own = (*_legacy_notices(settings), *_durability_notice(settings), *_retention_notice(settings))
    settings._notices = (*own, *notices)
    return settings


def json_schema() -> dict[str, Any]:
    """The tree as JSON schema for editors; older keys are `deprecated`, secrets `writeOnly`."""
    return {"$schema": SCHEMA_ID, **Settings.model_json_schema()}


def _validated(data: Any, file: Path) -> tuple[Settings | None, list[str]]:
    # Returned, not raised: an exception in flight would carry pydantic's error, and with it the values, as its context.
    try:
        return Settings.model_validate(data), []
    except ValidationError as error:
        return None, problems_of(error, file=file, data=data, tree=Settings)


def _impossible(settings: Settings, file: Path) -> Iterator[str]:
    if settings.storage.ingestion_storage.type != "local":
        yield (
            f"{file}: storage.ingestion_storage.type: found s3, expected local: a journal has to be synced to a disk "
            "message by message, which no bucket does; set storage.archive and run `daedalus sync` beside"
        )
    told = settings.retention
    ages = (told.keep_days, told.silver_keep_days, told.gold_keep_days, told.lake_max_gb, *told.keep_days_by_channel)
    if settings.sync.delete_after_verify and settings.storage.archive.type != "local" and not any(ages):
        yield (
            f"{file}: sync.delete_after_verify: found true, expected false where `retention` names no age and no size: "
            "nothing would ever be removed"
        )
    for key, found, own in settings.storage.within_the_lake():
        yield f"{file}: storage.{key}.path: found {found}, expected a folder outside the lake, which has {own}"


def _legacy_notices(section: Section, path: tuple[str | int, ...] = ()) -> Iterator[str]:
    for entry in entries(type(section)):
        name = entry.path[0]
        if len(entry.path) > 1:
            continue
        if entry.is_legacy and name in section.model_fields_set:
            what = entry.description.rstrip(".")
            yield f"{dotted((*path, name))} does nothing any more. {what}"
        elif isinstance(value := getattr(section, name), Section):
            yield from _legacy_notices(value, (*path, name))


def _durability_notice(settings: Settings) -> Iterator[str]:
    if not settings.ingestion.enable_fsync:
        yield _DURABILITY_OFF


def _retention_notice(settings: Settings) -> Iterator[str]:
    kept, told = settings.etl.checkpoint_keep_days, settings.retention
    for name, days in (("keep_days", told.keep_days), *sorted(told.keep_days_by_channel.items())):
        if days is not None and days < kept:
            age = "1 day" if days == 1 else f"{days} days"
            yield (
                f"retention keeps bronze for {age} ({name}), etl.checkpoint_keep_days is {kept}: rows that come "
                f"later than {age} are refined only after `daedalus sync --direction down`"
            )
            return


def _is_world_readable(file: Path) -> bool:
    return bool(file.stat().st_mode & stat.S_IROTH)
