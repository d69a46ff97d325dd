"""One question from one passage: asked of the teacher, judged, and asked again with the judge's objection."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template
from typing import Any, Literal

from distillm2.data.endpoint import Client, RequestError, Sampling, without_lone_surrogates
from distillm2.data.passages import Language, Passage
from distillm2.data.records import normalised

CRITERIA = ("grounded", "answerable", "clear")
JUDGE_ASKS = 3
JUDGING = Sampling(temperature=0.0, top_p=1.0, max_tokens=512)
JUDGING_AGAIN = Sampling(temperature=0.7, top_p=1.0, max_tokens=512)
OBJECTIONS = {
    ("form", "ko"): '{"question": ..., "answer": ...} 형식의 JSON이 아닙니다.',
    ("form", "en"): 'It was not JSON of the form {"question": ..., "answer": ...}.',
    ("repeated", "ko"): "이미 만든 질문입니다.",
    ("repeated", "en"): "This question was asked before.",
}


@dataclass(frozen=True)
class Judgement:
    """Scores of 0 to 10 by criterion; a pair is as good as its worst."""

    scores: dict[str, float]
    reason: str

    @property
    def score(self) -> float:
        """The lowest of the scores."""
        return min(self.scores.values())


@dataclass(frozen=True)
class Attempt:
    """What the teacher wrote, and the judgement or, where it was rejected without one, the ``fault``."""

    question: str
    answer: str
    judgement: Judgement | None
    fault: Literal["", "form", "repeated"] = ""

    def objection(self, language: Language) -> str:
        """What the next attempt should mend."""
        return self.judgement.reason if self.judgement else OBJECTIONS[self.fault, language]

    def as_json(self) -> dict[str, Any]:
        """For the journal: texts, scores, and the weakest criterion or the fault."""
        if self.judgement is None:
            return {"question": self.question, "answer": self.answer, "score": None, "weakest": self.fault}
        scores = self.judgement.scores
        return {
            "question": self.question,
            "answer": self.answer,
            "score": self.judgement.score,
            "scores": scores,
            "weakest": min(scores, key=lambda name: scores[name]),
            "reason": self.judgement.reason,
        }


@dataclass(frozen=True)
class Writer:
    """Teacher and judge, with what makes a pair acceptable."""

    teacher: Client
    judge: Client
    sampling: Sampling
    minimum: float
    attempts: int
    language: Language | None

    async def attempts_at(self, passage: Passage, earlier: Sequence[str]) -> list[Attempt]:
        """Attempts at one question, the last of them accepted or the last allowed.

        Args:
            earlier: questions already asked about the passage; none of them may come again.

        Raises:
            RequestError: an endpoint failed, or the judge gave no score that can be read.
        """
        attempts: list[Attempt] = []
        while len(attempts) < self.attempts and not (attempts and self.accepts(attempts[-1])):
            attempts.append(await self._attempt(passage, earlier, attempts[-1] if attempts else None, len(attempts)))
        return attempts

    def accepts(self, attempt: Attempt) -> bool:
        """Whether the attempt was judged good enough."""
        return attempt.judgement is not None and attempt.judgement.score >= self.minimum

    async def _attempt(self, passage: Passage, earlier: Sequence[str], last: Attempt | None, number: int) -> Attempt:
        language = self.language or passage.language
        asked = _filled(
            "question",
            language,
            title=passage.title,
            passage=passage.text,
            earlier=_filled("earlier", language, questions="\n".join(f"- {one}" for one in earlier)) if earlier else "",
            feedback=_feedback(last, language) if last else "",
        )
        sampling = self.sampling
        if sampling.seed is not None:
            sampling = dataclasses.replace(sampling, seed=sampling.seed + number)
        found = json_object((await self.teacher.chat([{"role": "user", "content": asked}], sampling)).text)
        question, answer = (found.get(part) for part in ("question", "answer"))
        if not isinstance(question, str) or not isinstance(answer, str) or not question.strip() or not answer.strip():
            return Attempt("", "", None, "form")
        question, answer = without_lone_surrogates(question), without_lone_surrogates(answer)
        if normalised(question) in {normalised(one) for one in earlier}:
            return Attempt(question, answer, None, "repeated")
        return Attempt(question, answer, await self._judged(passage, language, question, answer))

    async def _judged(self, passage: Passage, language: Language, question: str, answer: str) -> Judgement:
        asked = _filled("judge", language, title=passage.title, passage=passage.text, question=question, answer=answer)
        said = ""
        for ask in range(JUDGE_ASKS):
            sampling = JUDGING_AGAIN if ask else JUDGING
            said = (await self.judge.chat([{"role": "user", "content": asked}], sampling)).text
            judgement = parse_judgement(said)
            if judgement is not None:
                return judgement
        raise RequestError(f"the judge gave no score in {JUDGE_ASKS} answers, last: {said[:200]!r}")


def _feedback(last: Attempt, language: Language) -> str:
    return _filled("feedback", language, question=last.question, answer=last.answer, reason=last.objection(language))


def parse_judgement(text: str) -> Judgement | None:
    """The judgement of a judge's answer; None unless every criterion has a number from 0 to 10."""
    found = json_object(text)
    scores = {criterion: found.get(criterion) for criterion in CRITERIA}
    for score in scores.values():
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 10:
            return None
    reason = found.get("reason")
    reason = without_lone_surrogates(reason) if isinstance(reason, str) else ""
    return Judgement({name: float(str(score)) for name, score in scores.items()}, reason)


def json_object(text: str) -> Mapping[str, Any]:
    """The last JSON object in a model's answer, after any thoughts and inside any code fence; empty when none."""
    text = re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL)
    decoder = json.JSONDecoder(strict=False)
    found: Mapping[str, Any] = {}
    at = text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            found = value
        at = text.find("{", end)
    return found


@cache
def _template(name: str, language: Language) -> Template:
    file = resources.files("distillm2.data") / "prompts" / f"{name}.{language}.txt"
    return Template(file.read_text(encoding="utf-8"))


def _filled(name: str, language: Language, **values: str) -> str:
    return _template(name, language).substitute(values)
