"""Responses of a teacher or a student to prompts, from an OpenAI-compatible endpoint; resumable after a kill."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from distillm2.data.endpoint import PAPER, Answer, Client, Endpoint, Patience, RequestError, Sampling
from distillm2.data.journal import Journal, has_fields, open_journal
from distillm2.data.progress import Counter, progress_bar
from distillm2.data.records import Prompt, digest
from distillm2.data.templates import TrainingTemplate, check_template
from distillm2.errors import DistillationError


@dataclass(frozen=True)
class Rendering:
    """Who writes the prompt's tokens: with ``checked`` the server's chat template, else the training template."""

    template: TrainingTemplate
    checked: bool = False


@dataclass(frozen=True)
class GenerationReport:
    """Counts of responses over the whole output, and what this run did."""

    wanted: int
    done_before: int
    done: int
    failed: int
    truncated: int
    empty: int
    with_reasoning: int
    tokens: int
    repeated_prompts: int
    repaired: bool

    @property
    def finished(self) -> bool:
        """Whether every prompt has its responses."""
        return self.done == self.wanted


@dataclass(frozen=True)
class _Request:
    key: str
    prompt: Prompt
    sample: int


def generate(
    prompts: Sequence[Prompt],
    endpoint: Endpoint,
    output: Path,
    *,
    sampling: Sampling = PAPER,
    samples: int = 1,
    concurrency: int = 16,
    rendering: Rendering | None = None,
    thinking: bool | None = None,
    restart: bool = False,
    console: Console | None = None,
) -> GenerationReport:
    """Ask for ``samples`` responses to each prompt and append them to ``output``; what is there is not asked again.

    Without a ``rendering`` chat completions are used, and the server's own chat template writes the prompts;
    ``thinking`` is handed to it. A prompt that fails is recorded with its error and asked again at the next start,
    after those that were never asked.

    Raises:
        DistillationError: other settings than those of an existing output, a chat template that differs from the
            training template, an endpoint that refuses or answers nothing; what was answered is kept.
    """
    if min(samples, concurrency) < 1:
        raise DistillationError(f"samples {samples} and concurrency {concurrency} must be 1 or more.")
    unique = list({digest(prompt.as_json()): prompt for prompt in prompts}.values())
    if rendering is not None and rendering.checked:
        check_template(rendering.template, unique)
    settings = _settings(endpoint, sampling, rendering, thinking)
    requests = [
        _Request(digest([settings, prompt.as_json(), sample]), prompt, sample)
        for prompt in unique
        for sample in range(samples)
    ]
    with open_journal(output, settings, _is_record, restart=restart) as journal:
        wanted = {request.key for request in requests}
        before = {record["key"] for record in answered(journal.records)} & wanted
        failed = {record["key"] for record in journal.records if "error" in record}
        waiting = [request for request in requests if request.key not in before]
        waiting.sort(key=lambda request: request.key in failed)  # they may fail again
        with progress_bar(console, endpoint.model, len(requests), len(before)) as counter:
            patience = Patience(max(8, 2 * concurrency))
            ask = _Asking(endpoint, sampling, rendering, thinking, journal, counter, concurrency, patience)
            new = asyncio.run(ask.all(waiting))
        kept = [record for record in answered([*journal.records, *new]) if record["key"] in wanted]
    return GenerationReport(
        wanted=len(requests),
        done_before=len(before),
        done=len(kept),
        failed=counter.failed,
        truncated=sum(record["truncated"] for record in kept),
        empty=sum(not record["response"].strip() for record in kept),
        with_reasoning=sum("reasoning" in record for record in kept),
        tokens=sum(record["tokens"] for record in kept),
        repeated_prompts=len(prompts) - len(unique),
        repaired=journal.repaired,
    )


def answered(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The records that hold a response, one for each key."""
    return list({record["key"]: record for record in records if "error" not in record}.values())


def _is_record(value: Any) -> bool:
    return has_fields(value, key=str) and (
        "error" in value or has_fields(value, response=str, truncated=bool, tokens=int)
    )


def _settings(
    endpoint: Endpoint, sampling: Sampling, rendering: Rendering | None, thinking: bool | None
) -> dict[str, Any]:
    """What decides the distribution of the responses; the address of the endpoint does not."""
    asked = {"model": endpoint.model, **dataclasses.asdict(sampling)}
    if rendering is None:
        return asked | {"rendering": "chat template of the server", "thinking": thinking}
    how = "chat template of the server, checked" if rendering.checked else "training template"
    return asked | {"rendering": how} | rendering.template.settings


@dataclass
class _Asking:
    endpoint: Endpoint
    sampling: Sampling
    rendering: Rendering | None
    thinking: bool | None
    journal: Journal
    counter: Counter
    concurrency: int
    patience: Patience

    async def all(self, requests: Sequence[_Request]) -> list[dict[str, Any]]:
        """The records of all requests, in the order in which they ended."""
        records: list[dict[str, Any]] = []
        waiting = iter(requests)
        async with Client(self.endpoint, self.concurrency) as client:
            workers = [asyncio.create_task(self._work(client, waiting, records)) for _ in range(self.concurrency)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        return records

    async def _work(self, client: Client, waiting: Iterator[_Request], records: list[dict[str, Any]]) -> None:
        for request in waiting:
            record: dict[str, Any] = {
                "key": request.key,
                "messages": request.prompt.as_json(),
                "sample": request.sample,
            }
            fault: RequestError | None = None
            try:
                answer = await self._answer(client, request)
            except RequestError as error:
                fault = error
                record["error"] = str(error)
            else:
                record |= {"response": answer.text, "truncated": answer.truncated, "tokens": answer.tokens}
                if answer.reasoning:
                    record["reasoning"] = answer.reasoning
            self.journal.append(record)
            records.append(record)
            self.counter.finished(failed=fault is not None)
            self.patience.count(fault)

    async def _answer(self, client: Client, request: _Request) -> Answer:
        sampling = self.sampling
        if sampling.seed is not None:
            # Each prompt and sample has its own, which a later start finds again.
            sampling = dataclasses.replace(sampling, seed=int(digest([sampling.seed, request.key])[:7], 16))
        if self.rendering is None or self.rendering.checked:
            thinking = self.thinking if self.rendering is None else self.rendering.template.thinking
            return await client.chat(request.prompt.as_json(), sampling, thinking)
        template = self.rendering.template
        return await client.complete(template.prompt_ids(request.prompt), template.stop, sampling)
