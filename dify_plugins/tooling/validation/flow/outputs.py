"""The variables that a node gives."""

from __future__ import annotations

from dify_plugins.tooling.validation.flow import nodes
from dify_plugins.tooling.validation.flow.catalogue import Catalogue
from dify_plugins.tooling.validation.flow.flow import FlowNode
from dify_plugins.tooling.validation.rules.outputs import RESERVED

_FIXED: dict[type[nodes.NodeData], set[str]] = {
    nodes.End: set(),
    nodes.Answer: {"answer", "files"},
    nodes.HttpRequest: {"status_code", "body", "headers", "files"},
    nodes.IfElse: {"result", "selected_case_id"},
    nodes.Template: {"output"},
    nodes.QuestionClassifier: {"class_name", "class_label", "class_id", "usage"},
    nodes.DocumentExtractor: {"text"},
    nodes.ListOperator: {"result", "first_record", "last_record"},
    nodes.Assigner: set(),
    nodes.Iteration: {"output"},
    nodes.IterationStart: set(),
    nodes.KnowledgeRetrieval: {"result", "files"},
}
_OF_FIELDS = {
    **dict.fromkeys(("text-input", "paragraph", "select"), "string"),
    **{"number": "number", "checkbox": "boolean", "file": "file", "file-list": "array[file]", "json_object": "object"},
}
"""Types of variables, by the type of the field that a user fills in."""
ERROR = {"error_message", "error_type"}
SYSTEM = {"files", "user_id", "app_id", "workflow_id", "workflow_run_id", "timestamp"}
SYSTEM_OF_CHAT = SYSTEM | {"query", "conversation_id", "dialogue_count"}


def outputs(node: FlowNode, catalogue: Catalogue) -> set[str] | None:
    """The variables of a node; none where a plugin of others decides them."""
    names = _names(node.data, catalogue)
    return names | ERROR if names is not None and node.data.error_strategy else names


def type_of(node: FlowNode, variable: str, catalogue: Catalogue) -> str | None:
    """The type of a variable of a node; none where the flow and the plugins do not say it."""
    match node.data:
        case nodes.Start(variables=fields):
            return next((_OF_FIELDS[field.type] for field in fields if field.variable == variable), None)
        case nodes.Code(outputs=given):
            return given[variable].type if variable in given else None
        case nodes.Tool(provider_id=provider, tool_name=name):
            tool = catalogue.tools.get(provider, {}).get(name)
            schema = tool.output_schema.properties.get(variable) if tool and tool.output_schema else None
            return schema.type if schema else None
        case nodes.Llm() | nodes.Template() if variable in {"text", "output"}:
            return "string"
        case _:
            return None


def _names(data: nodes.NodeData, catalogue: Catalogue) -> set[str] | None:
    match data:
        case nodes.Start():
            return {variable.variable for variable in data.variables}
        case nodes.Llm():
            structured = data.structured_output_enabled or data.structured_output_switch_on
            return {"text", "reasoning_content", "usage", "finish_reason", "files"} | (
                {"structured_output"} if structured else set()
            )
        case nodes.Code():
            return set(data.outputs)
        case nodes.ParameterExtractor():
            return {parameter.name for parameter in data.parameters} | {"__is_success", "__reason", "__usage"}
        case nodes.VariableAggregator():
            groups = data.advanced_settings
            if groups and groups.group_enabled:
                return {group.group_name for group in groups.groups}
            return {"output"}
        case nodes.Tool():
            tool = catalogue.tools.get(data.provider_id, {}).get(data.tool_name)
            return {*RESERVED, *(tool.output_schema.properties if tool.output_schema else ())} if tool else None
        case nodes.Agent():
            found = catalogue.strategies.get(data.agent_strategy_provider_name, {}).get(data.agent_strategy_name)
            if not found:
                return None
            return {*RESERVED, "usage", *(found.output_schema.properties if found.output_schema else ())}
        case _:
            return _FIXED[type(data)]
