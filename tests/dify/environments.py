"""Where the plugins are, and the environments they run in."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
for _folder in (ROOT, *(ROOT / "tests" / room for room in ("server", "models", "vllm"))):
    if str(_folder) not in sys.path:
        sys.path.append(str(_folder))

from dify_plugins.tooling.daemon import PluginProcess  # noqa: E402 (found by the lines above)

PLUGINS = ROOT / "dify_plugins"
ENVIRONMENTS = {"py311": ROOT / ".venv-dify-py311", "py312": ROOT / ".venv-dify-py312"}
"""Oldest and newest SDK that the plugins allow, each in the Python it is for."""

StartPlugin = Callable[..., PluginProcess]
"""``start(name, python="py312", transport="stdio", handlers=None)``: a plugin that runs until the end of the module."""


def interpreter(name: str) -> Path:
    """The Python of an environment."""
    return ENVIRONMENTS[name] / "bin" / "python"


def logged(plugin: PluginProcess, text: str, times: int = 1) -> list[str]:
    """The plugin's log once ``text`` is in that many lines of it; it comes by another way than messages, and later."""
    deadline = time.monotonic() + 10
    while True:
        lines = list(plugin.log)
        if sum(text in line for line in lines) >= times:
            return lines
        assert time.monotonic() < deadline, f"{text!r} is not {times} times in the log:\n" + "\n".join(lines[-30:])
        time.sleep(0.02)
