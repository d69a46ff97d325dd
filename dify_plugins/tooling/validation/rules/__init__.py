"""What no single document says: rules across fields and files of a plugin, one function an idea."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dify_plugins.tooling.validation.plugin import Plugin
from dify_plugins.tooling.validation.problem import Problem
from dify_plugins.tooling.validation.rules import (
    credentials,
    endpoints,
    icons,
    manifest,
    models,
    outputs,
    package,
    parameters,
    permissions,
    requirements,
    sources,
    texts,
)

Rule = Callable[[Plugin], Iterator[Problem]]

RULES: tuple[Rule, ...] = (
    manifest.one_provider_of_a_kind,
    manifest.kinds_apart,
    manifest.authors_agree,
    manifest.names_are_unique,
    manifest.time_is_exact,
    manifest.entrypoint_runs,
    texts.readme_and_privacy,
    texts.translated_readmes,
    icons.exist_and_are_pictures,
    parameters.of_tools,
    parameters.of_strategies,
    credentials.of_tools,
    credentials.of_endpoints,
    credentials.of_models,
    outputs.of_tools,
    outputs.of_strategies,
    endpoints.routes_are_unique,
    models.methods_have_forms,
    models.types_agree,
    models.properties_are_complete,
    models.names_are_unique,
    models.positions_name_models,
    models.parameter_rules,
    sources.parse,
    sources.own_imports_exist,
    sources.names_hide_no_library,
    sources.one_class_each,
    sources.classes_are_complete,
    sources.models_have_classes,
    permissions.are_asked_for,
    requirements.can_be_met,
    requirements.sdk_range,
    requirements.imports_are_declared,
    package.has_ignore_file,
    package.has_no_secrets,
    package.needed_files_are_packed,
    package.has_no_hidden_folders,
    package.has_no_pyproject,
    package.has_no_compiled_files,
    package.is_small_enough,
)


def problems(plugin: Plugin) -> Iterator[Problem]:
    """What the rules find; links come first, as the other rules read what is behind them."""
    links = list(package.has_no_links(plugin))
    yield from links
    for rule in () if links else RULES:
        yield from rule(plugin)
