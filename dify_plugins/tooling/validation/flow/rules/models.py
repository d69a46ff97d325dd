"""Rules about the models of nodes."""

from __future__ import annotations

from collections.abc import Iterator

from dify_plugins.tooling.validation.flow.flow import Flow
from dify_plugins.tooling.validation.flow.nodes import Llm, ParameterExtractor, QuestionClassifier
from dify_plugins.tooling.validation.problem import Problem, listed, meant, shown


def exist(flow: Flow) -> Iterator[Problem]:
    """A model provider of this repository is there."""
    known = flow.catalogue.models
    for node in flow.nodes:
        if isinstance(node.data, Llm | QuestionClassifier | ParameterExtractor):
            provider = node.data.model.provider
            if flow.catalogue.is_own(provider) and provider not in known:
                what = f"node {node.id}: there is no provider {shown(provider)}"
                loc = (*node.at, "data", "model", "provider")
                remedy = meant(provider, known, "name one of them")
                yield flow.document.problem(loc, what, allowed=listed(known), remedy=remedy)
