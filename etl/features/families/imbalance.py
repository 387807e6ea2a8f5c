"""Which side of the book holds more, over its best levels."""

import numpy as np

from etl.compiled import kernel
from etl.features.declared import Feature, StatelessFamily
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows

_DEPTHS = (1, 3, 5, 10)
_SOURCE = "Cao, Hansch and Wang 2009; Gould and Bonart 2016"


class Imbalance(StatelessFamily):
    """Book imbalance of the first n levels, and of all. Where a side has fewer, those there are."""

    rank = 30
    options = ("max_levels",)

    def __init__(self, options: FeatureOptions) -> None:
        formula = "(D_b(n) - D_a(n)) / (D_b(n) + D_a(n))"
        names = [*(f"imbalance_L{n}" for n in _DEPTHS), "total_imbalance"]
        self.features = tuple(Feature(name, "[-1, 1]", formula, _SOURCE, "S3") for name in names)

    def update(self, rows: Rows) -> dict[str, Floats]:
        """The features of these rows."""
        deep = rows.bid_size.shape[1]
        values = (imbalance(depth(rows.bid_size[:, :n]), depth(rows.ask_size[:, :n])) for n in (*_DEPTHS, deep))
        return self.named(values)


def depth(size: Floats) -> Floats:
    """The sum over levels of (rows, levels); NaN where there is none."""
    out = np.empty(len(size))
    _add(size, out)
    return out


@kernel()
def _add(size, out):  # type: ignore[no-untyped-def]
    for k in range(len(size)):
        out[k] = size[k, 0]
        for i in range(1, size.shape[1]):
            if size[k, i] != size[k, i]:
                break
            out[k] += size[k, i]


def imbalance(bid: Floats, ask: Floats) -> Floats:
    """(bid - ask) / (bid + ask); NaN where both are 0 or one is missing."""
    out = np.full(len(bid), np.nan)
    np.divide(bid - ask, bid + ask, out=out, where=bid + ask != 0)
    return out
