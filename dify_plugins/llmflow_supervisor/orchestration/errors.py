"""What ends a run or a call, in words for people."""

from __future__ import annotations

from dify_plugin.errors.model import InvokeError

from orchestration.reading import objects_in

_LONGEST = 300


class SupervisorError(InvokeError):
    """Ends the run; the message is what Dify's user reads. Raised as one of the two classes below.

    Dify shows it alone because their names are those of errors that the SDK has for models; the message of any
    other class it puts into a sentence of its own.
    """

    # dify_plugin 0.10 sends tracebacks to Dify, and Dify shows them to its users; this error has none.
    __traceback__ = None


class InvokeBadRequestError(SupervisorError):
    """What the run was given will not do, or something unexpected happened."""


class InvokeServerUnavailableError(SupervisorError):
    """The model could not be called, or had nothing to say."""


class CallRefusedError(Exception):
    """A tool call that gave no result; the message is what the model is told."""


def reason_of(error: Exception) -> str:
    """What an error of Dify's says: the innermost ``message`` of the JSON around it, on one line."""
    text = str(error)
    while inner := next((each["message"] for each in objects_in(text) if _says_something(each)), None):
        text = inner
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    reason = lines[-1] if "Traceback" in text else " ".join(lines)
    return reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}…"


def _says_something(fields: dict[str, object]) -> bool:
    message = fields.get("message")
    return isinstance(message, str) and bool(message.strip())
