"""Whether the models and data of a training may be used, by the register and the policies that are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import yaml

from distillm2.data.licences import USERS, Entry, Register
from distillm2.errors import DistillationError

Role = Literal["student", "teacher", "reference", "data", "named"]
HOW_TO_ADD = (
    f"Read its licence, then `distillm2 licence add NAME --licence .. --released .. --commercial .. --distillation .. "
    f"--source URL`, or --same-as NAME for a copy of a registered one ({USERS})."
)


@dataclass(frozen=True)
class Policy:
    """What is asked of everything that is used: days before ``released_before``, commercial use, distillation."""

    released_before: date | None = None
    commercial: bool = False
    distillation: bool = False


@dataclass(frozen=True)
class Finding:
    """One name in its role: its entry, None when it is unknown; why it is refused; what must be kept to."""

    name: str
    role: Role
    entry: Entry | None
    refused: tuple[str, ...]
    conditions: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing stands against it."""
        return not self.refused

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        entry = self.entry
        known = entry and {
            "licence": entry.licence,
            "released": entry.released.isoformat() if entry.released else None,
            "commercial": entry.commercial,
            "distillation": entry.distillation,
            "source": entry.source,
            "checked": entry.checked,
            "register": entry.where,
        }
        return {
            "name": self.name,
            "role": self.role,
            "passed": self.passed,
            "refused": list(self.refused),
            "conditions": list(self.conditions),
            **(known or {}),
        }


def check(names: Mapping[str, Role], register: Register, policy: Policy) -> list[Finding]:
    """One finding a name, in order. Local folders count as what they say they were made from."""
    return [_judge(name, role, _entry_of(name, register), policy) for name, role in names.items()]


def names_in(settings: Mapping[str, Any], name: str) -> dict[str, Role]:
    """The models and data sets that a training's YAML names. ``name`` is for messages.

    A teacher's cache counts as the teacher that wrote it; a data set of dataset_info.json with a hub name as that.
    """
    found: dict[str, Role] = {}
    roles: tuple[tuple[str, Role], ...] = (
        ("teacher_model", "teacher"),
        ("teacher_adapter", "teacher"),
        ("model_name_or_path", "student"),
        ("adapter_name_or_path", "student"),
        ("ref_model", "reference"),
    )
    if settings.get("teacher_cache") and not settings.get("teacher_model"):
        found[_cached_teacher(Path(str(settings["teacher_cache"])))] = "teacher"
    for key, role in roles:
        for item in _items(settings.get(key)):
            found.setdefault(item, role)
    info = _dataset_info(Path(str(settings.get("dataset_dir") or "data")))
    for key in ("dataset", "eval_dataset"):
        for item in _items(settings.get(key)):
            entry = info.get(item)
            hub = entry.get("hf_hub_url") if isinstance(entry, dict) else None
            found[str(hub or item)] = "data"
    if not found:
        raise DistillationError(f"{name} names neither models nor data; give the YAML of a training, or names")
    return found


def _judge(name: str, role: Role, entry: Entry | None, policy: Policy) -> Finding:
    if entry is None:
        return Finding(name, role, None, ("not in the register",), ())
    refused, limited = [], False
    if policy.released_before and entry.released is None:
        refused.append("its day of release is unknown")
    elif policy.released_before and entry.released and entry.released >= policy.released_before:
        refused.append(f"released {entry.released}, not before {policy.released_before}")
    uses = [("commercial", "commercial use", policy.commercial)]
    uses.append(
        ("distillation", "training on its outputs", policy.distillation and role in ("teacher", "data", "named"))
    )
    for key, use, asked in uses:
        answer = getattr(entry, key)
        if asked and answer in ("forbidden", "unknown"):
            refused.append(f"{use} is {answer}")
        limited |= asked and answer == "conditions"
    conditions = (entry.note or f"see {entry.source}",) if limited else ()
    return Finding(name, role, entry, tuple(refused), conditions)


def _entry_of(name: str, register: Register) -> Entry | None:
    """By its name; else, for a folder, by the model that its adapter or model card says it was made from."""
    entry = register.find(name)
    seen = {name}
    while entry is None:
        base = _base_of(Path(name))
        if base is None or base in seen:
            return None
        seen.add(base)
        name, entry = base, register.find(base)
    return entry


def _base_of(folder: Path) -> str | None:
    """``base_model_name_or_path`` of an adapter, or the one ``base_model`` in the header of README.md."""
    adapter, card = folder / "adapter_config.json", folder / "README.md"
    if adapter.is_file():
        base = _json(adapter).get("base_model_name_or_path")
        return str(base) if base else None
    if not card.is_file():
        return None
    parts = card.read_text(encoding="utf-8").split("---\n", 2)
    if len(parts) < 3 or parts[0].strip():
        return None
    try:
        header = yaml.safe_load(parts[1])
    except yaml.YAMLError as error:
        raise DistillationError(f"{card}: its header is not valid YAML") from error
    bases = _items(header.get("base_model")) if isinstance(header, dict) else []
    return bases[0] if len(bases) == 1 else None


def _cached_teacher(folder: Path) -> str:
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        raise DistillationError(f"teacher_cache {folder} has no manifest.json; name its teacher as teacher_model")
    return str(_json(manifest).get("teacher"))


def _dataset_info(folder: Path) -> Mapping[str, Any]:
    file = folder / "dataset_info.json"
    return _json(file) if file.is_file() else {}


def _json(file: Path) -> Mapping[str, Any]:
    try:
        loaded = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DistillationError(f"{file}:{error.lineno}: not valid JSON: {error.msg}") from error
    if not isinstance(loaded, dict):
        raise DistillationError(f"{file} must hold a JSON object")
    return loaded


def _items(value: Any) -> list[str]:
    """A comma list or a YAML list as names."""
    if value in (None, ""):
        return []
    parts: Iterator[Any] = iter(value) if isinstance(value, list) else iter(str(value).split(","))
    return [text for part in parts if (text := str(part).strip())]
