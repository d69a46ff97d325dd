"""What users are told when something goes wrong.

Dify shows the message of an error alone if its class has the name of one of the SDK's five errors of models; that of
any other it puts into a sentence of its own. Hence the five names here.
"""

from __future__ import annotations

import traceback
from pathlib import Path

from dify_plugin.errors.model import InvokeError

from llmflow_client.foreign_json import clean


class LLMFlowError(InvokeError):
    """One or two sentences for people: what happened, and what to do. Raised as one of the classes below.

    dify_plugin 0.10 sends tracebacks to Dify, and Dify shows them in the form for credentials; this has none.

    Attributes:
        status: HTTP status with which the server, or a proxy before it, refused; None where nobody did.
    """

    __traceback__ = None

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(clean(message))
        self.status = status


class InvokeAuthorizationError(LLMFlowError):
    """The key is none, or may not do that."""


class InvokeBadRequestError(LLMFlowError):
    """What was asked for, or what it was asked with, will not do."""


class InvokeConnectionError(LLMFlowError):
    """Nobody answers, or too late, or something other than LLMFlow."""


class InvokeRateLimitError(LLMFlowError):
    """The key has made more requests than it may."""


class InvokeServerUnavailableError(LLMFlowError):
    """The server failed, or cannot do that now."""


def place_of(error: BaseException) -> str:
    """The type of an error and where it arose, for the log: its message may hold what users wrote."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at " + " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)


def refused(message: str, status: int) -> LLMFlowError:
    """The error of a request that was answered with an HTTP status of 400 or more."""
    match status:
        case 401 | 403:
            return InvokeAuthorizationError(message, status)
        case 429:
            return InvokeRateLimitError(message, status)
        case _ if status >= 500:
            return InvokeServerUnavailableError(message, status)
        case _:
            return InvokeBadRequestError(message, status)
