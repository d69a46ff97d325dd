"""The command that trains the stage: as text for a shell, and as the process that LlamaBoard starts."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from distillm2.errors import DistillationError
from distillm2.stage.arguments import STAGE

PLAIN = ["llamafactory-cli", "train"]
OURS = "distillm2 train"

Preview = Callable[[dict[str, Any]], str]
ReadArguments = Callable[[str], dict[str, Any] | None]


def shell_preview(plain: Preview) -> Preview:
    """LLaMA-Factory's preview ``plain``, with this package's executable and shell quotes where the stage is ours.

    DeepSpeed is started by torchrun, which LlamaBoard asks for in the environment: the preview says it too.
    """

    def preview(args: dict[str, Any]) -> str:
        if args["stage"] != STAGE:
            return plain(args)
        quoted = {key: _quoted(value) for key, value in args.items()}
        command = f"FORCE_TORCHRUN=1 {OURS}" if args.get("deepspeed") else OURS
        before, found, after = plain(quoted).partition(" ".join(PLAIN))
        if not found:
            raise DistillationError(f"LLaMA-Factory previews a command other than {' '.join(PLAIN)}: {before[:200]}")
        return before + command + after

    return preview


def _quoted(value: Any) -> Any:
    if isinstance(value, dict):
        return shlex.quote(json.dumps(value, ensure_ascii=False))
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    return shlex.quote(value) if isinstance(value, str) and value else value


def stage_popen(read_arguments: ReadArguments) -> Callable[..., subprocess.Popen[str]]:
    """``subprocess.Popen`` that trains our stage by this interpreter; all else is started unchanged."""

    def popen(command: list[str], **options: Any) -> subprocess.Popen[str]:
        if (read_arguments(command[-1]) or {}).get("stage") == STAGE:
            if command[:-1] != PLAIN:
                raise DistillationError(f"LLaMA-Factory starts {command}, expected is {' '.join(PLAIN)} and a file.")
            # -P: a folder of the same name in the working directory is not this package
            command = [sys.executable, "-P", "-m", "distillm2", "train", command[-1]]
        return subprocess.Popen(command, **options)

    return popen
