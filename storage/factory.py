"""The object store that a place of the settings means."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.base import ObjectStore
from storage.local import LocalStorage


def object_store(place: Mapping[str, Any], *, root: Path) -> ObjectStore:
    """The store of a place, as `config.places` gives its options: the folder `root`, another folder, or a bucket.

    Asks nothing of the network yet. Raises: SettingsInvalid, StorageRefused.

    >>> object_store({"type": "local"}, root=Path("data/raw/ready")).name
    'data/raw/ready'
    """
    options = dict(place)
    kind = options.pop("type")
    if kind == "local":
        return LocalStorage(root)
    if kind == "folder":
        return LocalStorage(options["path"])
    assert kind == "s3", kind
    from storage.looking_first import LookingFirst
    from storage.s3 import S3Storage  # botocore takes 0.2 s to import, and a local lake needs none of it
    from storage.s3_options import S3Options

    has_conditions = options.pop("conditional_writes", True)
    store = S3Storage(S3Options(**options))
    return store if has_conditions else LookingFirst(store)


def place_name(place: Mapping[str, Any]) -> str:
    """What tells a place from all others, without secrets.

    >>> place_name({"type": "s3", "endpoint_url": None, "bucket": "lake", "prefix": "pi", "secret_access_key": "x"})
    's3 None lake pi'
    """
    if place["type"] == "s3":
        return f"s3 {place['endpoint_url']} {place['bucket']} {place['prefix']}"
    return f"{place['type']} {place.get('path', '')}"
