"""The contract of every transform: state in at construction, rows out of `update`, state out by `snapshot`."""

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import ClassVar

import polars as pl

AHEAD_MAX = timedelta(days=1)  # an exchange time further ahead of its capture is no time


class LateRows(Exception):
    """Rows arrived that belong before what was already released; nothing was changed."""


class BaseTransform(ABC):
    """One instance serves one (exchange, symbol) stream. No I/O, no clock, no randomness.

    The output over all updates is a function of the rows alone, however they are cut into updates and wherever a
    snapshot was taken and restored in between.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    rules: str = ""  # settings that decide what rows say: other ones make every row anew, as another version does

    @abstractmethod
    def update(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows that these rows complete.

        Raises: LateRows where the input belongs before earlier output.
        """

    @abstractmethod
    def finish(self) -> pl.DataFrame:
        """What is still held back, at a declared end of the data; never between batches, never at shutdown."""

    @abstractmethod
    def snapshot(self) -> bytes:
        """The whole state, to construct an equal transform from."""
