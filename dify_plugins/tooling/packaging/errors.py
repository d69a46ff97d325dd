"""What stops a package from being made or trusted."""

from __future__ import annotations


class PackagingError(Exception):
    """Says in one text what is wrong and what to do."""
