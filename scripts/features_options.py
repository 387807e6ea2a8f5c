"""The options of features, as the settings give them."""

from config.config import Settings
from etl.features.options import FeatureOptions
from shared.errors import SettingsInvalid


def feature_options(settings: Settings) -> FeatureOptions:
    """What `etl.channels.orderbook.processor_options` says. Raises: SettingsInvalid naming the option that is wrong."""
    try:
        return FeatureOptions.of(settings.etl.channels.orderbook.processor_options)
    except ValueError as error:
        raise SettingsInvalid(f"etl.channels.orderbook.processor_options.{error}") from error
