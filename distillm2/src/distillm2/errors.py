"""The package's one error: what a person can mend. Anything else that is raised is a fault of ours."""

from __future__ import annotations


class DistillationError(ValueError):
    """Names the bad value, what is allowed and what to do."""
