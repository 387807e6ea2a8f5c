"""Exact bars: trades in, bars out, the same however the trades are batched.

>>> DollarBars.kind
'dollar'
"""

from etl.bars.builder import Bars
from etl.bars.dollar import DollarBars
from etl.bars.interval import TimeBars
from etl.bars.schema import BAR_SCHEMA
from etl.bars.state import State
from etl.bars.tick import TickBars
from etl.bars.volume import VolumeBars

from etl.bars.catalog import bar_set_id, bar_types, build_bars, new_bars, read_state  # isort: skip

__all__ = [
    "BAR_SCHEMA", "Bars", "DollarBars", "State", "TickBars", "TimeBars", "VolumeBars", "bar_set_id", "bar_types",
    "build_bars", "new_bars", "read_state",
]  # fmt: skip
