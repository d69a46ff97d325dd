"""A LLaMA-Factory that lacks a hook, or has it otherwise, is refused with its version and the hook's name."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from distillm2.errors import DistillationError
from distillm2.stage import hooks
from distillm2.stage.hooks import TRAINING_HOOKS, Hook, check_hooks

REPLACED = [hook for hook in TRAINING_HOOKS if hook.module.startswith("llamafactory")]


def find_holder(hook: Hook) -> tuple[Any, str]:
    holder = importlib.import_module(hook.module)
    *path, last = hook.name.split(".")
    for part in path:
        holder = getattr(holder, part)
    return holder, last


@pytest.fixture(params=REPLACED, ids=lambda hook: f"{hook.module}.{hook.name}")
def hook(request: pytest.FixtureRequest) -> Iterator[Hook]:
    return request.param


def test_the_installed_release_has_every_hook() -> None:
    check_hooks(TRAINING_HOOKS)


def test_every_hook_says_what_it_is_for_or_what_it_takes() -> None:
    assert all(hook.purpose or hook.parameters for hook in TRAINING_HOOKS)


def test_every_method_of_the_trainer_that_is_replaced_is_a_hook() -> None:
    from transformers import Trainer

    from distillm2.stage.trainer import DistillTrainer

    replaced = {f"Trainer.{name}" for name, member in vars(DistillTrainer).items() if callable(member)}
    inherited = {f"Trainer.{name}" for name in dir(Trainer)}
    assert replaced & inherited <= {hook.name for hook in TRAINING_HOOKS if hook.module == "transformers"}


def test_a_function_that_no_longer_uses_a_name_is_named() -> None:
    hook = Hook("transformers", "Trainer.training_step", contains="gone")
    assert hook.find_fault() == "it does not use gone"


def test_a_missing_hook_is_named_with_the_version(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(*find_holder(hook))
    with pytest.raises(DistillationError) as caught:
        check_hooks(TRAINING_HOOKS)
    message = str(caught.value)
    assert message.startswith("LLaMA-Factory 0.9.")
    assert f"{hook.module}.{hook.name}: it is missing" in message
    assert "llamafactory>=0.9.3,<0.10" in message


def test_a_hook_of_another_kind_is_named(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*find_holder(hook), 7)
    with pytest.raises(DistillationError, match=f"{hook.name}: it is a int, expected is a"):
        check_hooks([hook])


def test_a_container_without_its_member_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from llamafactory.extras import constants

    monkeypatch.setattr(constants, "STAGES_USE_PAIR_DATA", {"rm"})
    with pytest.raises(DistillationError, match="STAGES_USE_PAIR_DATA: it does not contain dpo"):
        check_hooks(TRAINING_HOOKS)


def test_a_function_with_other_parameters_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from llamafactory.train import tuner

    def run_dpo(model_args: Any, data_args: Any, training_args: Any) -> None: ...

    monkeypatch.setattr(tuner, "run_dpo", run_dpo)
    with pytest.raises(DistillationError, match=r"tuner\.run_dpo: it does not take finetuning_args, callbacks"):
        check_hooks(TRAINING_HOOKS)


def test_a_function_that_no_longer_uses_the_hook_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from llamafactory.train import tuner

    def _training_function(config: dict[str, Any]) -> None:
        tuner.run_dpo(config)

    monkeypatch.setattr(tuner, "_training_function", _training_function)
    with pytest.raises(DistillationError, match=r"tuner\.get_train_args: _training_function does not use it"):
        check_hooks(TRAINING_HOOKS)


@pytest.mark.parametrize("version", ["0.9.2", "0.10.0", "1.0"])
def test_a_release_out_of_range_is_refused_though_its_hooks_are_there(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "version", lambda _: version)
    with pytest.raises(DistillationError, match=f"LLaMA-Factory {version} is not one that distillm2 knows"):
        check_hooks(TRAINING_HOOKS)


@pytest.mark.parametrize("version", ["0.9.3", "0.9.5", "0.9.6.dev0"])
def test_releases_in_range_are_taken(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "version", lambda _: version)
    check_hooks(TRAINING_HOOKS)
