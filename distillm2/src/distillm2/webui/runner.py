"""LlamaBoard's runner with the stage's fields in validation, arguments, configurations and plots."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from llamafactory.extras.constants import TRAINING_STAGES
from llamafactory.webui.common import get_save_dir
from llamafactory.webui.locales import ALERTS
from llamafactory.webui.runner import Runner

from distillm2.stage.arguments import STAGE
from distillm2.webui.fields import board_fields
from distillm2.webui.plots import training_figure

TEACHERS = ("teacher_model", "teacher_adapter", "teacher_cache")


class StageRunner(Runner):
    """Adds to LLaMA-Factory's runner what the stage needs; for other stages it is LLaMA-Factory's own.

    ``data`` is gradio's mapping of components to their values.
    """

    def _initialize(self, data: dict[Any, Any], do_train: bool, from_preview: bool) -> str:
        error: str = super()._initialize(data, do_train, from_preview)
        if error or not do_train or not self._is_stage(data):
            return error
        lang = self._value(data, "top.lang")
        arguments = self._stage_arguments(data)
        return "" if any(arguments[name] for name in TEACHERS) else ALERTS["err_no_teacher"][lang]

    def _parse_train_args(self, data: dict[Any, Any]) -> dict[str, Any]:
        args: dict[str, Any] = super()._parse_train_args(data)
        if args["stage"] == STAGE:
            args.update(self._stage_arguments(data))
        return args

    def _build_config_dict(self, data: dict[Any, Any]) -> dict[str, Any]:
        config: dict[str, Any] = super()._build_config_dict(data)
        if self._is_stage(data):
            return config
        ours = {f"train.{name}" for name in board_fields()}  # plain LLaMA-Factory fails on fields it does not know
        return {elem_id: value for elem_id, value in config.items() if elem_id not in ours}

    def monitor(self) -> Iterator[dict[Any, Any]]:
        """LLaMA-Factory's progress and log, with the stage's figure in place of the plot of the loss alone."""
        data = self.running_data
        if not self.do_train or not self._is_stage(data):
            yield from super().monitor()
            return
        viewer = self.manager.get_elem_by_id("train.loss_viewer")
        folder = self._output_dir(data)
        loss = self._stage_arguments(data)["distill_loss"]
        for update in super().monitor():
            update.pop(viewer, None)
            yield {**update, **_plot(viewer, folder, loss)}

    def _is_stage(self, data: dict[Any, Any]) -> bool:
        return bool(TRAINING_STAGES[self._value(data, "train.training_stage")] == STAGE)

    def _value(self, data: dict[Any, Any], elem_id: str) -> Any:
        return data[self.manager.get_elem_by_id(elem_id)]

    def _stage_arguments(self, data: dict[Any, Any]) -> dict[str, Any]:
        """The fields' arguments; "Extra arguments" come first, as for LLaMA-Factory's own fields."""
        extra = json.loads(self._value(data, "train.extra_args"))
        fields = board_fields().items()
        return {name: extra.get(name, field.argument(self._value(data, f"train.{name}"))) for name, field in fields}

    def _output_dir(self, data: dict[Any, Any]) -> Path:
        names = ("top.model_name", "top.finetuning_type", "train.output_dir")
        return Path(get_save_dir(*(self._value(data, name) for name in names)))


def _plot(viewer: Any, folder: Path, loss: str) -> dict[Any, Any]:
    figure = training_figure(folder, loss)
    return {} if figure is None else {viewer: gr.Plot(figure)}
