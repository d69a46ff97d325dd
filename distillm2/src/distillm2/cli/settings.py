"""Settings of a training as they stand on the command line, read without LLaMA-Factory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distillm2.errors import DistillationError

CONFIGURATION_SUFFIXES = (".yaml", ".yml", ".json")


def read_settings(arguments: Sequence[str]) -> dict[str, Any]:
    """A YAML or JSON file with ``key=value`` overrides, or ``--key value`` flags, as one dictionary.

    :raises DistillationError: for a file that is missing, broken or no mapping, and an override without ``=``
    """
    if not arguments or not arguments[0].endswith(CONFIGURATION_SUFFIXES):
        return _read_flags(arguments)
    return read_file(Path(arguments[0]), arguments[1:])


def read_file(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A YAML or JSON file with ``key=value`` overrides; errors as in :func:`read_settings`."""
    if not path.is_file():
        raise DistillationError(f"There is no file {path}. Give a YAML of settings: distillm2 train settings.yaml")
    if path.suffix not in CONFIGURATION_SUFFIXES:
        raise DistillationError(f"{path} is no YAML: its name must end in {', '.join(CONFIGURATION_SUFFIXES)}")
    if wrong := [override for override in overrides if "=" not in override]:
        raise DistillationError(f"{wrong[0]} is no override: write key=value, such as cutoff_len=1024, after {path}.")
    return _merge(path, overrides)


def _merge(path: Path, overrides: Sequence[str]) -> dict[str, Any]:
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        loaded = OmegaConf.load(path)
        if not OmegaConf.is_dict(loaded):
            raise DistillationError(f"{path} is not a mapping of settings: write lines of the form `key: value`.")
        merged = OmegaConf.to_container(OmegaConf.merge(loaded, OmegaConf.from_cli(list(overrides))))
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise DistillationError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    return {str(key): value for key, value in merged.items()} if isinstance(merged, dict) else {}


def _read_flags(arguments: Sequence[str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    key = ""
    for argument in arguments:
        if argument.startswith("--"):
            key, found, value = argument[2:].partition("=")
            settings[key] = value if found else True
        elif key:
            settings[key] = argument if settings[key] is True else f"{settings[key]},{argument}"
    return settings
