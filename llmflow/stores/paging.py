"""Pages of what there is too much of."""

from __future__ import annotations

from llmflow.errors import InvalidInputError


def check_page(limit: int, offset: int) -> None:
    """Whether there is such a page.

    Raises:
        InvalidInputError: ``limit`` is below 1 or ``offset`` below 0.
    """
    if limit < 1 or offset < 0:
        raise InvalidInputError(
            f"limit {limit} and offset {offset} name no page; limit must be at least 1, offset at least 0",
            param="limit" if limit < 1 else "offset",
        )
