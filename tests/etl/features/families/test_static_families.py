"""Features of one book: equal to the slow reference, which stands on exact fractions, over books of every shape."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.features.declared import StatelessFamily, computed, families
from etl.features.options import FeatureOptions
from tests.etl.features.made_rows import S0, S1, made_rows
from tests.etl.features.reference.books import Book
from tests.etl.features.reference.numbers import exact
from tests.etl.features.reference.options import Options
from tests.etl.features.reference.static import structural

CHOICES: list[dict[str, object]] = [
    {},
    {"max_levels": 3, "ofi_levels": 1, "depth_levels": 2, "smart_depth_kind": "index", "level_columns": False},
    {
        "bands_bps": (0, 2, 7.5, 30),
        "slope_kinds": ("gn", "ns"),
        "lot_size": 0.5,
        "cost_base_sizes": (0.002, 7),
        "cost_quote_sizes": (0.5, 1e6),
    },
    {"max_levels": 1, "ofi_levels": 1, "bands_bps": (0, 20), "cost_quote_sizes": ()},
]
NAMES = ["default", "few levels", "everything", "one level"]
sizes = st.sampled_from([0.001, 1.0, 2.5, 7.0, 1e6])
steps = st.lists(st.tuples(st.integers(1, 300), sizes), max_size=6)


@st.composite
def books(draw: st.DrawFn) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Bids and asks, best first, in cents; one side may be empty, and the best may be equal."""
    mid, sides = draw(st.integers(5_000, 20_000)), []
    for sign in (-1, 1):
        at, side = mid + sign * draw(st.integers(0, 3)), []
        for step, size in draw(steps):
            side.append((at / 100, size))
            at += sign * step
        sides.append(side)
    return sides[0], sides[1]


def told(book: tuple[object, ...], chosen: dict[str, object]) -> dict[str, float]:
    options = FeatureOptions.of({"hf_emit_interval": 0, **chosen})
    made_by = {name: f for name, f in families(options).items() if isinstance(f, StatelessFamily)}
    return {name: float(values[0]) for name, values in computed(made_by, made_rows([book], options=options)).items()}


@pytest.mark.parametrize("chosen", CHOICES, ids=NAMES)
@given(book=books())
def test_each_feature_is_the_references(
    book: tuple[list[tuple[float, float]], list[tuple[float, float]]], chosen: dict[str, object]
) -> None:
    bids, asks = book
    if not bids and not asks:
        return
    options = Options(**chosen)  # type: ignore[arg-type]
    cut = [[(exact(p), exact(q)) for p, q in side[: options.max_levels]] for side in book]
    expected = structural(Book(0, tuple(cut[0]), tuple(cut[1])), options)
    for name, value in told((0.0, bids, asks), chosen).items():
        if expected[name] is None:
            assert math.isnan(value), name
        else:
            assert value == pytest.approx(float(expected[name]), rel=1e-9, abs=1e-9), name  # type: ignore[arg-type]


@pytest.mark.parametrize("book", [S0, S1], ids=["S0", "S1"])
def test_a_level_beyond_the_last_changes_nothing(
    book: tuple[float, list[tuple[float, float]], list[tuple[float, float]]],
) -> None:
    t, bids, asks = book
    few = CHOICES[1]
    assert told(book, few) == pytest.approx(
        told((t, [*bids, (1.0, 5.0)], [*asks, (1e6, 5.0)]), few), rel=0, abs=0, nan_ok=True
    )
