"""The credentials of the tools, checked."""

from __future__ import annotations

from typing import Any

from dify_plugin import ToolProvider
from dify_plugin.errors.tool import ToolProviderCredentialValidationError
from llmflow_client.credentials import Credentials
from llmflow_client.errors import LLMFlowError
from llmflow_client.server import Server


class RefusedCredentialsError(LLMFlowError, ToolProviderCredentialValidationError):
    """The address or the key will not do; the message says which."""


class LLMFlowProvider(ToolProvider):
    """Asks the server who the key is. Any role will do: what a role may not is told where it is tried."""

    def _validate_credentials(self, credentials: dict[str, Any]) -> None:
        try:
            Server(Credentials.of(credentials)).get("/v1/me", "tenant", "departments", "role")
        except LLMFlowError as error:
            raise RefusedCredentialsError(str(error)) from None
