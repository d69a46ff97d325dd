"""Rules about tool nodes."""

from __future__ import annotations

from collections.abc import Iterator

from dify_plugins.tooling.validation.flow.flow import Flow
from dify_plugins.tooling.validation.flow.inputs import Inputs
from dify_plugins.tooling.validation.flow.nodes import Tool
from dify_plugins.tooling.validation.problem import Problem, listed, meant, shown


def exist(flow: Flow) -> Iterator[Problem]:
    """A tool of this repository is there, and gets what it takes.

    Dify keeps what a flow's author sets (form ``form``) apart from what a run gives (form ``llm``).
    """
    known = flow.catalogue.tools
    for node, data in flow.of(Tool):
        at = (*node.at, "data")
        if data.provider_name != data.provider_id:
            what = (
                f"node {node.id}: provider_name is {shown(data.provider_name)}, provider_id {shown(data.provider_id)}"
            )
            yield flow.document.problem((*at, "provider_name"), what, remedy="write the same in both")
        if not flow.catalogue.is_own(data.provider_id):
            continue
        if data.provider_id not in known:
            what = f"node {node.id}: there is no provider {shown(data.provider_id)}"
            remedy = meant(data.provider_id, known, "name one of them")
            yield flow.document.problem((*at, "provider_id"), what, allowed=listed(known), remedy=remedy)
            continue
        tools = known[data.provider_id]
        if data.tool_name not in tools:
            what = f"node {node.id}: there is no tool {shown(data.tool_name)}"
            remedy = meant(data.tool_name, tools, "name one of them")
            yield flow.document.problem((*at, "tool_name"), what, allowed=listed(tools), remedy=remedy)
            continue
        parameters = tools[data.tool_name].parameters
        of_runs = [parameter for parameter in parameters if parameter.form == "llm"]
        of_authors = [parameter for parameter in parameters if parameter.form != "llm"]
        yield from Inputs(flow, node.id, (*at, "tool_parameters"), data.tool_parameters).problems(of_runs)
        yield from Inputs(flow, node.id, (*at, "tool_configurations"), data.tool_configurations).problems(of_authors)
