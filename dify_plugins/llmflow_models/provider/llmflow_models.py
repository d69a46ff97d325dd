"""The provider: one LLMFlow server with one key."""

from __future__ import annotations

from typing import Any

from dify_plugin import ModelProvider
from llmflow_client.credentials import Credentials
from llmflow_client.server import Server
from models.failures import validation


class LLMFlowModelProvider(ModelProvider):
    """Offers what the server serves."""

    def validate_provider_credentials(self, credentials: dict[str, Any]) -> None:
        """Ask the server for its models.

        Raises:
            CredentialsValidateFailedError: it cannot be reached, is no LLMFlow, or does not take the key.
        """
        with validation():
            Server(Credentials.of(credentials)).model("llmflow")
