"""The agent strategy ``supervisor``."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Generator
from typing import Any

from dify_plugin.entities.agent import AgentInvokeMessage
from dify_plugin.interfaces.agent import AgentStrategy
from orchestration.errors import InvokeBadRequestError, SupervisorError
from orchestration.graph import run_graph
from orchestration.parameters import new_run
from orchestration.reading import language_of
from orchestration.usage import execution_metadata
from orchestration.words import WORDS

logger = logging.getLogger(__name__)


class SupervisorStrategy(AgentStrategy):
    """Plans a question's steps, works on them with tools, and writes an answer with citations."""

    def _invoke(self, parameters: dict[str, Any]) -> Generator[AgentInvokeMessage, None, None]:
        """One run; its messages as they are made, the totals as the last one.

        Raises:
            SupervisorError: with a sentence for the user, once the log is closed.
        """
        try:
            run = new_run(self.session, parameters)
            yield from run_graph(run)
        except SupervisorError as error:
            # A new one, for Dify's user is shown what hangs on the old one.
            raise type(error)(str(error)) from None
        except Exception as error:
            # Without the message, which may quote the user.
            frames = "".join(traceback.format_tb(error.__traceback__))
            logger.error("a run ended unexpectedly: %s\n%s", type(error).__name__, frames)
            words = WORDS[language_of(str(parameters.get("query") or ""))]
            raise InvokeBadRequestError(words.unexpected.format(kind=type(error).__name__)) from None
        yield self.create_json_message({"execution_metadata": execution_metadata(run.usage), **run.summary})
