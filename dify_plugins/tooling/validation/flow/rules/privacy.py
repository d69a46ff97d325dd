"""Rules about what must not leave the installation where a flow was made."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dify_plugins.tooling.validation.document import Loc
from dify_plugins.tooling.validation.flow.flow import Flow
from dify_plugins.tooling.validation.flow.nodes import HttpRequest, KnowledgeRetrieval
from dify_plugins.tooling.validation.flow.references import texts
from dify_plugins.tooling.validation.problem import Problem, shown
from dify_plugins.tooling.validation.rules.package import SECRETS

_HEADER = re.compile(r"(?im)^\s*(authorization|x-api-key|api-key|cookie)\s*:\s*(?P<value>\S.*)$")
_VARIABLE = "{{#"


def no_secrets(flow: Flow) -> Iterator[Problem]:
    """Keys come from secret environment variables, which stay empty in the file."""
    for loc, text in texts(flow.document.data, ()):
        if found := SECRETS.search(text):
            what = f"this looks like a key or token: {found.group()[:12]}…"
            yield flow.document.problem(loc, what, remedy="take it from an environment variable of type secret")
    for index, variable in enumerate(flow.app.workflow.environment_variables):
        if variable.value_type == "secret" and variable.value:
            what = f"the secret {variable.name} has a value"
            loc = ("workflow", "environment_variables", index, "value")
            yield flow.document.problem(loc, what, allowed="''", remedy="leave it empty; it is set after the import")
    for node, data in flow.of(HttpRequest):
        config = data.authorization.config
        if config and config.api_key and _VARIABLE not in config.api_key:
            loc = (*node.at, "data", "authorization", "config", "api_key")
            yield _in_the_open(flow, loc, f"node {node.id}: the key of the request stands in the flow")
        for header in _HEADER.finditer(data.headers):
            if _VARIABLE not in header["value"]:
                what = f"node {node.id}: the header {header[1]} stands in the flow"
                yield _in_the_open(flow, (*node.at, "data", "headers"), what)


def _in_the_open(flow: Flow, loc: Loc, what: str) -> Problem:
    allowed = "a variable, e.g. {{#env.api_key#}}"
    return flow.document.problem(
        loc, what, allowed=allowed, remedy="take it from an environment variable of type secret"
    )


def no_datasets(flow: Flow) -> Iterator[Problem]:
    """The ids of datasets are of one workspace only; each chooses its own after the import."""
    for node, data in flow.of(KnowledgeRetrieval):
        if data.dataset_ids:
            what = f"node {node.id}: dataset_ids is {shown(data.dataset_ids)}"
            yield flow.document.problem((*node.at, "data", "dataset_ids"), what, allowed="[]", remedy="leave it empty")
