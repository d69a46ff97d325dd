"""The server on the CPU answers as Hugging Face and PEFT do, also where rows of several adapters share a batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from vllm_server import BASE, VllmServer, reference

PROMPTS = [[(7 * i * i + 3 * i + 13 * start) % 1500 + 300 for i in range(150)] for start in range(4)]
LABELS = list(range(35, 55))  # A to T
STEPS = 6


def score(server: VllmServer, model: str, prompt: list[int]) -> dict[str, Any]:
    """What the server says in the form of ``reference.py``."""
    body = {
        "model": model,
        "prompt": prompt,
        "max_tokens": STEPS,
        "temperature": 0,
        "logprobs": 0,
        "logprob_token_ids": LABELS,
        "return_tokens_as_token_ids": True,
        "return_token_ids": True,
    }
    response = httpx.post(f"{server.url}/v1/completions", json=body, timeout=120)
    assert response.is_success, response.text
    choice = response.json()["choices"][0]
    first = choice["logprobs"]["top_logprobs"][0]
    return {"logprobs": [first[f"token_id:{label}"] for label in LABELS], "generated": choice["token_ids"]}


def test_a_mixed_batch_matches_the_reference(vllm: VllmServer, rerank_adapter: str, answer_adapter: str) -> None:
    folders = {BASE: None, rerank_adapter: vllm.models / "rerank", answer_adapter: vllm.models / "answer"}
    work = [(model, prompt) for prompt in PROMPTS for model in folders]
    with ThreadPoolExecutor(len(work)) as pool:  # one batch
        answers = list(pool.map(lambda item: score(vllm, *item), work))
    expected = reference(
        vllm.models / "base",
        [
            {
                "adapter": str(folders[model]) if folders[model] else None,
                "prompt": prompt,
                "tokens": LABELS,
                "max_tokens": STEPS,
            }
            for model, prompt in work
        ],
    )
    for answer, wanted in zip(answers, expected, strict=True):
        assert answer["logprobs"] == pytest.approx(wanted["logprobs"], abs=1e-4)
        assert answer["generated"] == wanted["generated"]


def test_an_adapter_comes_and_goes_under_a_versioned_name(vllm: VllmServer) -> None:
    def served() -> set[str]:
        return {model["id"] for model in httpx.get(f"{vllm.url}/v1/models").json()["data"]}

    name = vllm.load("rerank", "rerank-next")
    assert name.startswith("student-rerank@")
    assert name in served()
    vllm.unload(name)
    assert name not in served()
