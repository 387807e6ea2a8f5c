"""The options of features, as the settings give them."""

import reprlib
from collections.abc import Mapping
from inspect import get_annotations
from typing import Any

from config.config import Settings
from config.reference import kind
from etl.features import trade_features
from etl.features.options import FeatureOptions
from etl.transforms.trades import TradesTransform
from shared.errors import SettingsInvalid


def feature_options(settings: Settings) -> FeatureOptions:
    """What the `processor_options` of all channels say.

    Raises: SettingsInvalid naming the option that is wrong, by its whole key.
    """
    channels = settings.etl.channels
    for name in channels.ticker.processor_options:
        raise SettingsInvalid(f"etl.channels.ticker.processor_options.{name}: the ticker has no options")
    window = channels.trades.processor_options.get("dedup_window", 1)
    if not isinstance(window, int) or isinstance(window, bool) or window < 1:
        raise SettingsInvalid(
            f"etl.channels.trades.processor_options.dedup_window: {_found(window)}, expected whole number, at least 1"
        )
    of_trades = {
        name: value for name, value in channels.trades.processor_options.items() if name not in TradesTransform.OPTIONS
    }
    for name in of_trades:
        if name not in trade_features.OPTIONS:
            known = ", ".join((*TradesTransform.OPTIONS, *trade_features.OPTIONS))
            raise SettingsInvalid(f"etl.channels.trades.processor_options.{name}: unknown; there are {known}")
    for name in channels.orderbook.processor_options:
        if name in trade_features.OPTIONS:
            raise SettingsInvalid(
                f"etl.channels.orderbook.processor_options.{name}: it is about trades",
                hint=f"Set etl.channels.trades.processor_options.{name}",
            )
    _checked("trades", of_trades)
    return _checked("orderbook", {**channels.orderbook.processor_options, **of_trades})


def _checked(channel: str, given: Mapping[str, Any]) -> FeatureOptions:
    options = {name: _plain(value) for name, value in given.items()}
    try:
        return FeatureOptions.of(options)
    except ValueError as error:
        problem = _as_settings_say(str(error), options)
        raise SettingsInvalid(f"etl.channels.{channel}.processor_options.{problem}") from error


def _as_settings_say(problem: str, given: Mapping[str, Any]) -> str:
    """What was found and expected, where a value is of another type or out of its bounds."""
    where, _, what = problem.partition(": ")
    name = where.partition("[")[0]
    if not what.startswith(("Expected", "Invalid")):
        return problem
    return f"{name}: {_found(given[name])}, expected {kind(get_annotations(FeatureOptions)[name])}"


def _found(value: Any) -> str:
    return "found nothing" if value is None else f"found {reprlib.repr(value)}"


def _plain(value: Any) -> Any:
    """A value without what settings remember of how it was written."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return float(value) if isinstance(value, float) else value
