"""Rules about texts with variables in them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dify_plugins.tooling.validation.flow.flow import Flow
from dify_plugins.tooling.validation.flow.nodes import Code, Template
from dify_plugins.tooling.validation.flow.references import texts
from dify_plugins.tooling.validation.problem import Problem, shown

_ALMOST = re.compile(r"\{\{\s*#?\s*(\w+(?:\.\w+)+)\s*#?\s*\}\}|(?<!\{)\{#(\w+(?:\.\w+)+)#\}(?!\})")
_RIGHT = re.compile(r"\{\{#[\w.]+#\}\}")
_JINJA = {"jinja2_text"}


def name_variables_rightly(flow: Flow) -> Iterator[Problem]:
    """What nearly is a variable stays in the text as it is; code and Jinja templates have a form of their own."""
    for node in flow.nodes:
        if isinstance(node.data, Code | Template):
            continue
        for loc, text in texts(flow.data(node), (*node.at, "data")):
            for found in _ALMOST.finditer("" if loc[-1] in _JINJA else text):
                name = found[1] or found[2]
                if not _RIGHT.fullmatch(found[0]) and name.split(".")[0] in {*flow.by_id, "sys", "env", "conversation"}:
                    what = f"node {node.id}: Dify does not take {shown(found[0])} for a variable"
                    yield flow.document.problem(loc, what, remedy=f"write {{{{#{name}#}}}}")
