"""`StatefulFeatureProcessor` as its users meet it."""

import pytest

from etl.features.stateful import StatefulFeatureProcessor


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"max_level": 3}, "max_level is not an option of features: did you mean max_levels?"),
        ({"horizons": "5s"}, "horizons: Expected `array`, got `str`"),
        ({"ofi_levels": 11}, "ofi_levels must be at most half of max_levels"),
        ({"bands_bps": (5, 10)}, "bands_bps must ascend from 0"),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_name(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("?", r"\?")):
        StatefulFeatureProcessor(**options)
