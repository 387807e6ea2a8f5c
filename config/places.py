"""The sections that say where things live, and how the process speaks."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from config.section import Directory, Folder, Legacy, RestAddress, Secret, Section, refuse
from shared.partitioning import Lake

_OURS = {"staging", "published", "quarantine", "quality", "daily"}  # folders beside those of the settings that are not
_KEPT = {"raw", "processed", "state"}  # folders of an archive that are named as the lake's are
_BUCKET = re.compile(r"[A-Za-z0-9._-]{3,63}")


def _bucket(found: str) -> str:
    if not _BUCKET.fullmatch(found):
        raise refuse("a bucket's name: 3 to 63 letters, digits, '.' and '-'; a folder within it is `prefix`")
    return found


def _prefix(found: str) -> str:
    steps = found.strip("/").split("/") if found.strip("/") else []
    if not all(step.isprintable() and step and not step.startswith(".") for step in steps):
        raise refuse("names joined by '/', none empty and none that begins with a '.'")
    return found


class LocalPlace(Section):
    """Files of this machine, in the folders of `storage.paths`."""

    type: Literal["local"] = "local"
    """Where the files live."""

    def options(self) -> dict[str, Any]:
        """The plain values that `storage.factory` takes."""
        return self.model_dump()


class S3Place(Section):
    """A bucket of S3 or of something that speaks like it."""

    type: Literal["s3"]
    """Where the files live."""
    bucket: Annotated[str, AfterValidator(_bucket)]
    """The bucket's name."""
    prefix: Annotated[str, AfterValidator(_prefix)] = ""
    """What every key begins with."""
    region: str | None = None
    """The bucket's region; null: as the environment says."""
    endpoint_url: RestAddress | None = None
    """Address of an S3-compatible store; null: AWS."""
    access_key_id: Secret = None
    """Null: the machine's own credentials are used."""
    secret_access_key: Secret = None
    """Belongs to `access_key_id`."""
    anonymous: bool = False
    """true: requests are not signed, as a public bucket allows."""
    addressing: Literal["auto", "path", "virtual"] = "auto"
    """Where the bucket's name stands: in the path or in the host's name; auto: as the endpoint suggests."""
    conditional_writes: bool = True
    """false: the store knows none, and only this machine writes there; nothing keeps a second one out then."""
    ca_file: Directory | None = None
    """Certificates (PEM) to trust for this store; null: the machine's own."""
    part_mb: Annotated[int, Field(ge=5, le=5120)] = 8
    """A larger file goes up in parts of this size."""
    parts_at_once: Annotated[int, Field(ge=1, le=64)] = 2
    """Parts of one file that are under way together; with `part_mb`, what one upload takes of memory."""
    attempts_max: Annotated[int, Field(ge=1, le=100)] = 5
    """How often one request is tried, with growing pauses, before the work on that file is put off."""
    timeout_s: Annotated[float, Field(ge=0.1, le=3600)] = 60.0
    """Longest wait for a connection, and for the next bytes of an answer."""

    def options(self) -> dict[str, Any]:
        """The plain values that `storage.factory` takes, secrets in the open: to be handed on, never shown."""
        values = self.model_dump()
        return {
            key: value.get_secret_value() if isinstance(value, SecretStr) else value for key, value in values.items()
        }


class FolderPlace(Section):
    """A folder outside the lake, such as a mounted disk or network drive."""

    type: Literal["folder"]
    """Where the files live."""
    path: Directory
    """The folder; it must be there, so that a disk that is not mounted is not taken for an empty one."""

    def options(self) -> dict[str, Any]:
        """The plain values that `storage.factory` takes."""
        return self.model_dump()


def _local_unless_said(found: Any) -> Any:
    return {"type": "local"} if found is None or found == {} else found


Place: TypeAlias = Annotated[LocalPlace | S3Place, Field(discriminator="type"), BeforeValidator(_local_unless_said)]
Archive: TypeAlias = Annotated[
    LocalPlace | FolderPlace | S3Place, Field(discriminator="type"), BeforeValidator(_local_unless_said)
]


class Paths(Section):
    """Folders of the lake; a relative one is taken from where the command is started."""

    raw_dir: Directory = Path("data/raw")
    """Journals and bronze."""
    active_subdir: Folder = "active"
    """Below raw_dir: journals that are being written."""
    ready_subdir: Folder = "ready"
    """Below raw_dir: finished bronze files."""
    processing_subdir: Legacy = None
    """Replaced by the checkpoints in `state_dir`: files stay in ready while they are read."""
    processed_dir: Directory = Path("data/processed")
    """Silver and gold."""
    state_dir: Directory = Path("data/state")
    """Checkpoints and locks."""
    tier_silver: Folder = "silver"
    """Below processed_dir: cleaned rows and features."""
    tier_gold: Folder = "gold"
    """Below processed_dir: bars."""

    @field_validator("active_subdir", "ready_subdir", "tier_silver", "tier_gold")
    @classmethod
    def _not_ours(cls, found: str) -> str:
        if found in _OURS:
            raise refuse(f"another name than {', '.join(sorted(_OURS))}, which the lake uses itself")
        return found

    @field_validator("ready_subdir", "processed_dir", "state_dir", "tier_gold")
    @classmethod
    def _apart(cls, found: str | Path, info: ValidationInfo) -> str | Path:
        groups = (
            ("active_subdir", "ready_subdir"),
            ("raw_dir", "processed_dir", "state_dir"),
            ("tier_silver", "tier_gold"),
        )
        group = next(group for group in groups if info.field_name in group)
        for other in group:
            if other != info.field_name and info.data.get(other) == found:
                raise refuse(f"another folder than `{other}`")
        return found

    def lake(self) -> Lake:
        """The lake of these folders; relative ones below the current directory."""
        here = Path.cwd()
        return Lake(
            raw=here / self.raw_dir,
            processed=here / self.processed_dir,
            state=here / self.state_dir,
            active_subdir=self.active_subdir,
            ready_subdir=self.ready_subdir,
            tier_silver=self.tier_silver,
            tier_gold=self.tier_gold,
        )


class Storage(Section):
    """Where bronze is written, where refining reads and writes, and the folders on this machine."""

    ingestion_storage: Place = LocalPlace()
    """Where ingestion writes: `type: local` only, since a journal has to be synced to a disk; see `archive`."""
    etl_storage_input: Archive = LocalPlace()
    """Where bronze for refining comes from: another machine's archive, brought into the folders below; or local."""
    etl_storage_output: Archive = LocalPlace()
    """Where silver, gold and checkpoints go after each run, and come from at its start; or local."""
    archive: Archive = LocalPlace()
    """Where `daedalus sync` keeps the lake in safety: s3, or a folder of another disk; local: nowhere."""
    paths: Paths = Paths()

    def within_the_lake(self) -> Iterator[tuple[str, Path, Path]]:
        """Each place that is a folder whose files would be the lake's own: its key, it, and the lake's folder."""
        lake = self.paths.lake()
        for key in ("etl_storage_input", "etl_storage_output", "archive"):
            place = getattr(self, key)
            if place.type != "folder":
                continue
            folder = (Path.cwd() / place.path).resolve()
            for own in (path.resolve() for path in (lake.raw, lake.processed, lake.state)):
                step = own.relative_to(folder).parts[:1] if own.is_relative_to(folder) else ()
                if folder.is_relative_to(own) or _KEPT.intersection(step):
                    yield key, place.path, own
                    break


def _lower(found: Any) -> Any:
    return found.lower() if isinstance(found, str) else found


class Logging(Section):
    """What the process says on standard error."""

    level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = "info"
    """The least important messages that are shown."""
    format: Literal["text", "json"] = "text"
    """text for a person, json for a machine."""
