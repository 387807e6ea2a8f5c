"""Exact bars: trades in, bars out, the same however the trades are batched.

>>> DollarBars.kind
'dollar'
"""

from etl.bars.builder import Bars
from etl.bars.dollar import DollarBars
from etl.bars.imbalance import DollarImbalanceBars, TickImbalanceBars, VolumeImbalanceBars
from etl.bars.interval import TimeBars
from etl.bars.runs import DollarRunBars, TickRunBars, VolumeRunBars
from etl.bars.schema import BAR_SCHEMA
from etl.bars.state import State
from etl.bars.streak import StreakBars
from etl.bars.tick import TickBars
from etl.bars.volume import VolumeBars

from etl.bars.catalog import bar_set_id, bar_types, build_bars, new_bars, read_state  # isort: skip

__all__ = [
    "BAR_SCHEMA", "Bars", "DollarBars", "DollarImbalanceBars", "DollarRunBars", "State", "StreakBars", "TickBars",
    "TickImbalanceBars", "TickRunBars", "TimeBars", "VolumeBars", "VolumeImbalanceBars", "VolumeRunBars", "bar_set_id",
    "bar_types", "build_bars", "new_bars", "read_state",
]  # fmt: skip
