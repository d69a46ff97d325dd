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
    manifest.versions_agree,
    manifest.authors_agree,
    manifest.names_are_unique,
    manifest.time_has_a_zone,
    manifest.entrypoint_exists,
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
    sources.one_class_each,
    sources.models_have_classes,
    permissions.are_asked_for,
    requirements.sdk_range,
    requirements.imports_are_declared,
    package.has_ignore_file,
    package.has_no_secrets,
    package.has_no_links,
    package.has_no_compiled_files,
    package.is_small_enough,
)


def problems(plugin: Plugin) -> Iterator[Problem]:
    """What the rules find."""
    for rule in RULES:
        yield from rule(plugin)
