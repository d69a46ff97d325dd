"""The errors of plugins as Dify words them (api/core/plugin/impl/base.py of langgenius/dify)."""

from __future__ import annotations

from dify_plugins.tooling.daemon import PluginError

_SAID_ALONE = {
    "InvokeAuthorizationError",
    "InvokeBadRequestError",
    "InvokeConnectionError",
    "InvokeRateLimitError",
    "InvokeServerUnavailableError",
}
"""Classes of errors whose message Dify passes on as it is."""


def said(provider: str, error: PluginError) -> str:
    """What Dify says of an error; of most in a sentence of its own, which says this in this order."""
    if error.kind in _SAID_ALONE:
        return error.message
    return f"The plugin of {provider} failed, error type: {error.kind}, error details: {error.message}"


def said_alone(error: PluginError) -> str:
    """The message of an error, once it is sure that Dify says nothing else, and that nothing of Python goes with it."""
    assert error.kind in _SAID_ALONE
    assert error.args_sent["description"] == error.message, "which earlier versions of Dify say"
    return without_python(error)


def without_python(error: PluginError) -> str:
    """The message of an error, once it is sure that nothing of Python is told with it."""
    told = f"{error.message} {error.args_sent}"
    assert "Traceback" not in told
    assert ".py" not in told
    return error.message
