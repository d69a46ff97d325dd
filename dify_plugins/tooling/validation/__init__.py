"""Every rule of plugins and app flows, none of which Dify checks in one place.

A plugin is read into typed declarations, then judged by rules across its files; a flow in the
same way, by the plugins it may use.
"""

from __future__ import annotations

from pathlib import Path

from dify_plugins.tooling.validation import rules
from dify_plugins.tooling.validation.flow import rules as flow_rules
from dify_plugins.tooling.validation.flow.catalogue import Catalogue, catalogue, plugin_folders
from dify_plugins.tooling.validation.flow.flow import load as load_flow
from dify_plugins.tooling.validation.plugin import load as load_plugin
from dify_plugins.tooling.validation.problem import Problem

__all__ = ["Catalogue", "Problem", "catalogue", "plugin_folders", "validate_flow", "validate_plugin"]


def validate_plugin(folder: Path) -> list[Problem]:
    """What is wrong with the plugin in ``folder``; nothing if it may be packed."""
    plugin, problems = load_plugin(folder)
    return sorted({*problems, *(rules.problems(plugin) if plugin else ())})


def validate_flow(path: Path, plugins: Catalogue) -> list[Problem]:
    """What is wrong with the flow in the file ``path``, which may use ``plugins``."""
    flow, problems = load_flow(path, plugins)
    return sorted({*problems, *(flow_rules.problems(flow) if flow else ())})
