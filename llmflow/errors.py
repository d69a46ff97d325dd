"""The one hierarchy of errors.

A message names the bad value, what is allowed and what to do. ``code`` is stable and
meant for programs; ``param`` names the argument or setting at fault.
"""

from __future__ import annotations

from typing import Any


class LLMFlowError(Exception):
    """Base of every error LLMFlow raises on purpose.

    Args:
        message: what is wrong, what is allowed and what to do.
        param: the argument, setting or file at fault.
        details: further values for programs; must be JSON-serialisable.
    """

    code = "internal_error"

    def __init__(self, message: str, *, param: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.details = details

    def to_dict(self) -> dict[str, Any]:
        """The error in the form every interface reports it."""
        return {
            "code": self.code,
            "message": self.message,
            "type": type(self).__name__,
            "param": self.param,
            "details": self.details,
        }


class ConfigurationError(LLMFlowError):
    """A setting is unknown, malformed or contradicts another."""

    code = "configuration"


class InvalidInputError(LLMFlowError):
    """An argument of a call is outside what is allowed."""

    code = "invalid_input"


class ConflictError(InvalidInputError):
    """The call cannot be taken while something else is under way."""

    code = "conflict"


class NotFoundError(LLMFlowError):
    """The named thing does not exist in the caller's scope."""

    code = "not_found"


class AuthenticationError(LLMFlowError):
    """There is no credential, or it is not valid (any more)."""

    code = "unauthenticated"


class ForbiddenError(LLMFlowError):
    """The credential is valid, but its role does not allow the call."""

    code = "forbidden"


class TooLargeError(LLMFlowError):
    """A request or a file is larger than allowed."""

    code = "too_large"


class RateLimitedError(LLMFlowError):
    """A key made more requests than it may; ``details`` has ``retry_after_s``."""

    code = "rate_limited"


class OverloadedError(LLMFlowError):
    """The server has as many requests in progress as it takes; ``details`` has ``retry_after_s``."""

    code = "overloaded"


class DeadlineError(LLMFlowError):
    """The time allowed for a request is over."""

    code = "timeout"


class StoreHeldError(LLMFlowError):
    """Another process owns the embedded stores."""

    code = "store_held"


class UpstreamError(LLMFlowError):
    """A server LLMFlow calls (LLM, Langfuse, ...) failed or did not answer in time."""

    code = "upstream"


class DocumentError(LLMFlowError):
    """A document cannot be ingested; ``reason`` says which kind of problem it is.

    Args:
        reason: one of :class:`llmflow.schema.FailureReason`'s values.
        message: what is wrong with this file and what its owner can do.
    """

    code = "document"

    def __init__(self, reason: str, message: str, *, param: str | None = None, **details: Any) -> None:
        super().__init__(message, param=param, reason=reason, **details)
        self.reason = reason
