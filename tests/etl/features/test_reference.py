"""The reference against what others compute: numpy's least squares and statistics."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.etl.features.reference.numbers import exact, fitted
from tests.etl.features.reference.windows import variance

NUMBERS = st.integers(-1000, 1000).map(lambda whole: whole / 100)


@settings(max_examples=50, deadline=None)
@given(points=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=30), with_intercept=st.booleans())
def test_a_line_is_numpys(points: Sequence[tuple[float, float]], with_intercept: bool) -> None:
    x, y = np.array(points).T
    line = fitted([exact(a) for a in x], [exact(b) for b in y], with_intercept=with_intercept)
    if (x == (x[0] if with_intercept else 0)).all():
        assert line is None
        return
    assert line is not None
    design = np.column_stack([x, np.ones_like(x)][: 1 + with_intercept])
    (slope, *_), _, _, _ = np.linalg.lstsq(design, y)
    assert float(line.slope) == pytest.approx(slope, rel=1e-9, abs=1e-9)


@given(values=st.lists(NUMBERS, min_size=2, max_size=20))
def test_a_variance_is_numpys(values: list[float]) -> None:
    assert float(variance([exact(one) for one in values])) == pytest.approx(np.var(values, ddof=1), abs=1e-12)
