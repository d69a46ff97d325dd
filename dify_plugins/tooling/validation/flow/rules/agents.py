"""Rules about agent nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dify_plugins.tooling.validation.declarations.tool import ToolParameter
from dify_plugins.tooling.validation.document import Loc
from dify_plugins.tooling.validation.flow.flow import Flow
from dify_plugins.tooling.validation.flow.inputs import Inputs
from dify_plugins.tooling.validation.flow.nodes import Agent
from dify_plugins.tooling.validation.problem import Problem, listed, meant, shown
from dify_plugins.tooling.validation.rules.sources import MODEL_CLASSES

_TOOLS = "array[tools]"
_TYPES = {"builtin", "api", "workflow", "mcp"}
"""The kinds of tools in Dify; builtin is what it calls tools of plugins."""


def exist(flow: Flow) -> Iterator[Problem]:
    """A strategy of this repository is there, and gets what it takes; so do the tools it may use."""
    known = flow.catalogue.strategies
    for node, data in flow.of(Agent):
        at = (*node.at, "data")
        provider = data.agent_strategy_provider_name
        if not flow.catalogue.is_own(provider):
            continue
        if provider not in known:
            what = f"node {node.id}: there is no provider {shown(provider)}"
            loc = (*at, "agent_strategy_provider_name")
            remedy = meant(provider, known, "name one of them")
            yield flow.document.problem(loc, what, allowed=listed(known), remedy=remedy)
            continue
        strategy = known[provider].get(data.agent_strategy_name)
        if strategy is None:
            what = f"node {node.id}: there is no strategy {shown(data.agent_strategy_name)}"
            remedy = meant(data.agent_strategy_name, known[provider], "name one of them")
            loc = (*at, "agent_strategy_name")
            yield flow.document.problem(loc, what, allowed=listed(known[provider]), remedy=remedy)
            continue
        given: Loc = (*at, "agent_parameters")
        yield from Inputs(flow, node.id, given, data.agent_parameters).problems(strategy.parameters)
        for parameter in strategy.parameters:
            value = data.agent_parameters.get(parameter.name)
            loc = (*given, parameter.name, "value")
            if value and parameter.type == "model-selector" and isinstance(value.value, dict):
                yield from _model(flow, node.id, loc, value.value, parameter.scope)
            if value and parameter.type == _TOOLS and isinstance(value.value, list):
                for index, tool in enumerate(value.value):
                    yield from _tool(flow, node.id, (*loc, index), tool)
                if not any(isinstance(tool, dict) and tool.get("enabled", True) for tool in value.value):
                    what = f"node {node.id}: no tool of {parameter.name} is enabled"
                    yield flow.document.problem(loc, what, remedy="enable one, or add one")


def _model(flow: Flow, node_id: str, at: Loc, model: dict[str, Any], scope: str | None) -> Iterator[Problem]:
    """A model that a strategy asks."""
    if not model.get("model"):
        yield flow.document.problem((*at, "model"), f"node {node_id}: no model is named", remedy="name one")
    known = flow.catalogue.models
    provider = str(model.get("provider"))
    if flow.catalogue.is_own(provider) and provider not in known:
        what = f"node {node_id}: there is no provider {shown(provider)}"
        remedy = meant(provider, known, "name one of them")
        yield flow.document.problem((*at, "provider"), what, allowed=listed(known), remedy=remedy)
    kinds = MODEL_CLASSES.keys() & set((scope or "").split("&"))
    if kinds and model.get("model_type") not in kinds:
        what = f"node {node_id}: model_type is {shown(model.get('model_type'))}"
        yield flow.document.problem((*at, "model_type"), what, allowed=listed(kinds), remedy="choose one of them")


def _tool(flow: Flow, node_id: str, at: Loc, tool: Any) -> Iterator[Problem]:
    """A tool that a strategy may use."""
    if not isinstance(tool, dict):
        what = f"node {node_id}: {shown(tool)} is no tool"
        yield flow.document.problem(at, what, allowed="provider_name and tool_name", remedy="write a mapping")
        return
    if tool.get("type") not in _TYPES:
        what = f"node {node_id}: the type of the tool is {shown(tool.get('type'))}"
        remedy = meant(tool.get("type"), _TYPES, "choose one of them")
        yield flow.document.problem((*at, "type"), what, allowed=listed(_TYPES), remedy=remedy)
    known = flow.catalogue.tools
    provider, name = str(tool.get("provider_name")), str(tool.get("tool_name"))
    if not flow.catalogue.is_own(provider):
        return
    if provider not in known:
        what = f"node {node_id}: there is no provider {shown(provider)}"
        remedy = meant(provider, known, "name one of them")
        yield flow.document.problem((*at, "provider_name"), what, allowed=listed(known), remedy=remedy)
    elif name not in known[provider]:
        what = f"node {node_id}: there is no tool {shown(name)}"
        remedy = meant(name, known[provider], "name one of them")
        yield flow.document.problem((*at, "tool_name"), what, allowed=listed(known[provider]), remedy=remedy)
    else:
        parameters = known[provider][name].parameters
        yield from _required(flow, node_id, at, tool, parameters)
        for key, forms in (("parameters", {"llm"}), ("settings", {"form", "schema"})):
            names = [parameter.name for parameter in parameters if parameter.form in forms]
            for found in tool.get(key) or ():
                if found not in names:
                    what = f"node {node_id}: {name} has no parameter {shown(found)} among its {key}"
                    remedy = meant(found, names, "remove it")
                    yield flow.document.problem(
                        (*at, key, found), what, allowed=listed(names), remedy=remedy, of_key=True
                    )


def _required(
    flow: Flow, node_id: str, at: Loc, tool: dict[str, Any], parameters: list[ToolParameter]
) -> Iterator[Problem]:
    """What a tool needs is left to the model (``auto: 1``), or has a value."""
    for parameter in parameters:
        key = "parameters" if parameter.form == "llm" else "settings"
        values = tool.get(key) or {}
        given = values.get(parameter.name) if isinstance(values, dict) else None
        has_value = isinstance(given, dict) and (given.get("auto") == 1 or given.get("value") not in (None, ""))
        if parameter.required and parameter.default is None and not has_value:
            what = f"node {node_id}: {tool['tool_name']} needs {parameter.name}, and nobody gives it"
            remedy = f"add {parameter.name} with auto: 1, or with a value"
            yield flow.document.problem((*at, key, parameter.name), what, remedy=remedy, of_key=True)
