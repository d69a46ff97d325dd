"""The LLM's small jobs beside the answer: short, soon over, and with another way if it fails."""

from __future__ import annotations

from collections.abc import Sequence

from llmflow.models.llm import LLMClient, Message
from llmflow.settings import LLMSettings

_DEADLINE_S = 8.0
_MAX_TOKENS = 600


class Assistant:
    """Completes short texts within a few seconds, without retries and without chance."""

    def __init__(self, settings: LLMSettings) -> None:
        self._llm = LLMClient(
            settings.model_copy(
                update={
                    "timeout_s": min(settings.timeout_s, _DEADLINE_S),
                    "retries": 0,
                    "max_tokens": _MAX_TOKENS,
                    "temperature": 0.0,
                }
            )
        )

    def complete(self, messages: Sequence[Message]) -> str:
        """The text, without white space around it.

        Raises:
            UpstreamError: the endpoint failed, or was not done in time.
        """
        return self._llm.complete(messages).strip()
