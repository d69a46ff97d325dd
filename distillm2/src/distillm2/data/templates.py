"""The training template: prompts as LLaMA-Factory will render them in training, and servers compared with it."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distillm2.data.records import Prompt, digest
from distillm2.errors import DistillationError

STOPS = 4  # as many as the OpenAI form takes


@dataclass(frozen=True)
class Lengths:
    """Tokens of a prompt and of its response in training, the end of the response included."""

    prompt: int
    response: int


@dataclass(frozen=True)
class TrainingTemplate:
    """A LLaMA-Factory template with the tokenizer that it was made ready for; made by ``load_template``.

    ``served`` is the tokenizer as the folder holds it: its chat template is what a server of the model uses.
    """

    name: str
    thinking: bool | None
    default_system: str | None
    template: Any
    tokenizer: Any
    served: Any

    @property
    def settings(self) -> dict[str, Any]:
        """What makes two renderings the same: the names, and a digest of the vocabulary."""
        return {
            "template": self.name,
            "thinking": self.thinking,
            "default_system": self.default_system,
            "vocabulary": digest(self.tokenizer.get_vocab()),
        }

    @property
    def stop(self) -> list[str]:
        """The strings that end a response."""
        words = [*self.template.stop_words, self.tokenizer.eos_token]
        return list(dict.fromkeys(word for word in words if word))[:STOPS]

    def prompt_ids(self, prompt: Prompt) -> list[int]:
        """The tokens that stand before the response in training."""
        return list(self._encoded(prompt, "")[0])

    def lengths(self, prompt: Prompt, response: str) -> Lengths:
        """The tokens that training sees of the prompt and of this response."""
        prompt_ids, response_ids = self._encoded(prompt, response)
        return Lengths(len(prompt_ids), len(response_ids) + int(self.template.efficient_eos))

    def served_ids(self, prompt: Prompt) -> list[int]:
        """The tokens that the tokenizer's own chat template writes for the prompt."""
        thinking = {} if self.thinking is None else {"enable_thinking": self.thinking}
        ids = self.served.apply_chat_template(
            prompt.as_json(), add_generation_prompt=True, tokenize=True, return_dict=False, **thinking
        )
        return list(ids)

    def _encoded(self, prompt: Prompt, response: str) -> tuple[list[int], list[int]]:
        turns = [{"role": turn.role, "content": turn.content} for turn in prompt.turns]
        messages = [*turns, {"role": "assistant", "content": response}]
        ids: tuple[list[int], list[int]] = self.template.encode_oneturn(self.tokenizer, messages, prompt.system)
        return ids


def load_template(
    name: str, tokenizer: str, *, thinking: bool | None = None, default_system: str | None = None
) -> TrainingTemplate:
    """The template ``name`` of LLaMA-Factory with the tokenizer of the folder or hub name ``tokenizer``.

    ``thinking`` and ``default_system`` are the training's ``enable_thinking`` and ``default_system``; a ``thinking`` of
    None leaves it as LLaMA-Factory and the server have it by default.
    """
    from llamafactory.data import template as factory
    from llamafactory.hparams import DataArguments
    from transformers import AutoTokenizer

    if name not in factory.TEMPLATES:
        near = difflib.get_close_matches(name, factory.TEMPLATES, n=5) or sorted(factory.TEMPLATES)
        raise DistillationError(f"LLaMA-Factory has no template {name!r}; it has {', '.join(near)} and others.")
    try:
        served, trained = (AutoTokenizer.from_pretrained(tokenizer) for _ in range(2))
    except (OSError, ValueError) as error:
        raise DistillationError(f"No tokenizer at {tokenizer!r}: {error}") from error
    arguments = DataArguments(template=name, enable_thinking=thinking is not False, default_system=default_system)
    # LLaMA-Factory writes these arguments into its one template of that name, which later training would inherit.
    untouched = copy.deepcopy(factory.TEMPLATES[name])
    template = factory.get_template_and_fix_tokenizer(trained, arguments)
    factory.TEMPLATES[name] = untouched
    return TrainingTemplate(name, thinking, default_system, template, trained, served)


def check_template(template: TrainingTemplate, prompts: Sequence[Prompt]) -> None:
    """Compare the tokenizer's chat template with the training template on every prompt, token by token.

    Raises:
        DistillationError: it has no chat template, or the first difference, with the text around it.
    """
    if not template.served.chat_template:
        raise DistillationError(
            "The tokenizer has no chat template to compare: omit --check-template to send token ids."
        )
    for number, prompt in enumerate(prompts, 1):
        trained, served = template.prompt_ids(prompt), template.served_ids(prompt)
        if trained == served:
            continue
        pairs = zip(trained, served, strict=False)
        at = next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(trained), len(served)))
        start = max(0, at - 8)
        raise DistillationError(
            f"Prompt {number}: the server's chat template differs from the training template {template.name!r} from "
            f"token {at} on.\n  training: {_shown(template, trained, start, at)}\n  server:   "
            f"{_shown(template, served, start, at)}\nResponses drawn with it come from another distribution than "
            "training sees. Omit --check-template to send token ids of the training template, or choose the template "
            "or --no-enable-thinking that the server uses."
        )


def _shown(template: TrainingTemplate, ids: list[int], start: int, at: int) -> str:
    before, after = template.tokenizer.decode(ids[start:at]), template.tokenizer.decode(ids[at : at + 24])
    return f"{before!r} then {after!r}" if after else f"{before!r} and its end"
