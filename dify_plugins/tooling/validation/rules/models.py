"""Rules about model providers and the models they know beforehand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dify_plugins.tooling.validation.document import read
from dify_plugins.tooling.validation.plugin import Plugin, patterns
from dify_plugins.tooling.validation.problem import Problem, listed, meant, shown
from dify_plugins.tooling.validation.rules.values import Value

_PROPERTIES = {
    "llm": ("mode", "context_size"),
    "text-embedding": ("context_size", "max_chunks"),
    "rerank": ("context_size",),
}


_DEFAULTS: dict[str, tuple[type, ...]] = {
    "float": (int, float),
    "int": (int,),
    "string": (str,),
    "text": (str,),
    "boolean": (bool,),
}
_TEMPLATES = {
    **dict.fromkeys(("temperature", "top_p", "presence_penalty", "frequency_penalty"), "float"),
    **dict.fromkeys(("top_k", "max_tokens"), "int"),
    "json_schema": "text",
}
"""Types of parameters that follow a template of Dify."""


def methods_have_forms(plugin: Plugin) -> Iterator[Problem]:
    """Models to choose need models, models to add need a form."""
    for provider in plugin.model_providers:
        at = ("configurate_methods",)
        methods = provider.value.configurate_methods
        if "predefined-model" in methods and not list(patterns(provider.value)):
            what = "predefined-model, and no predefined models"
            yield provider.problem(at, what, remedy="name their files in models, or remove the method")
        if "customizable-model" in methods and not provider.value.model_credential_schema:
            what = "customizable-model, and no model_credential_schema"
            yield provider.problem(at, what, remedy="add the form for a model, or remove the method")


def types_agree(plugin: Plugin) -> Iterator[Problem]:
    """A model is of a type its provider supports, and stands under that type."""
    for provider in plugin.model_providers:
        supported = provider.value.supported_model_types
        for kind, _, _ in patterns(provider.value):
            if kind.replace("_", "-") not in supported:
                what = f"models has {kind}, which supported_model_types does not name"
                yield provider.problem(("models", kind), what, allowed=listed(supported), remedy="add or remove it")
        for model in plugin.models:
            if model.value.model_type not in supported:
                what = f"model_type is {model.value.model_type}, which the provider does not support"
                yield model.problem(("model_type",), what, allowed=listed(supported), remedy="change one of them")
        yield from _under_their_type(plugin)


def _under_their_type(plugin: Plugin) -> Iterator[Problem]:
    for provider in plugin.model_providers:
        for kind, _, pattern in patterns(provider.value):
            files = set(plugin.folder.glob(pattern))
            for model in plugin.models:
                found = model.value.model_type
                if model.document.path in files and found != kind.replace("_", "-"):
                    what = f"model_type is {found}, and the provider lists the file under {kind}"
                    yield model.problem(("model_type",), what, remedy="change one of them")


def properties_are_complete(plugin: Plugin) -> Iterator[Problem]:
    """What Dify looks up before it calls a model of the type."""
    for model in plugin.models:
        for name in _PROPERTIES.get(model.value.model_type, ()):
            if getattr(model.value.model_properties, name) is None:
                what = f"model_properties.{name} is missing; a model of the type {model.value.model_type} needs it"
                yield model.problem(("model_properties",), what, remedy=f"add {name}")


def names_are_unique(plugin: Plugin) -> Iterator[Problem]:
    """Of two models of one type and name, one is never called."""
    counts = Counter((model.value.model_type, model.value.model) for model in plugin.models)
    for model in plugin.models:
        if counts[model.value.model_type, model.value.model] > 1:
            what = f"there is another {model.value.model_type} model {shown(model.value.model)}"
            yield model.problem(("model",), what, remedy="give each a name of its own")


def positions_name_models(plugin: Plugin) -> Iterator[Problem]:
    """A position file is a list of models of its type, each once."""
    for provider in plugin.model_providers:
        for kind, models in provider.value.models or ():
            if not models or not models.position:
                continue
            known = [model.value.model for model in plugin.models if model.value.model_type == kind.replace("_", "-")]
            document, problems = read(plugin.folder / models.position)
            if document is None:
                for problem in problems:
                    yield provider.problem(("models", kind, "position"), problem.what, remedy=problem.remedy)
                continue
            if not isinstance(document.data, list):
                yield document.problem((), "this is no list", allowed="a list of models", remedy="begin lines with -")
                continue
            for index, name in enumerate(document.data):
                if name not in known or name in document.data[:index]:
                    what = f"{shown(name)} is no {kind} model of this plugin, or stands here twice"
                    remedy = meant(name, known, "remove it")
                    yield document.problem((index,), what, allowed=listed(known), remedy=remedy)


def parameter_rules(plugin: Plugin) -> Iterator[Problem]:
    """A parameter of a model has a template, or a label and a type; each once."""
    for model in plugin.models:
        names: set[str] = set()
        for index, rule in enumerate(model.value.parameter_rules):
            at = ("parameter_rules", index)
            if rule.use_template is None and not (rule.label and rule.type):
                what = f"parameter {rule.name}: neither use_template nor label and type"
                yield model.problem(at, what, remedy="add use_template, or label and type")
            if rule.name in names:
                what = f"there is another parameter {rule.name}"
                yield model.problem((*at, "name"), what, remedy="keep one of the two")
            names.add(rule.name)
            kind = rule.type or _TEMPLATES.get(rule.use_template or "", "string")
            yield from Value(
                document=model.document,
                at=at,
                name=f"parameter {rule.name}",
                kind=kind,
                defaults=_DEFAULTS[kind],
                has_options=None if kind == "string" else False,
                options=rule.options,
                default=rule.default,
                min=rule.min,
                max=rule.max,
            ).problems()
