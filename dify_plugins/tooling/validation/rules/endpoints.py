"""Rules about endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from dify_plugins.tooling.validation.plugin import Plugin
from dify_plugins.tooling.validation.problem import Problem


def routes_are_unique(plugin: Plugin) -> Iterator[Problem]:
    """Of two endpoints with one route, one is never called."""
    seen: set[tuple[str, str]] = set()
    for endpoint in plugin.endpoints:
        route = (endpoint.value.method, endpoint.value.path)
        if route in seen:
            what = f"there is another endpoint {' '.join(route)}"
            yield endpoint.problem(("path",), what, remedy="change its path or its method")
        seen.add(route)
