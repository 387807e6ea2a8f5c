"""The small files in `state` by which each process says how it is doing; none of them need be there, or be whole.

Each is one struct that its writer declares; whoever reads it takes that struct. New fields have defaults.
"""

from pathlib import Path
from typing import Annotated, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct
from structlog.typing import FilteringBoundLogger

from shared.disk import Disk
from shared.errors import LakeUnusable

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Pid: TypeAlias = Annotated[int, Meta(gt=0, lt=2**31)]
_BYTES_MAX = 32 << 20  # of such a file; one that is larger is none of ours


class Spoken(Struct, kw_only=True):
    """What every such file of a process has."""

    pid: Pid
    wall_ns: int
    boot: str = ""  # the id of that boot of the machine; versions before did not say it


class Found(NamedTuple, Generic[T_co]):
    """What stands in a file; neither where there is no such file."""

    said: T_co | None
    problem: str | None


class StateFile:
    """One such file. That it cannot be written stops nothing, and is said once."""

    def __init__(self, path: Path, *, log: FilteringBoundLogger) -> None:
        self._path, self._log = path, log
        self._disk, self._warned = Disk(durable=False), False

    def write(self, said: Spoken) -> None:
        """Replace it whole. Not for several threads."""
        try:
            self._disk.write_whole(self._path, msgspec.json.encode(said))
        except (OSError, LakeUnusable) as error:
            if not self._warned:
                self._log.warning(
                    "the state cannot be written; the work goes on", file=str(self._path), error=str(error)
                )
            self._warned = True


def read(path: Path, kind: type[T]) -> Found[T]:
    """What a file says; a file that is not there says nothing, which is no problem."""
    try:
        if path.stat().st_size > _BYTES_MAX:
            return Found(None, "is larger than any file of ours")
        return Found(msgspec.json.decode(path.read_bytes(), type=kind), None)
    except FileNotFoundError:
        return Found(None, None)
    except NotADirectoryError:
        return Found(None, "a file stands where its folder should")
    except OSError as error:
        return Found(None, f"cannot be read: {(error.strerror or str(error)).lower()}")
    except (msgspec.MsgspecError, ValueError) as error:
        return Found(None, f"is not what Daedalus writes there: {' '.join(str(error).split())[:200]}")
