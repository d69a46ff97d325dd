"""Rules about credentials of tools, settings of endpoints and forms of models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dify_plugins.tooling.validation.declarations.credentials import Credential
from dify_plugins.tooling.validation.declarations.model import FormField
from dify_plugins.tooling.validation.document import Document, Loc
from dify_plugins.tooling.validation.plugin import Plugin
from dify_plugins.tooling.validation.problem import Problem, listed, meant, shown
from dify_plugins.tooling.validation.rules.parameters import scope
from dify_plugins.tooling.validation.rules.values import Value

_CHOICES = {"select", "radio"}
_DEFAULTS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("text-input", "select", "radio", "switch"), (str,)),
    "boolean": (bool,),
}


def of_tools(plugin: Plugin) -> Iterator[Problem]:
    """Options, defaults and scopes."""
    for provider in plugin.tool_providers:
        for name, credential in provider.value.credentials_for_provider.items():
            at: Loc = ("credentials_for_provider", name)
            yield from _field(provider.document, at, name, credential)
            yield from scope(provider.document, at, credential.type, credential.scope)


def of_endpoints(plugin: Plugin) -> Iterator[Problem]:
    """The same, and no setting twice."""
    for group in plugin.endpoint_groups:
        yield from _unique(group.document, ("settings",), "name", [setting.name for setting in group.value.settings])
        for index, setting in enumerate(group.value.settings):
            at: Loc = ("settings", index)
            yield from _field(group.document, at, setting.name, setting)
            yield from scope(group.document, at, setting.type, setting.scope)


def of_models(plugin: Plugin) -> Iterator[Problem]:
    """The same, and ``show_on`` names fields of the form."""
    for provider in plugin.model_providers:
        for key in ("provider_credential_schema", "model_credential_schema"):
            form = getattr(provider.value, key)
            fields: list[FormField] = form.credential_form_schemas if form else []
            at: Loc = (key, "credential_form_schemas")
            names = [field.variable for field in fields]
            yield from _unique(provider.document, at, "variable", names)
            for index, field in enumerate(fields):
                yield from _field(provider.document, (*at, index), field.variable, field)
                for number, condition in enumerate(field.show_on):
                    if condition.variable not in names:
                        what = f"show_on names {shown(condition.variable)}, which is no field of this form"
                        loc = (*at, index, "show_on", number, "variable")
                        remedy = meant(condition.variable, names, "name one of them")
                        yield provider.problem(loc, what, allowed=listed(names), remedy=remedy)


def _unique(document: Document, at: Loc, key: str, names: Sequence[str]) -> Iterator[Problem]:
    for index, name in enumerate(names):
        if name in names[:index]:
            what = f"there is another field {shown(name)}"
            yield document.problem((*at, index, key), what, remedy="give each a name of its own")


def _field(document: Document, at: Loc, name: str, field: Credential | FormField) -> Iterator[Problem]:
    """Options where there is something to choose, and a default of the right kind."""
    if field.type == "secret-input" and field.default is not None:
        what = f"{name}: a secret with a default"
        yield document.problem((*at, "default"), what, remedy="remove it; everybody could read it")
        return
    yield from Value(
        document=document,
        at=at,
        name=name,
        kind=field.type,
        defaults=_DEFAULTS.get(field.type, (str, int, float, bool)),
        has_options=field.type in _CHOICES,
        options=[option.value for option in field.options or ()],
        default=field.default,
    ).problems()
