"""Enters the stage into LlamaBoard; the stage itself is entered by ``stage.register``."""

from __future__ import annotations

import functools
import os
import sysconfig


@functools.cache
def register_webui() -> None:
    """Check LlamaBoard's hooks, then put the stage's fields, command and plots in place; a second call does nothing.

    :raises DistillationError: where this LLaMA-Factory lacks a hook; nothing has been changed then.
    """
    from distillm2.stage.hooks import check_hooks
    from distillm2.webui.hooks import WEBUI_HOOKS

    check_hooks(WEBUI_HOOKS)
    from llamafactory.webui import common, engine, interface, locales, runner
    from llamafactory.webui.components import train

    from distillm2.webui import labels
    from distillm2.webui.command import shell_preview, stage_popen
    from distillm2.webui.runner import StageRunner
    from distillm2.webui.tab import keep_datasets, stage_tab

    locales.LOCALES.update(labels.locales())
    locales.ALERTS.update(labels.ALERTS)
    runner.gen_cmd = shell_preview(runner.gen_cmd)
    runner.Popen = stage_popen(common.load_args)
    engine.Runner = StageRunner
    interface.create_train_tab = stage_tab(interface.create_train_tab, train.change_stage)
    train.change_stage = keep_datasets

    # a board started without activating its environment must still find llamafactory-cli and torchrun
    os.environ["PATH"] = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)))
