"""One module for each group of routes; a route reads its request, calls the runtime and answers with nouns."""

from __future__ import annotations

from fastapi import APIRouter

from llmflow.server.routes import answer, completions, dify, feedback, health, me, pii, retrieval, traces


def routers() -> list[APIRouter]:
    """All routes, in the order of the documentation."""
    modules = (retrieval, answer, completions, dify, pii, feedback, traces, me, health)
    return [module.router for module in modules]
