"""Tokens and money of model calls, added up."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from dify_plugin.entities.model.llm import LLMUsage

_ADDED = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "prompt_price",
    "completion_price",
    "total_price",
    "latency",
)


def plus(first: LLMUsage, second: LLMUsage) -> LLMUsage:
    """Both together, at the unit prices and in the currency of the second."""
    return second.model_copy(update={name: getattr(first, name) + getattr(second, name) for name in _ADDED})


def execution_metadata(usage: LLMUsage) -> dict[str, Any]:
    """As Dify's agent node reads it: numbers instead of decimals."""
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in usage.model_dump().items()}
