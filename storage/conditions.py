"""Whether a store keeps to conditions. Some take a conditional put and overwrite all the same; no answer tells."""

from uuid import uuid4

from shared.errors import ObjectConflict, StorageRefused, StorageUnreachable
from storage.base import ObjectStore


def prove_conditions(store: ObjectStore, *, beside: str) -> None:
    """Try each condition of `put` once, on an object of its own whose key begins with `beside`; four requests.

    Raises: StorageRefused where one of them did not hold; StorageFailed.
    """
    key = f"{beside}-probe-{uuid4().hex}"
    try:
        store.put(key, b"1")
    except StorageRefused as error:  # what is wrong is not of this object
        raise StorageRefused(store.name, error.reason, hint=error.hint) from error
    except StorageUnreachable as error:
        raise StorageUnreachable(store.name, error.reason) from error
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
