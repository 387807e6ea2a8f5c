"""The options of features, as the settings give them."""

from collections.abc import Mapping
from typing import Any

from config.config import Settings
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
    try:
        return FeatureOptions.of({name: _plain(value) for name, value in given.items()})
    except ValueError as error:
        raise SettingsInvalid(f"etl.channels.{channel}.processor_options.{error}") from error


def _plain(value: Any) -> Any:
    """A value without what settings remember of how it was written."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return float(value) if isinstance(value, float) else value
