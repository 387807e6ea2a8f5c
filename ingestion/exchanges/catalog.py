"""Every native exchange by its name in the lake: a module of this package that defines an `EXCHANGE` is found here."""

import importlib
import pkgutil
from functools import cache

import ingestion.exchanges
from ingestion.exchanges.protocol import Exchange


@cache
def native_exchanges() -> dict[str, type[Exchange]]:
    """The classes by `profile.name`, in the order of their names; a module may offer several as `EXCHANGES`.

    >>> "coinbaseadvanced" in native_exchanges()
    True
    """
    found: dict[str, type[Exchange]] = {}
    for module_name in sorted(each.name for each in pkgutil.iter_modules(ingestion.exchanges.__path__)):
        module = importlib.import_module(f"ingestion.exchanges.{module_name}")
        offered = [*getattr(module, "EXCHANGES", ()), getattr(module, "EXCHANGE", None)]
        classes = [each for each in offered if isinstance(each, type) and issubclass(each, Exchange)]
        found |= {each.profile.name: each for each in classes}
    return dict(sorted(found.items()))
