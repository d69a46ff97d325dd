"""Rules about what a plugin may use of Dify."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from dify_plugins.tooling.validation.declarations.manifest import Permissions
from dify_plugins.tooling.validation.plugin import Plugin
from dify_plugins.tooling.validation.problem import Place, Problem

_PARTS = {"tool", "app", "storage", "workflow_node"}
_MODELS = {"llm": "llm", "summary": "llm", "text_embedding": "text_embedding", "rerank": "rerank", "tts": "tts"}
_MODELS |= {"speech2text": "speech2text", "moderation": "moderation"}


def are_asked_for(plugin: Plugin) -> Iterator[Problem]:
    """The daemon refuses what the manifest asks no permission for, when it is used and not before."""
    permissions = plugin.manifest.value.resource.permission or Permissions()
    if plugin.endpoint_groups and not (permissions.endpoint and permissions.endpoint.enabled):
        what = "the plugin has endpoints, and asks no permission for them"
        loc = ("resource", "permission")
        yield plugin.manifest.problem(loc, what, remedy="add resource.permission.endpoint: {enabled: true}")
    for path in plugin.packed:
        tree = plugin.sources.tree(path) if path.suffix == ".py" else None
        for node in ast.walk(tree) if isinstance(tree, ast.Module) else ():
            if isinstance(node, ast.Attribute) and (missing := _missing(node, permissions)):
                what = f"{ast.unparse(node)} is used, and the manifest asks no permission for it"
                place = Place(plugin.folder / path, node.lineno, node.col_offset + 1)
                yield place.problem(what, remedy=f"add resource.permission.{missing}")


def _missing(node: ast.Attribute, permissions: Permissions) -> str | None:
    """The permission that ``session.tool`` or ``session.model.llm`` lacks."""
    if node.attr in _PARTS and _is_session(node.value):
        part = "node" if node.attr == "workflow_node" else node.attr
        granted = getattr(permissions, part)
        return None if granted and granted.enabled else f"{part}: {{enabled: true}}"
    owner = node.value
    if node.attr in _MODELS and isinstance(owner, ast.Attribute) and owner.attr == "model" and _is_session(owner.value):
        kind = _MODELS[node.attr]
        granted = permissions.model
        return (
            None
            if granted and granted.enabled and getattr(granted, kind)
            else f"model: {{enabled: true, {kind}: true}}"
        )
    return None


def _is_session(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.lstrip("_") == "session"
