"""One module for each group of routes; a route reads its request, calls the runtime and answers with nouns."""

from __future__ import annotations

from fastapi import APIRouter

from llmflow.server.routes import (
    answer,
    chat,
    completions,
    dify,
    documents,
    feedback,
    graph,
    health,
    jobs,
    me,
    memory,
    models,
    page,
    pii,
    retrieval,
    served,
    traces,
)


def routers() -> list[APIRouter]:
    """All routes, in the order of the documentation."""
    modules = (
        retrieval, graph, answer, completions, served, chat, documents, jobs, dify, models, pii, feedback, memory,
        traces, me, health, page,
    )  # fmt: skip
    return [module.router for module in modules]
