"""Write docs/configuration.md from the settings.

python docs/generate.py
"""

from __future__ import annotations

import types
import typing
from pathlib import Path

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from llmflow.settings import Settings

PAGE = Path(__file__).with_name("configuration.md")
INTRODUCTION = """\
# Configuration

This page is generated from `llmflow/settings.py`; run `make docs` after changing a setting.

Settings come from `llmflow.yaml` in the working folder (or the file named by `LLMFLOW_CONFIG`) and from environment
variables, which win. Unknown keys are refused in both. `llmflow config show` prints what is in force.

```yaml
# llmflow.yaml
data_dir: /srv/llmflow
llm:
  base_url: http://localhost:8000/v1
retrieval:
  top_k: 8
```

```
LLMFLOW_LLM__BASE_URL=http://localhost:8000/v1 llmflow ask "연차휴가는 며칠인가요?"
```
"""
NAMES = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path", SecretStr: "secret"}
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(), encoding="utf-8")


def render() -> str:
    """The page as Markdown: a section and a table for every settings model."""
    top: dict[str, FieldInfo] = {}
    parts = []
    for name, field in Settings.model_fields.items():
        model = _model(field.annotation)
        if model is None or model is not field.annotation:
            top[name] = field
        if model is not None:
            parts += _section(name, model, f"{name}." if model is field.annotation else f"{name}[].")
    return "\n".join([INTRODUCTION, "## Top level\n", *_table(top, ""), *parts, ""])


def _section(name: str, model: type[BaseModel], prefix: str) -> list[str]:
    """A section for a model, and one for each model within it."""
    lines = [f"\n## {name}\n", f"{model.__doc__}\n", *_table(model.model_fields, prefix)]
    for inner, field in model.model_fields.items():
        if (within := _model(field.annotation)) is not None:
            lines += _section(prefix + inner, within, f"{prefix}{inner}.")
    return lines


def _model(annotation: typing.Any) -> type[BaseModel] | None:
    """The settings model that a value is, may be, or is a list of."""
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _table(fields: dict[str, FieldInfo], prefix: str) -> list[str]:
    rows = ["| Key | Type | Default | Environment variable | Description |", "| --- | --- | --- | --- | --- |"]
    for name, field in fields.items():
        key = prefix + name
        # What is in a list has no variable of its own; the list is given as JSON.
        variable = "" if "[]" in key else f"`LLMFLOW_{key.upper().replace('.', '__')}`"
        description = (field.description or "").replace("|", "\\|")
        rows.append(f"| `{key}` | {_allowed(field)} | {_default(field)} | {variable} | {description} |")
    return rows


def _allowed(field: FieldInfo) -> str:
    limits = [
        f"{sign} {getattr(bound, name)}"
        for bound in field.metadata
        for name, sign in BOUNDS.items()
        if getattr(bound, name, None) is not None
    ]
    return " ".join([_type(field.annotation), ", ".join(limits)]).strip()


def _type(annotation: typing.Any) -> str:
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return " or ".join(_type(argument) for argument in arguments if argument is not types.NoneType)
    if typing.get_origin(annotation) is dict:
        return f"map of {_type(arguments[0])} to {_type(arguments[1])}"
    if typing.get_origin(annotation) in {list, tuple}:
        return _type(arguments[0]) if _model(arguments[0]) else f"list of {_type(arguments[0])}"
    return "see below" if _model(annotation) else NAMES[annotation]


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "required"
    if value is None or value == ():
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    main()
