"""The figure of a run from logs as a running training leaves them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distillm2.webui.plots import LOG_FILE, curve, read_log, training_figure


def line(step: int, **values: float) -> str:
    return (
        json.dumps({"current_steps": step, **{key.replace("__", "/"): value for key, value in values.items()}}) + "\n"
    )


def write(folder: Path, *lines: str) -> Path:
    (folder / LOG_FILE).write_text("".join(lines), encoding="utf-8")
    return folder


def test_a_line_being_written_is_left_for_the_next_look(tmp_path: Path) -> None:
    whole = line(1, loss=2.0) + line(2, loss=1.5)
    for cut in range(1, len(whole)):
        rows, unreadable = read_log(write(tmp_path, whole[:cut]) / LOG_FILE)
        assert len(rows) == whole[:cut].count("\n")
        assert unreadable == 0


def test_unreadable_lines_are_counted_in_the_figure(tmp_path: Path) -> None:
    write(tmp_path, line(1, loss=2.0), '{"current_steps": 2, "lo\n', "[3]\n", "{}\n", line(4, loss=1.0))
    assert read_log(tmp_path / LOG_FILE)[1] == 3
    figure = training_figure(tmp_path, "distillm2")
    assert figure is not None
    assert "left out: 3" in figure.axes[-1].get_xlabel()


def test_the_later_value_of_a_step_holds() -> None:
    rows = [{"current_steps": step, "loss": loss} for step, loss in ((1, 3.0), (2, 2.0), (3, 9.0), (2, 1.0))]
    assert curve(rows, "loss") == ([1, 2, 3], [3.0, 1.0, 9.0])


def test_nothing_logged_draws_nothing(tmp_path: Path) -> None:
    assert training_figure(tmp_path, "distillm2") is None
    assert training_figure(write(tmp_path, line(5, epoch=1.0)), "distillm2") is None


def test_each_figure_has_its_panel(tmp_path: Path) -> None:
    values = {
        "distill__skl": 0.2,
        "distill__srkl": 0.3,
        "distill__alpha_teacher": 0.1,
        "distill__alpha_student": 0.05,
        "distill__beta": 0.5,
        "distill__gap_teacher": 0.01,
        "distill__gap_student": -0.02,
    }
    write(tmp_path, line(1, loss=2.0, **values), line(2, loss=1.0, **values), line(2, eval_loss=1.2, eval_kl=0.4))
    figure = training_figure(tmp_path, "distillm2")
    assert figure is not None
    assert [axis.get_title(loc="left") for axis in figure.axes] == [
        *("loss", "divergence", "evaluation divergence", "alpha", "beta", "gap")
    ]
    names = {curve.get_label(): list(curve.get_ydata()) for curve in figure.axes[1].lines}
    assert names == {"SKL, teacher": [0.2, 0.2], "SRKL, student": [0.3, 0.3]}
    assert list(figure.axes[0].lines[1].get_ydata()) == [1.2]

    write(tmp_path, line(1, loss=2.0, distill__sft=1.0, **values))
    with_sft = training_figure(tmp_path, "kl")
    assert with_sft is not None
    assert with_sft.axes[-1].get_title(loc="left") == "cross-entropy"
    assert {curve.get_label().split(",")[0] for curve in with_sft.axes[1].lines} == {"KL"}


@pytest.mark.parametrize("loss", ["distillm2", "distillm", "kl", "rkl", "js"])
def test_every_loss_has_names_for_its_divergences(tmp_path: Path, loss: str) -> None:
    assert training_figure(write(tmp_path, line(1, distill__skl=1.0)), loss) is not None
