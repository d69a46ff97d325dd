"""Failures as Dify shows them: one plain sentence or two, of a class that Dify knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dify_plugin.errors.model import (
    CredentialsValidateFailedError,
    InvokeAuthorizationError,
    InvokeBadRequestError,
    InvokeConnectionError,
    InvokeError,
    InvokeRateLimitError,
    InvokeServerUnavailableError,
)

_KINDS: tuple[type[InvokeError], ...] = (
    InvokeAuthorizationError,
    InvokeBadRequestError,
    InvokeConnectionError,
    InvokeRateLimitError,
    InvokeServerUnavailableError,
)


class PlainFailures:
    """Mixed into a model: errors of the server keep their class and their message.

    The SDK would put a prefix before the message, and replace that of a refused key by an English one.
    """

    @property
    def _invoke_error_mapping(self) -> dict[type[InvokeError], list[type[Exception]]]:
        return {kind: [kind] for kind in _KINDS}

    def _transform_invoke_error(self, error: Exception) -> InvokeError:
        if isinstance(error, _KINDS):
            return error
        return super()._transform_invoke_error(error)  # type: ignore[misc, no-any-return]


@contextmanager
def validation() -> Iterator[None]:
    """Failures within are what is wrong with the credentials."""
    try:
        yield
    except InvokeError as error:
        raise CredentialsValidateFailedError(str(error)) from error
