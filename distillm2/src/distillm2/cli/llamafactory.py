"""LLaMA-Factory's own commands, run by its launcher once the stage is registered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

import distillm2
from distillm2.errors import DistillationError
from distillm2.stage.worker import ARGUMENTS

PANEL = "LLaMA-Factory's commands, with stage distillm2"
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def register(app: typer.Typer) -> None:
    """Add train, webui, export, chat, api, webchat, env and version."""

    def add(name: str, help_text: str) -> None:
        @app.command(name, help=help_text, context_settings=_PASSED_ON, rich_help_panel=PANEL)
        def command(context: typer.Context) -> None:
            launch(name, context.args)

    add("train", "Train from a YAML or flags, any stage.  [dim]distillm2 train x.yaml learning_rate=1e-5[/dim]")
    add("webui", "LlamaBoard in the browser, with the stage's fields.  [dim]distillm2 webui[/dim]")
    add("export", "Merge an adapter and write the model.  [dim]distillm2 export merge.yaml[/dim]")
    add("chat", "Talk to a model in the terminal.  [dim]distillm2 chat x.yaml[/dim]")
    add("api", "Serve a model in OpenAI's form.  [dim]distillm2 api x.yaml[/dim]")
    add("webchat", "Talk to a model in the browser.  [dim]distillm2 webchat x.yaml[/dim]")
    add("env", "Versions of everything that takes part, for a report.  [dim]distillm2 env[/dim]")
    add("version", "Versions of distillm2 and LLaMA-Factory.  [dim]distillm2 version[/dim]")


def launch(command: str, arguments: Sequence[str]) -> None:
    """Register the stage and hand over to LLaMA-Factory's launcher."""
    if os.environ.get("USE_V1", "0").lower() in ("true", "y", "1"):
        raise DistillationError("USE_V1 is set, and distillm2 works with LLaMA-Factory's v0 only. Unset USE_V1.")
    if command in ("env", "version"):
        print(f"distillm2 {distillm2.__version__}")
    if command == "train":
        _prepare_training(arguments)
    sys.argv = ["distillm2", command, *arguments]

    if command != "version":  # it has no use for the stage, whose hooks take seconds to import
        from distillm2.stage.register import register as register_stage

        register_stage()
    if command == "webui":
        from distillm2.webui.register import register_webui

        register_webui()
    from llamafactory import launcher

    try:
        launcher.launch()
    except subprocess.CalledProcessError as error:  # torchrun has said what went wrong
        raise SystemExit(error.returncode) from None


def _prepare_training(arguments: Sequence[str]) -> None:
    """What the training's processes inherit: its arguments, MLflow's store, and where torchrun is."""
    from distillm2.cli.settings import read_settings
    from distillm2.experiments import tracking

    tracking.prepare(read_settings(arguments))
    os.environ[ARGUMENTS] = json.dumps(list(arguments))
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
