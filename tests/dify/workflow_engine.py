"""Runs Dify app flows in Dify's engine, graphon: one JSON object a line in, one out, until the input ends.

A program for ``.venv-dify-py312``, started by :class:`workflow_host.WorkflowHost`. A request has the flow (``yaml``),
the values of its inputs and environment variables, the installed plugins' identifiers, the credentials of tools and the
address of the code sandbox. What it answers is what a user of Dify would see, and what became of every node.
"""

import json
import logging
import sys
from typing import Any

import yaml
from graphon.dsl import DslError, inspect, loads
from graphon.engine.filter import EngineEventFilterContext, ResponseStreamFilter, filter_engine_events
from graphon.engine_events import (
    EngineEvent,
    GraphRunFailedEvent,
    GraphRunPartialSucceededEvent,
    GraphRunSucceededEvent,
    NodeRunExceptionEvent,
    NodeRunFailedEvent,
    NodeRunRetryEvent,
    NodeRunStreamChunkEvent,
    NodeRunSucceededEvent,
)
from graphon.file import File, FileTransferMethod, FileType

Json = dict[str, Any]


def run(request: Json) -> Json:
    """Run a flow to its end."""
    flow = prepared(request)
    engine = loads(
        yaml.safe_dump(flow, allow_unicode=True),
        credentials={
            "tool_credentials": request["tool_credentials"],
            "code": {"execution_endpoint": request["sandbox"]},
        },
        workflow_id="flow",
        run_context={"conversation_id": "conversation", "user_id": "user"},
        start_inputs={name: an_input(value) for name, value in request["inputs"].items()},
    )
    seen: Json = {"status": "failed", "error": None, "outputs": {}, "pieces": [], "nodes": {}, "retries": []}
    context = EngineEventFilterContext.from_engine(engine)
    try:
        for event in filter_engine_events(engine.run(), context=context, filters=[ResponseStreamFilter()]):
            note(event, seen)
    except Exception as error:  # the engine raises what a node without an error strategy failed with
        seen["error"] = str(error)
    return seen


def note(event: EngineEvent, seen: Json) -> None:
    """Keep what an event says."""
    match event:
        case NodeRunStreamChunkEvent():
            if event.chunk:
                running = sorted(name for name, node in seen["nodes"].items())
                seen["pieces"].append({"text": event.chunk, "finished": running})
        case NodeRunRetryEvent():
            seen["retries"].append(event.node_id)
        case NodeRunSucceededEvent() | NodeRunExceptionEvent() | NodeRunFailedEvent():
            result = event.node_run_result
            seen["nodes"][event.node_id] = {
                "status": result.status.value,
                "inputs": dict(result.inputs),
                "outputs": dict(result.outputs),
                "error": getattr(event, "error", None),
            }
        case GraphRunSucceededEvent() | GraphRunPartialSucceededEvent():
            seen["status"] = "succeeded" if isinstance(event, GraphRunSucceededEvent) else "partial-succeeded"
            seen["outputs"] = event.outputs
        case GraphRunFailedEvent():
            seen["error"] = event.error


def prepared(request: Json) -> Json:
    """The flow as an administrator leaves it after the import: plugins installed, environment variables set."""
    flow: Json = yaml.safe_load(request["yaml"])
    flow["dependencies"] = [
        {"type": "package", "value": {"plugin_unique_identifier": each}} for each in request["plugins"]
    ]
    for variable in flow["workflow"]["environment_variables"]:
        variable["value"] = request["environment"].get(variable["name"], variable["value"])
    return flow


def an_input(value: Any) -> Any:
    """An input's value; a mapping with a URL is a file that the user uploaded."""
    if not (isinstance(value, dict) and "url" in value):
        return value
    return File(
        type=FileType.CUSTOM,
        transfer_method=FileTransferMethod.REMOTE_URL,
        remote_url=value["url"],
        filename=value["name"],
        extension="." + value["name"].rpartition(".")[2],
        mime_type=value["mime_type"],
        size=value["size"],
    )


def examine(request: Json) -> Json:
    """What the engine's importer makes of a flow: whether it can run it here, or why not."""
    plan = inspect(request["yaml"])
    nodes = plan.document.graph_config["nodes"] if plan.document.graph_config else []
    return {"loadable": plan.loadable, "reason": plan.load_reason, "nodes": [node["id"] for node in nodes]}


def plain(value: Any) -> Any:
    """A value of the engine as JSON has it."""
    return value.to_object() if hasattr(value, "to_object") else value.model_dump(mode="json")


def main() -> None:
    """Answer requests until standard input ends."""
    logging.disable(logging.CRITICAL)  # the engine logs what a node failed with, which is in the answer as well
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"run": run, "inspect": examine}[request["do"]](request)
        except DslError as error:
            answer = {"refused": str(error)}
        print(json.dumps(answer, ensure_ascii=False, default=plain), flush=True)


main()
