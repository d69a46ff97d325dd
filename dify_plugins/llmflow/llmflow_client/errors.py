"""What users are told when something goes wrong."""

from __future__ import annotations


class LLMFlowError(Exception):
    """One or two sentences for people: what happened, and what to do.

    dify_plugin 0.10 sends tracebacks to Dify, and Dify shows them in the form for credentials; this has none.
    """

    __traceback__ = None


class RefusedError(LLMFlowError):
    """The server, or a proxy before it, answered with an error; ``status`` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
