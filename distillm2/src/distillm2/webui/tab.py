"""The stage's accordion on LlamaBoard's train tab."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
from llamafactory.extras.constants import TRAINING_STAGES

from distillm2.stage.arguments import STAGE
from distillm2.webui.fields import ROWS, BoardField, board_fields

ACCORDION = "distillm2_tab"
CreateTab = Callable[[Any], dict[str, Any]]


def stage_tab(create_train_tab: CreateTab, change_stage: Callable[[str], tuple[list[str], bool]]) -> CreateTab:
    """LLaMA-Factory's train tab with our accordion below that of RLHF, its fields among the inputs of all buttons.

    ``change_stage`` empties the datasets: here it runs when a person picks a stage, not when a configuration is loaded,
    which would lose the configuration's datasets.
    """

    def create(engine: Any) -> dict[str, Any]:
        with gr.Accordion(open=False) as accordion:
            fields = _create_fields()
        base_elems = engine.manager.get_base_elems
        engine.manager.get_base_elems = lambda: base_elems() | set(fields.values())
        try:
            elems = create_train_tab(engine)
        finally:
            del engine.manager.get_base_elems  # the instance's; the class keeps its own for the other tabs
        siblings = accordion.parent.children
        siblings.remove(accordion)
        siblings.insert(siblings.index(elems["rlhf_tab"]) + 1, accordion)

        stage = elems["training_stage"]
        stage.input(change_stage, [stage], [elems["dataset"], elems["packing"]], queue=False, show_progress="hidden")
        stage.change(_open_for_stage, [stage], [accordion], queue=False)
        return {**elems, ACCORDION: accordion, **fields}

    return create


def keep_datasets(training_stage: str) -> tuple[Any, Any]:
    """Stands where LLaMA-Factory empties datasets and packing on every change of the stage."""
    return gr.skip(), gr.skip()


def _open_for_stage(training_stage: str) -> gr.Accordion:
    return gr.Accordion(open=TRAINING_STAGES[training_stage] == STAGE)


def _create_fields() -> dict[str, Any]:
    components = {}
    for row in ROWS:
        with gr.Row():
            components.update({name: _component(board_fields()[name]) for name in row})
    return components


def _component(field: BoardField) -> Any:
    if field.kind == "choice":
        return gr.Dropdown(choices=list(field.choices), value=field.default)
    if field.slider is not None:
        low, high, step = field.slider
        return gr.Slider(minimum=low, maximum=high, step=step, value=field.default)
    return gr.Textbox(value=field.default)
