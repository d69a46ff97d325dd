"""Names of objects.

An original's key is its document's id and the hash of its bytes. Two documents with the same
bytes keep one copy each: deleting a document then removes every trace of it and harms no
other, with no count of references that a killed process could leave wrong.
"""

from __future__ import annotations

import re

from llmflow.errors import InvalidInputError, NotFoundError
from llmflow.schema import Scope

_PART = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_LONGEST_KEY = 512  # S3 allows 1,024 bytes, tenant and all
_LONGEST_TENANT = 255
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-")


def original_key(document_id: str, sha256: str) -> str:
    """The key of a document's original."""
    return f"{originals_folder(document_id)}/{sha256}"


def originals_folder(document_id: str) -> str:
    """The folder of a document's originals: one, or two while a changed file is ingested."""
    return f"originals/{document_id[:2]}/{document_id}"


def staged_key(document_id: str, job_id: str) -> str:
    """The key of what was handed in for a job, until the job has made it the document's original."""
    return f"{staged_folder(document_id)}/{job_id}"


def staged_folder(document_id: str) -> str:
    """The folder of what was handed in for a document's jobs."""
    return f"staged/{document_id[:2]}/{document_id}"


def located(scope: Scope, key: str) -> str:
    """Where the object lies in the store: ``TENANT/KEY``.

    Raises:
        InvalidInputError: the key or the tenant is outside what is allowed.
    """
    if len(key) > _LONGEST_KEY or not all(_PART.fullmatch(part) for part in key.split("/")):
        raise InvalidInputError(
            f"key {key!r} is not allowed; a key is parts of lower-case letters, digits, '.', '_' and '-' that start "
            f"with a letter or digit, joined by '/', of 128 characters at most each and {_LONGEST_KEY} altogether",
            param="key",
        )
    return f"{tenant_folder(scope)}/{key}"


def tenant_folder(scope: Scope) -> str:
    """The folder of all objects of the scope's tenant.

    Raises:
        InvalidInputError: the tenant's name is too long, or empty.
    """
    # Every byte but the plain ones is written as %xx: no name leaves the root, and names that differ
    # only in case or Unicode form stay apart on file systems that would take them for one.
    folder = "".join(
        chr(byte) if byte in _PLAIN else f"%{byte:02x}" for byte in scope.tenant.encode("utf-8", "surrogatepass")
    )
    if not 1 <= len(folder) <= _LONGEST_TENANT:
        raise InvalidInputError(
            f"tenant {scope.tenant!r} cannot name a folder; it must have 1 to {_LONGEST_TENANT} lower-case letters and "
            "digits (other ASCII characters count threefold, Korean ones ninefold)",
            param="tenant",
        )
    return folder


def absent(key: str) -> NotFoundError:
    """The error of a key without an object."""
    return NotFoundError(f"no object {key!r}; it was deleted or never stored", param="key")
