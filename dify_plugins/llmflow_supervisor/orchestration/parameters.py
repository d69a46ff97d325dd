"""The strategy's parameters, as Dify sends them, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dify_plugin.core.runtime import Session
from dify_plugin.interfaces.agent import AgentModelConfig, ToolEntity
from pydantic import ValidationError

from orchestration.budget import cut
from orchestration.errors import InvokeBadRequestError
from orchestration.model import Model
from orchestration.prompts import Prompts
from orchestration.reading import language_of
from orchestration.run import Run
from orchestration.toolbox import Toolbox
from orchestration.words import WORDS, Words

_ITERATIONS = range(1, 31)
_DEFAULT_ITERATIONS = 6
_LONGEST = 100_000
"""Characters of a text; a request with one has to stay below the 5 MB that Dify's daemon takes in a line."""
_QUESTION = 2
"""The question takes at most one of so many parts of the prompt."""


def new_run(session: Session, parameters: Mapping[str, Any]) -> Run:
    """A run over the parameters of ``strategies/supervisor.yaml``.

    Raises:
        InvokeBadRequestError: one of them cannot be used; in the language of the query.
    """
    query = str(parameters.get("query") or "").strip()
    instruction = str(parameters.get("instruction") or "").strip()
    language = language_of(query or instruction)
    words = WORDS[language]
    if not query:
        raise InvokeBadRequestError(words.no_query)
    for name, text in (("query", query), ("instruction", instruction)):
        if len(text) > _LONGEST:
            raise InvokeBadRequestError(words.too_long.format(name=name, length=len(text), most=_LONGEST))
    maximum_rounds = _iterations(parameters.get("maximum_iterations"), words)
    tools = [_tool(tool, words) for tool in parameters.get("tools") or ()]
    if not tools:
        raise InvokeBadRequestError(words.no_tools)
    config = _model(parameters.get("model"), words)
    try:
        model = Model(session, config, words)
    except ValueError as error:
        raise InvokeBadRequestError(words.bad_model.format(reason=error)) from None
    question = cut(query, model.room // _QUESTION, words)
    return Run(
        question=question,
        prompts=Prompts(language, instruction),
        words=words,
        history=config.history_prompt_messages,
        model=model,
        tools=Toolbox(session, tools, words),
        maximum_rounds=maximum_rounds,
        notices=[] if question == query else [words.question_cut],
    )


def _iterations(value: Any, words: Words) -> int:
    if value is None or value == "":
        return _DEFAULT_ITERATIONS
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 0
    if number not in _ITERATIONS:
        raise InvokeBadRequestError(words.bad_iterations.format(value=value))
    return int(number)


def _tool(value: Any, words: Words) -> ToolEntity:
    try:
        return ToolEntity.model_validate(value)
    except ValidationError as error:
        identity = value.get("identity") if isinstance(value, Mapping) else None
        name = identity.get("name") if isinstance(identity, Mapping) else value
        raise InvokeBadRequestError(words.bad_tool.format(name=name, reason=_first(error))) from None


def _model(value: Any, words: Words) -> AgentModelConfig:
    try:
        return AgentModelConfig.model_validate(value)
    except (ValidationError, TypeError, KeyError) as error:
        reason = _first(error) if isinstance(error, ValidationError) else type(error).__name__
        raise InvokeBadRequestError(words.bad_model.format(reason=reason)) from None


def _first(error: ValidationError) -> str:
    """Where a value is wrong, and why."""
    first = error.errors(include_url=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
