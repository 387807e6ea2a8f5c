"""Keeps a lake and an archive in step: `StorageSync` is the way in; see docs/sync.md."""

from storage.sync.storage_sync import StorageSync, SyncOptions

__all__ = ["StorageSync", "SyncOptions"]
