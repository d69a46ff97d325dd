"""What DOCX, PPTX and XLSX share: opening the package behind the guards."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TypeVar

from llmflow.errors import DocumentError
from llmflow.ingestion.parsers.archive import open_zip
from llmflow.ingestion.parsers.base import Content, Source
from llmflow.schema import FailureReason

T = TypeVar("T")


def open_package(source: Source, opener: Callable[[io.BytesIO], T], content: Content) -> T:
    """The document as ``opener`` reads it, once the container is known to be harmless.

    Embedded files are left out, which ``content`` is told.

    Raises:
        DocumentError: as :func:`~.archive.open_zip`, or malformed.
    """
    with open_zip(source) as archive:
        embedded = sum("/embeddings/" in name for name in archive.namelist())
    if embedded:
        content.warnings.append(f"left out {embedded} embedded files")
    try:
        return opener(io.BytesIO(source.data))
    except (DocumentError, MemoryError):
        raise
    except Exception as error:
        raise source.error(
            FailureReason.MALFORMED, f"its structure is broken ({type(error).__name__}: {error}); save it again"
        ) from error
