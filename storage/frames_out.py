"""Frames to Parquet files, with what keeps a disk from taking them said as everywhere else."""

import os
import re
from pathlib import Path
from typing import Any

import polars as pl

from shared.disk import translated

_SYSTEM_SAID = re.compile(r"\(os error (\d+)\)")


def write_frame(rows: pl.DataFrame, path: Path, **options: Any) -> None:
    """Write a frame as Parquet; `options` are those of polars. Raises: DiskFull, LakeUnusable."""
    with translated(path):
        try:
            rows.write_parquet(path, **options)
        except pl.exceptions.ComputeError as error:  # polars has what the system said as text alone
            if not (said := _SYSTEM_SAID.search(str(error))):
                raise
            raise OSError(int(said[1]), os.strerror(int(said[1])), str(path)) from error
