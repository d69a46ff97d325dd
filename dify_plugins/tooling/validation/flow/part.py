"""Base of what flows are made of."""

from __future__ import annotations

from typing import ClassVar

from dify_plugins.tooling.validation.schema import Declaration


class Part(Declaration):
    """As Dify's editor saves it: keys without a value are common there, and mean nothing."""

    may_be_empty: ClassVar[bool] = True
