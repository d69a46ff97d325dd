"""Every reranker on vLLM gives what Hugging Face and PEFT give, and fails as it says."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest
from faulty_proxy import Fault, FaultyProxy, faulty_proxy
from scipy.special import expit, log_softmax
from vllm_server import BASE, VllmServer, reference

from llmflow.errors import DeadlineError, UpstreamError
from llmflow.models.llm import LLMClient
from llmflow.retrieval.reranking import Reranking, build_reranker
from llmflow.retrieval.reranking.prompts import LABELS, VERDICTS, best_messages, verdict_messages
from llmflow.retrieval.reranking.student import Student
from llmflow.settings import LLMSettings, RerankerSettings

QUERY = "연차 휴가는 며칠인가요?"
TOPICS = ["연차 휴가", "출장비", "병가", "경조사", "주차", "식당", "퇴직금"]
PASSAGES = [
    f"{topic}은(는) 규정 제{number}조에 따라 {number * 3}일 안에 신청한다." for number, topic in enumerate(TOPICS)
]
LABEL_METHODS = ["listwise", "pointwise", "setwise"]
METHODS = [*LABEL_METHODS, "permutation"]
KINDS = ["base", "adapter"]


@dataclass(frozen=True)
class Run:
    """What a reranker gave, and for each of its calls the prompt, the labels' tokens and their log-probabilities."""

    result: Reranking
    calls: list[tuple[str, list[int], list[float]]]


@pytest.fixture
def proxy(vllm: VllmServer) -> Iterator[FaultyProxy]:
    with faulty_proxy(vllm.url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def models(rerank_adapter: str) -> dict[str, str]:
    return {"base": BASE, "adapter": rerank_adapter}


@pytest.fixture(scope="module")
def runs(vllm_server: VllmServer, models: dict[str, str]) -> dict[tuple[str, str], Run]:
    """All methods on both models."""
    found = {}
    for method in METHODS:
        for kind in KINDS:
            with faulty_proxy(vllm_server.url) as proxy:
                result = rerank(proxy.url, method, models[kind])
                found[method, kind] = Run(result, [_call(*chat) for chat in proxy.chats])
    return found


@pytest.fixture(scope="module")
def references(
    vllm_server: VllmServer, models: dict[str, str], runs: dict[tuple[str, str], Run]
) -> dict[tuple[str, str], list[float]]:
    """Log-probabilities of the labels of all those calls, by model and prompt, from one process."""
    wanted = {(kind, call[0]): call[1] for (_, kind), run in runs.items() for call in run.calls if call[1]}
    folders = {"base": None, "adapter": str(vllm_server.models / "rerank")}
    requests = []
    for (kind, messages), tokens in wanted.items():
        prompt = tokenize(vllm_server, models[kind], json.loads(messages))
        requests.append({"adapter": folders[kind], "prompt": prompt, "tokens": tokens})
    answers = reference(vllm_server.models / "base", requests)
    return {key: answer["logprobs"] for key, answer in zip(wanted, answers, strict=True)}


def rerank(url: str, method: str, model: str, seconds: float = 60, **settings: Any) -> Reranking:
    llm = LLMClient(LLMSettings(base_url=f"{url}/v1", model=BASE, retries=0))
    chosen = RerankerSettings(**{"method": method, "model": model, "margin": 0, "set_size": 3, **settings})
    return build_reranker(chosen, llm).rerank(QUERY, PASSAGES, time.monotonic() + seconds)


def tokenize(server: VllmServer, model: str, messages: list[dict[str, str]]) -> list[int]:
    body = {"model": model, "messages": messages, "chat_template_kwargs": {"enable_thinking": False}}
    tokens: list[int] = httpx.post(f"{server.url}/tokenize", json=body).json()["tokens"]
    return tokens


def _call(body: dict[str, Any], reply: dict[str, Any]) -> tuple[str, list[int], list[float]]:
    tokens = body.get("logprob_token_ids", [])
    logprobs: list[float] = []
    if tokens:
        entries = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        known = {entry["token"]: entry["logprob"] for entry in entries}
        logprobs = [known[f"token_id:{token}"] for token in tokens]
    return json.dumps(body["messages"]), tokens, logprobs


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", LABEL_METHODS)
def test_every_call_matches_the_reference(
    runs: dict[tuple[str, str], Run], references: dict[tuple[str, str], list[float]], method: str, kind: str
) -> None:
    for messages, _, logprobs in runs[method, kind].calls:
        assert logprobs == pytest.approx(references[kind, messages], abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_listwise_scores_match_the_reference(
    runs: dict[tuple[str, str], Run], references: dict[tuple[str, str], list[float]], kind: str
) -> None:
    result = runs["listwise", kind].result
    logprobs = log_softmax(references[kind, json.dumps(best_messages(QUERY, PASSAGES))])
    assert result.scores == pytest.approx(expit(logprobs + math.log(len(PASSAGES))), abs=1e-3)
    assert list(result.order) == np.argsort(-logprobs).tolist()
    first, second = np.exp(np.sort(logprobs)[::-1][:2])
    assert result.confidence == pytest.approx(first - second, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_pointwise_scores_match_the_reference(
    runs: dict[tuple[str, str], Run], references: dict[tuple[str, str], list[float]], kind: str
) -> None:
    result = runs["pointwise", kind].result
    pairs = np.array([references[kind, json.dumps(verdict_messages(QUERY, text))] for text in PASSAGES])
    assert result.scores == pytest.approx(expit(pairs[:, 0] - pairs[:, 1]), abs=1e-3)
    assert list(result.order) == np.argsort(pairs[:, 1] - pairs[:, 0]).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_setwise_takes_the_best_of_each_set_as_the_reference_does(
    runs: dict[tuple[str, str], Run], references: dict[tuple[str, str], list[float]], kind: str
) -> None:
    run = runs["setwise", kind]
    roots = [messages for messages, _, _ in run.calls]
    numbers = [
        [int(found) for found in re.findall(r"규정 제(\d+)조", json.loads(text)[1]["content"])] for text in roots
    ]
    # The first set holding the root after the heap was built from the back: positions 2, 1, 0.
    at_root = next(index for index, members in enumerate(numbers) if members[0] == 0)
    shares = np.exp(log_softmax(references[kind, roots[at_root]]))
    assert run.result.order[0] == numbers[at_root][int(shares.argmax())]
    first, second = np.sort(shares)[::-1][:2]
    assert run.result.confidence == pytest.approx(first - second, abs=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_base_and_adapter_differ(runs: dict[tuple[str, str], Run], method: str) -> None:
    base, adapter = runs[method, "base"].result, runs[method, "adapter"].result
    assert (base.order, base.scores, base.confidence) != (adapter.order, adapter.scores, adapter.confidence)
    assert sorted(base.order) == sorted(adapter.order) == list(range(len(PASSAGES)))


@pytest.mark.parametrize("kind", KINDS)
def test_what_each_method_takes(runs: dict[tuple[str, str], Run], kind: str) -> None:
    for method in LABEL_METHODS:
        run = runs[method, kind]
        assert run.result.requests == run.result.completion_tokens == len(run.calls)
        assert run.result.missing == 0
    assert runs["listwise", kind].result.requests == 1
    assert runs["pointwise", kind].result.requests == len(PASSAGES)
    permutation = runs["permutation", kind].result
    assert permutation.requests == 1
    assert permutation.completion_tokens > 3 * len(PASSAGES)


def test_two_requests_where_the_first_two_are_close(proxy: FaultyProxy) -> None:
    result = rerank(proxy.url, "listwise", BASE, margin=1)
    assert result.requests == result.completion_tokens == 2
    one, other = (body["messages"][1]["content"] for body, _ in proxy.chats)
    assert one.index(PASSAGES[0]) < one.index(PASSAGES[-1])
    assert other.index(PASSAGES[0]) > other.index(PASSAGES[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_single_tokens_where_the_answer_starts(vllm: VllmServer, models: dict[str, str], kind: str) -> None:
    llm = LLMClient(LLMSettings(base_url=f"{vllm.url}/v1", model=BASE))
    student = Student(llm, models[kind])
    for labels in (LABELS, *VERDICTS.values()):
        found = student.find_labels(labels, time.monotonic() + 60)
        tokens = [label.token for label in found]
        assert len(set(tokens)) == len(labels)
        body = {"model": models[kind], "tokens": tokens}
        assert httpx.post(f"{vllm.url}/detokenize", json=body).json()["prompt"] == "".join(labels)


def test_the_pointwise_form_hits_the_prefix_cache(vllm: VllmServer) -> None:
    def hits() -> float:
        lines = httpx.get(f"{vllm.url}/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("vllm:prefix_cache_hits_total"))

    query = " ".join(f"{topic} 규정은 언제 개정되었고 무엇이 달라졌나요?" for topic in TOPICS * 2)
    llm = LLMClient(LLMSettings(base_url=f"{vllm.url}/v1", model=BASE))
    reranker = build_reranker(RerankerSettings(method="pointwise", concurrency=2), llm)
    prompts = [tokenize(vllm, BASE, list(verdict_messages(query, text))) for text in PASSAGES]
    shared = next(index for index, tokens in enumerate(zip(*prompts, strict=False)) if len(set(tokens)) > 1)
    blocks = shared // 128
    assert blocks >= 2
    before = hits()
    reranker.rerank(query, PASSAGES, time.monotonic() + 60)
    assert hits() - before >= (len(PASSAGES) - 1) * blocks * 128


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fault", ["500", "truncate", "die"])
def test_faults_are_upstream_errors(proxy: FaultyProxy, method: str, fault: Fault) -> None:
    proxy.faults.append(fault)
    with pytest.raises(UpstreamError) as error:
        rerank(proxy.url, method, BASE)
    assert proxy.url in error.value.message
    assert sorted(rerank(proxy.url, method, BASE).order) == list(range(len(PASSAGES)))


@pytest.mark.parametrize("method", METHODS)
def test_a_server_that_hangs_is_a_deadline_error(proxy: FaultyProxy, method: str) -> None:
    proxy.faults += ["hang"] * len(PASSAGES)
    start = time.monotonic()
    with pytest.raises(DeadlineError, match=r"reranker\.deadline_s"):
        rerank(proxy.url, method, BASE, seconds=1)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("method", METHODS)
def test_a_server_that_is_gone_is_an_upstream_error(vllm: VllmServer, method: str) -> None:
    with faulty_proxy(vllm.url) as proxy:
        assert rerank(proxy.url, method, BASE).requests
    with pytest.raises(UpstreamError, match="check that the server runs"):
        rerank(proxy.url, method, BASE)


@pytest.mark.parametrize("method", METHODS)
def test_a_model_not_served_is_an_upstream_error(vllm: VllmServer, method: str) -> None:
    with pytest.raises(UpstreamError, match="no-such-adapter"):
        rerank(vllm.url, method, "no-such-adapter")


def test_json_follows_its_schema(vllm: VllmServer, rerank_adapter: str, answer_adapter: str) -> None:
    kinds = ["휴가", "급여", "기타"]
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": kinds}},
        "required": ["kind"],
        "additionalProperties": False,
    }
    values, messages = [], []
    for model in (rerank_adapter, answer_adapter):
        llm = LLMClient(LLMSettings(base_url=f"{vllm.url}/v1", model=model, max_tokens=60))
        for topic in TOPICS:
            try:
                values.append(llm.complete_json([{"role": "user", "content": f"분류하세요: {topic} 문의"}], schema))
            except UpstreamError as error:
                messages.append(error.message)
    # White space is free, and a random model may not find its way out of it.
    assert all("raise llm.max_tokens" in message for message in messages)
    assert values
    assert all(value == {"kind": value["kind"]} and value["kind"] in kinds for value in values)
