"""Windows over a ranking that is longer than one prompt, from its back to its front.

Sun et al. 2023, "Is ChatGPT Good at Search?": windows overlap, so that a good passage is carried
from window to window up to the head.
"""

from __future__ import annotations

from collections.abc import Iterator


def windows(count: int, size: int, step: int) -> Iterator[tuple[int, int]]:
    """Start and end of each window of at most ``size`` of ``count`` passages; the last starts at 0.

    Args:
        step: passages between the ends of two windows, less than ``size``.
    """
    end = count
    while end > size:
        yield end - size, end
        end = max(end - step, size)
    yield 0, end
