"""What the nodes of a flow say, by type."""

from __future__ import annotations

from dify_plugins.tooling.validation.flow.nodes.base import NodeData
from dify_plugins.tooling.validation.flow.nodes.branches import IfElse, Iteration, IterationStart
from dify_plugins.tooling.validation.flow.nodes.ends import Answer, End, Note, Start
from dify_plugins.tooling.validation.flow.nodes.models import Llm, ParameterExtractor, QuestionClassifier
from dify_plugins.tooling.validation.flow.nodes.plugins import Agent, Tool
from dify_plugins.tooling.validation.flow.nodes.values import (
    Assigner,
    DocumentExtractor,
    KnowledgeRetrieval,
    ListOperator,
    VariableAggregator,
)
from dify_plugins.tooling.validation.flow.nodes.work import Code, HttpRequest, Template

NODES: dict[str, type[NodeData]] = {
    "start": Start,
    "end": End,
    "answer": Answer,
    "llm": Llm,
    "code": Code,
    "http-request": HttpRequest,
    "if-else": IfElse,
    "question-classifier": QuestionClassifier,
    "template-transform": Template,
    "tool": Tool,
    "agent": Agent,
    "variable-aggregator": VariableAggregator,
    "parameter-extractor": ParameterExtractor,
    "document-extractor": DocumentExtractor,
    "list-operator": ListOperator,
    "assigner": Assigner,
    "iteration": Iteration,
    "iteration-start": IterationStart,
    "knowledge-retrieval": KnowledgeRetrieval,
}
"""The types of nodes that can be checked here; Dify has a few more."""

__all__ = [
    "NODES",
    "Agent",
    "Answer",
    "Assigner",
    "Code",
    "DocumentExtractor",
    "End",
    "HttpRequest",
    "IfElse",
    "Iteration",
    "IterationStart",
    "KnowledgeRetrieval",
    "ListOperator",
    "Llm",
    "NodeData",
    "Note",
    "ParameterExtractor",
    "QuestionClassifier",
    "Start",
    "Template",
    "Tool",
    "VariableAggregator",
]
