"""Original files, kept as they came, in a folder or in an S3 bucket."""

from __future__ import annotations

from llmflow.settings import Settings
from llmflow.stores.objects.files import FileObjectStore
from llmflow.stores.objects.keys import original_key, originals_folder, staged_folder, staged_key
from llmflow.stores.objects.protocol import ObjectStore, StoredObject

__all__ = [
    "FileObjectStore",
    "ObjectStore",
    "StoredObject",
    "open_objects",
    "original_key",
    "originals_folder",
    "staged_folder",
    "staged_key",
]


def open_objects(settings: Settings) -> ObjectStore:
    """The store the settings name: the bucket of ``objects.s3``, else a folder.

    An S3 server is first called when the store is used.

    Raises:
        ConfigurationError: ``objects.s3`` names no endpoint or bucket there could be.
    """
    if settings.objects.s3:
        from llmflow.stores.objects.s3 import S3ObjectStore  # the SDK takes a while to import

        return S3ObjectStore(settings.objects.s3)
    return FileObjectStore(settings.objects_root)
