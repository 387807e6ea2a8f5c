"""Whether a store keeps to conditions. Some take a conditional put and overwrite all the same; no answer tells."""

from uuid import uuid4

from shared.errors import ObjectConflict, StorageRefused
from storage.base import ObjectStore


def prove_conditions(store: ObjectStore, *, beside: str) -> None:
    """Try each condition of `put` once, on an object of its own whose key begins with `beside`; four requests.

    Raises: StorageRefused where one of them did not hold; StorageFailed.
    """
    key = f"{beside}-probe-{uuid4().hex}"
    store.put(key, b"1")
    try:
        for condition in ({"if_absent": True}, {"if_match": "0" * 32}):
            try:
                store.put(key, b"2", **condition)
            except ObjectConflict:
                continue
            raise StorageRefused(
                store.name,
                "the store ignores conditions: it replaced an object that it was told to leave",
                hint="Two machines could not be kept apart; where only this one writes, set conditional_writes: false",
            )
    finally:
        store.delete(key)
