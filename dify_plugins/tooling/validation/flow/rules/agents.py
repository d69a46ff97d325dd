"""Rules about agent nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dify_plugins.tooling.validation.document import Loc
from dify_plugins.tooling.validation.flow.flow import Flow
from dify_plugins.tooling.validation.flow.inputs import Inputs
from dify_plugins.tooling.validation.flow.nodes import Agent
from dify_plugins.tooling.validation.problem import Problem, listed, meant, shown

_TOOLS = "array[tools]"


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
            if parameter.type == _TOOLS and value and isinstance(value.value, list):
                for index, tool in enumerate(value.value):
                    yield from _tool(flow, node.id, (*given, parameter.name, "value", index), tool)


def _tool(flow: Flow, node_id: str, at: Loc, tool: Any) -> Iterator[Problem]:
    """A tool that a strategy may use."""
    if not isinstance(tool, dict):
        what = f"node {node_id}: {shown(tool)} is no tool"
        yield flow.document.problem(at, what, allowed="provider_name and tool_name", remedy="write a mapping")
        return
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
        for key, forms in (("parameters", {"llm"}), ("settings", {"form", "schema"})):
            names = [parameter.name for parameter in parameters if parameter.form in forms]
            for found in tool.get(key) or ():
                if found not in names:
                    what = f"node {node_id}: {name} has no parameter {shown(found)} among its {key}"
                    remedy = meant(found, names, "remove it")
                    yield flow.document.problem(
                        (*at, key, found), what, allowed=listed(names), remedy=remedy, of_key=True
                    )
