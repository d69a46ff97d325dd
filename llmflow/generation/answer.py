"""From a question and its passages to an answer: generated, quoted, or an honest no."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from llmflow.errors import UpstreamError
from llmflow.generation.citations import CheckedSentence, CitationChecker, cite
from llmflow.generation.extractive import Evidence, gather_evidence
from llmflow.generation.phrases import ABSTENTION, QUOTED, Language, abstains
from llmflow.generation.prompt import build_messages
from llmflow.generation.question import read_question
from llmflow.generation.sentences import SentenceBuffer
from llmflow.generation.window import choose_passages
from llmflow.models.llm import LLMClient, Message, TokenStream
from llmflow.schema import Answer, Citation, Degradation, RetrievalResult
from llmflow.settings import GenerationSettings

_MIN_COVERAGE = 0.55
"""Least share of a question's content terms that one passage must hold to be quoted."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of the answer, checked and masked; the deltas joined are ``Answer.text``."""

    text: str


@dataclass(frozen=True, slots=True)
class Discarded:
    """The text so far is void (the LLM failed half way); what follows starts anew."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event. ``cache`` says whether the answer was given before, or not looked for there."""

    answer: Answer
    cache: Literal["hit", "miss", "bypass"] = "bypass"


AnswerEvent = TextDelta | Discarded | Finished


class Answerer:
    """Answers questions from retrieved passages.

    Args:
        llm: None for extractive answers only.
        mask: masks personal data in a text.
    """

    def __init__(self, settings: GenerationSettings, llm: LLMClient | None, mask: Callable[[str], str]) -> None:
        self._settings = settings
        self._llm = llm
        self._mask = mask

    def answer(self, question: str, result: RetrievalResult) -> Answer:
        """The whole answer; a failing LLM gives an extractive answer with a degradation."""
        *_, last = self.stream(question, result)
        assert isinstance(last, Finished)
        return last.answer

    def stream(self, question: str, result: RetrievalResult, history: Sequence[Message] = ()) -> Iterator[AnswerEvent]:
        """The answer as it is made, sentence by sentence, ending with :class:`Finished`.

        Args:
            history: what was said before, for the LLM (:func:`llmflow.generation.prompt.build_messages`);
                evidence comes from ``result`` alone.
        """
        draft = Draft(result)
        if not result.candidates:
            yield from self._abstain(draft)
        elif self._llm is None:
            yield from self._extract(draft)
        else:
            try:
                yield from self._generate(question, draft, self._llm, history)
            except UpstreamError as error:
                if draft.text:
                    yield Discarded(error.message)
                draft.restart(Degradation("llm", error.message))
                yield from self._extract(draft)
        draft.mask_quotes(self._mask)
        yield Finished(draft.finish())

    def _abstain(self, draft: Draft) -> Iterator[TextDelta]:
        draft.mode = "abstained"
        yield draft.add(ABSTENTION[draft.language])

    def _extract(self, draft: Draft) -> Iterator[TextDelta]:
        with draft.timed("extract"):
            evidence = self._evidence(draft.result)
        if not evidence.quotes or evidence.coverage < _MIN_COVERAGE:
            yield from self._abstain(draft)
            return
        draft.mode = "extractive"
        yield draft.add(QUOTED[draft.language])
        for quote in evidence.quotes:
            with draft.timed("mask"):
                text = self._mask(quote.unit.shown)
            draft.citations.append(cite(quote.number, quote.candidate, quote.unit.start, quote.unit.end))
            yield draft.add(f"\n{text} [{quote.number}]")

    def _evidence(self, result: RetrievalResult) -> Evidence:
        return gather_evidence(read_question(result.query.text), result.candidates, self._settings.max_sentences)

    def _generate(self, question: str, draft: Draft, llm: LLMClient, history: Sequence[Message]) -> Iterator[TextDelta]:
        with draft.timed("window"):
            passages = choose_passages(draft.result.candidates, self._settings.context_tokens)
        with draft.timed("cite"):
            checker = CitationChecker(passages, draft.language, self._settings.support_threshold)
        facts = draft.result.facts
        stream = llm.stream(build_messages(question, draft.language, passages, history, facts))
        for sentence in self._sentences(stream, draft):
            if not draft.text and abstains(sentence):
                stream.close()
                yield from self._abstain(draft)
                return
            yield self._checked(sentence, checker, draft)
        if not draft.text:
            raise UpstreamError(
                "the LLM gave an empty answer; look at llm.model and its chat template", param="llm.model"
            )
        if stream.finish_reason == "length":
            draft.degradations.append(Degradation("llm", "the answer was cut at llm.max_tokens; raise it"))

    def _sentences(self, stream: TokenStream, draft: Draft) -> Iterator[str]:
        """Sentences as they become whole; only the time spent waiting for the LLM counts."""
        buffer = SentenceBuffer()
        with closing(stream):  # also when nobody asks for more, so that the endpoint stops
            while True:
                with draft.timed("generate"):
                    piece = next(stream, None)
                if piece is None:
                    break
                draft.timings.setdefault("first_token", draft.timings["generate"])
                yield from buffer.feed(piece)
        if rest := buffer.flush():
            yield rest

    def _checked(self, sentence: str, checker: CitationChecker, draft: Draft) -> TextDelta:
        """One sentence as it leaves: checked, masked as a whole, with its marks."""
        with draft.timed("cite"):
            checked = CheckedSentence("", sentence, "") if abstains(sentence) else checker.check(sentence)
        with draft.timed("mask"):
            body = self._mask(checked.body)
        draft.citations += [citation for citation in checked.citations if citation not in draft.citations]
        draft.dropped += checked.dropped
        if checked.unsupported:
            draft.unsupported.append(body)
        draft.uncompared += not checked.compared
        lead = checked.lead if draft.text else ""
        return draft.add(f"{lead}{body}{checked.marks}")


class Draft:
    """An answer under way."""

    mode: Literal["generative", "extractive", "abstained"] = "generative"

    def __init__(self, result: RetrievalResult) -> None:
        self.result = result
        self.language: Language = result.query.language
        self.degradations: list[Degradation] = []
        self.timings: dict[str, float] = {}
        self._started = time.perf_counter()
        self._clear()

    def _clear(self) -> None:
        self.text = ""
        self.citations: list[Citation] = []
        self.unsupported: list[str] = []
        self.dropped: list[int] = []
        self.uncompared = 0

    def restart(self, reason: Degradation) -> None:
        """Forget what was written and say why."""
        self._clear()
        self.degradations.append(reason)

    def add(self, text: str) -> TextDelta:
        """Write on."""
        self.text += text
        return TextDelta(text)

    def mask_quotes(self, mask: Callable[[str], str]) -> None:
        """Quotes leave masked like the text; their spans stay those of the passage."""
        with self.timed("mask"):
            self.citations = [replace(citation, quote=mask(citation.quote)) for citation in self.citations]

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the milliseconds of a step; a step can take place in parts."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timings[step] = self.timings.get(step, 0.0) + (time.perf_counter() - start) * 1000

    def finish(self) -> Answer:
        """The answer as it stands."""
        if self.dropped:
            numbers = "".join(f"[{number}]" for number in sorted(set(self.dropped)))
            self.degradations.append(
                Degradation("citations", f"removed {numbers}: no such passage, or it does not bear the sentence out")
            )
        if self.uncompared:
            self.degradations.append(
                Degradation(
                    "citations",
                    f"{self.uncompared} sentence(s) cite a passage in another language; only numbers and names were"
                    " checked",
                )
            )
        self.timings["total"] = (time.perf_counter() - self._started) * 1000
        return Answer(
            text=self.text,
            citations=tuple(self.citations),
            mode=self.mode,
            unsupported=tuple(self.unsupported),
            retrieval=self.result,
            degradations=tuple(self.degradations),
            timings_ms=self.timings,
            trace_id=self.result.trace_id,
        )
