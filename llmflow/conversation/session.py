"""Chat: a question in, numbered events out, and what was said kept for the next question."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass, replace

from llmflow import korean
from llmflow.conversation.budget import Budget, Fitted, turns_after
from llmflow.conversation.history import History, Summary, session_key
from llmflow.conversation.messages import ChatMessage, answered, asked
from llmflow.conversation.rewrite import Rewriter
from llmflow.conversation.running import Run, Running
from llmflow.errors import InvalidInputError, LLMFlowError, NotFoundError, OverloadedError, UpstreamError
from llmflow.generation.answer import AnswerEvent, Discarded, Finished, TextDelta
from llmflow.models.llm import Message
from llmflow.retrieval.analysis import MAX_QUERY_CHARACTERS
from llmflow.schema import Answer, Degradation, Principal, Scope
from llmflow.tracing import Tracer, in_current_trace

log = logging.getLogger(__name__)

Ask = Callable[[Scope, str, Sequence[Message]], Iterator[AnswerEvent]]
"""Retrieves and answers: from a scope, a question that stands alone and what was said before."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """A question on its way: who asks, where, and of which documents."""

    principal: Principal
    session: str
    scope: Scope
    question: str
    traceparent: str | None


class Conversations:
    """The chat sessions of this process.

    An answer is made by a thread of ``executor`` and goes on whoever listens; a session has one
    at a time. Without the key-value store answers come all the same, each question by itself.

    Args:
        mask: masks personal data in what is kept.
        executor: threads that answers are made in; how many is how many are made side by side.
    """

    def __init__(
        self,
        history: History,
        budget: Budget,
        rewriter: Rewriter,
        ask: Ask,
        mask: Callable[[str], str],
        tracer: Tracer,
        executor: Executor,
        running: Running | None = None,
    ) -> None:
        self._history = history
        self._budget = budget
        self._rewriter = rewriter
        self._ask = ask
        self._mask = mask
        self._tracer = tracer
        self._executor = executor
        self._running = running or Running()

    def start(
        self,
        principal: Principal,
        session: str,
        question: str,
        scope: Scope | None = None,
        traceparent: str | None = None,
    ) -> Run:
        """Begin to answer; returns at once.

        The events are ``rewritten`` (data ``{"question"}``, where the question leaned on those
        before), ``delta`` (``{"text"}``), ``discarded`` (``{"reason"}``) and at last ``finished``
        (the :class:`llmflow.schema.Answer` and ``cached``) or ``error`` (``{"error": {...}}``).

        Args:
            scope: what may be searched, where that is less than all the principal may read.
            traceparent: the caller's W3C header of that name.

        Raises:
            InvalidInputError: session id or question are outside what is allowed.
            ConflictError: the session is still answering.
            OverloadedError: too many answers are under way.
        """
        key = session_key(principal, session)
        length = len(korean.normalize(question))
        if not 0 < length <= MAX_QUERY_CHARACTERS:
            raise InvalidInputError(
                f"the question has {length:,} characters; allowed are 1 to {MAX_QUERY_CHARACTERS:,}", param="question"
            )
        turn = _Turn(principal, session, scope or principal.scope, question, traceparent)
        run = self._running.begin(key)
        try:
            future = self._executor.submit(in_current_trace(self._work), turn, run)
        except RuntimeError:  # the executor is shut down
            _stopped(run)
        else:
            future.add_done_callback(lambda done: _ended(done, run))
        return run

    def resume(self, principal: Principal, session: str) -> Run:
        """The answer under way, or ended a few minutes ago at most; follow it from the last event known.

        Raises:
            InvalidInputError: ``session`` is no session id.
            NotFoundError: there is none.
        """
        return self._running.get(session_key(principal, session))

    def answering(self, principal: Principal, session: str) -> bool:
        """Whether an answer is under way."""
        try:
            return self.resume(principal, session).ended_at is None
        except NotFoundError:
            return False

    def messages(self, principal: Principal, session: str) -> list[ChatMessage]:
        """What was said, oldest first; nothing for a session that does not exist.

        Raises:
            InvalidInputError: ``session`` is no session id.
            UpstreamError: the key-value store does not answer.
        """
        return self._history.messages(principal, session)

    def clear(self, principal: Principal, session: str) -> None:
        """Stop the answer under way and forget the session; errors as :meth:`messages`."""
        self._running.drop(session_key(principal, session))
        self._history.clear(principal, session)

    def close(self, drain_s: float = 0.0) -> None:
        """Give answers under way ``drain_s`` to end; those that do not are told to come back."""
        deadline = time.monotonic() + drain_s
        while (left := self._running.under_way()) and time.monotonic() < deadline:
            time.sleep(0.05)
        for run in left:
            run.cancel()
            _stopped(run)

    def _work(self, turn: _Turn, run: Run) -> None:
        try:
            with (
                self._tracer.acting(turn.scope, turn.traceparent),
                self._tracer.observe("chat", kind="chain", input=self._mask(turn.question)),
            ):
                self._answer(turn, run)
        except LLMFlowError as error:
            run.add("error", {"error": error.to_dict()})
        except Exception as error:  # a listener waits for an end, whatever happens
            log.exception("unexpected %s in a chat answer", type(error).__name__)
            failed = LLMFlowError("something failed inside the server; its log has more")
            run.add("error", {"error": failed.to_dict()})

    def _answer(self, turn: _Turn, run: Run) -> None:
        question, fitted, degradations = self._understand(turn, run)
        reachable = fitted is not None
        if question != korean.normalize(turn.question):
            run.add("rewritten", {"question": question})
        for event in self._ask(turn.scope, question, fitted.messages if fitted else ()):
            if run.cancelled:
                return
            match event:
                case TextDelta(text):
                    run.add("delta", {"text": text})
                case Discarded(reason):
                    run.add("discarded", {"reason": reason})
                case Finished(answer, cache):
                    if reachable:
                        degradations += self._keep(turn, run, answered(answer))
                    run.add("finished", {**asdict(_with(answer, degradations)), "cached": cache == "hit"})

    def _understand(self, turn: _Turn, run: Run) -> tuple[str, Fitted | None, list[Degradation]]:
        """The question as it stands alone and the history that goes with it, None if the store is down."""
        try:
            with self._tracer.observe("chat.history"):
                messages = self._history.messages(turn.principal, turn.session)
                summary = self._history.summary(turn.principal, turn.session)
        except UpstreamError as error:
            lost = Degradation("history", f"{error.message}; the question was answered by itself")
            return korean.normalize(turn.question), None, [lost]
        with self._tracer.observe("chat.rewrite") as step:
            rewritten = self._rewriter.rewrite(turn.question, turns_after(messages, None))
            step.update(output=self._mask(rewritten.question))
        with self._tracer.observe("chat.budget"):
            fitted = self._budget.fit(messages, summary, rewritten.question)
        standalone = self._mask(rewritten.question) if rewritten.changed else None
        failed = self._keep(turn, run, asked(self._mask(turn.question), standalone), fitted.summary)
        return rewritten.question, fitted, [*rewritten.degradations, *fitted.degradations, *failed]

    def _keep(self, turn: _Turn, run: Run, message: ChatMessage, summary: Summary | None = None) -> list[Degradation]:
        """Add to the history, unless the session was deleted meanwhile."""

        def save() -> None:
            if summary is not None:
                self._history.summarize(turn.principal, turn.session, summary)
            self._history.append(turn.principal, turn.session, message)

        try:
            run.unless_cancelled(save)
        except UpstreamError as error:
            return [Degradation("history", f"{error.message}; the next question will not know of this one")]
        return []


def _with(answer: Answer, degradations: Sequence[Degradation]) -> Answer:
    return replace(answer, degradations=(*dict.fromkeys(degradations), *answer.degradations))


def _ended(done: Future[None], run: Run) -> None:
    if done.cancelled():
        _stopped(run)
    run.end()


def _stopped(run: Run) -> None:
    stopped = OverloadedError("the server stopped before the answer was there; ask again shortly", retry_after_s=5)
    run.add("error", {"error": stopped.to_dict()})
    run.end()
