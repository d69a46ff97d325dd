"""A plugin of one tool, as small as validation allows, to be packed."""

from __future__ import annotations

from pathlib import Path

FILES = {
    ".difyignore": "__pycache__/\n.env\nnotes/\n",
    "_assets/icon.svg": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M1 1h6v6H1z"/></svg>\n',
    "README.md": "# Small\n\nSays a word back. It needs nothing to be set up and keeps nothing.\n",
    "readme/README_ko_KR.md": "# 작은 플러그인\n\n입력한 낱말을 그대로 돌려줍니다.\n",
    "PRIVACY.md": "# Privacy\n\nThe plugin keeps no data and sends none to anybody.\n",
    "requirements.txt": "dify_plugin>=0.7.4,<0.11\n",
    "main.py": """\
from dify_plugin import DifyPluginEnv, Plugin

plugin = Plugin(DifyPluginEnv())

if __name__ == "__main__":
    plugin.run()
""",
    "manifest.yaml": """\
version: 0.1.0
type: plugin
author: llmflow
name: small
label: {en_US: Small, ko_KR: 작은 플러그인}
description: {en_US: Says a word back., ko_KR: 낱말을 돌려줍니다.}
icon: icon.svg
resource:
  memory: 268435456
plugins:
  tools:
    - provider/small.yaml
meta:
  version: 0.1.0
  arch: [amd64, arm64]
  runner:
    language: python
    version: "3.12"
    entrypoint: main
  minimum_dify_version: 1.9.0
created_at: 2026-11-21T00:00:00Z
privacy: PRIVACY.md
tags: [utilities]
""",
    "provider/small.yaml": """\
identity:
  author: llmflow
  name: small
  label: {en_US: Small, ko_KR: 작은 플러그인}
  description: {en_US: Says a word back., ko_KR: 낱말을 돌려줍니다.}
  icon: icon.svg
tools:
  - tools/say.yaml
extra:
  python:
    source: provider/small.py
""",
    "provider/small.py": """\
from typing import Any

from dify_plugin import ToolProvider


class SmallProvider(ToolProvider):
    def _validate_credentials(self, credentials: dict[str, Any]) -> None:
        return None
""",
    "tools/say.yaml": """\
identity:
  author: llmflow
  name: say
  label: {en_US: Say, ko_KR: 말하기}
description:
  human: {en_US: Says a word back., ko_KR: 낱말을 돌려줍니다.}
  llm: Says a word back.
parameters:
  - name: word
    type: string
    required: true
    form: llm
    label: {en_US: Word, ko_KR: 낱말}
    human_description: {en_US: The word to say., ko_KR: 돌려줄 낱말입니다.}
    llm_description: The word to say.
extra:
  python:
    source: tools/say.py
""",
    "tools/say.py": """\
from collections.abc import Generator
from typing import Any

from dify_plugin import Tool
from dify_plugin.entities.tool import ToolInvokeMessage


class SayTool(Tool):
    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        yield self.create_text_message(tool_parameters["word"])
""",
}


IGNORED = {"notes/draft.md": "not packed", "__pycache__/main.cpython-312.pyc": "not packed"}


def write(folder: Path) -> Path:
    """The plugin in ``folder``, with what ``.difyignore`` keeps at home."""
    for path, text in {**FILES, **IGNORED}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder
