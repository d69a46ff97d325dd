"""Hugging Face and PEFT on token ids, with .venv-vllm: what vLLM's answers are compared with.

    .venv-vllm/bin/python tests/vllm/reference.py MODEL < requests.json > answers.json

A request is ``{"adapter": folder or null, "prompt": [ids], "tokens": [ids], "max_tokens": 1}``. Its answer is
``{"logprobs": [of each of tokens as the next token], "generated": [ids of the greedy continuation]}``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from peft import PeftModel
from transformers import Qwen3ForCausalLM


def answer(model: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Greedy decoding without a cache: one forward pass over everything for each token."""
    sequence = list(request["prompt"])
    logprobs: list[float] = []
    for step in range(request.get("max_tokens", 1)):
        logits = model(input_ids=torch.tensor([sequence])).logits[0, -1]
        if step == 0:
            logprobs = torch.log_softmax(logits, dim=-1)[request["tokens"]].tolist()
        sequence.append(int(logits.argmax()))
    return {"logprobs": logprobs, "generated": sequence[len(request["prompt"]) :]}


@torch.inference_mode()
def main() -> None:
    """The command line."""
    path = sys.argv[1]
    requests = json.load(sys.stdin)
    models: dict[str | None, Any] = {}
    for adapter in {request.get("adapter") for request in requests}:
        base = Qwen3ForCausalLM.from_pretrained(path, dtype=torch.float32)
        models[adapter] = (PeftModel.from_pretrained(base, adapter) if adapter else base).eval()
    json.dump([answer(models[request.get("adapter")], request) for request in requests], sys.stdout)


if __name__ == "__main__":
    main()
