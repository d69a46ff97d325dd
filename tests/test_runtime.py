"""What the runtime puts together: questions, answers, masking and traces, end to end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmflow.errors import InvalidInputError, NotFoundError
from llmflow.generation.answer import Finished, TextDelta
from llmflow.runtime import Runtime
from llmflow.schema import Document, Scope
from llmflow.settings import Settings
from llmflow.stores.queue import Lease
from llmflow.tracing import Trace, TraceNode

SCOPE = Scope("회사", ("인사",))
PHONE, OTHER_PHONE, EMAIL = "010-2345-6789", "010-9876-5432", "minjun.kim@example.com"
LEAVE = f"""# 휴가규정

## 제4조(연차휴가)

근속연수가 5년 이상인 직원에게는 17일의 연차휴가를 준다. 쓰지 않은 연차휴가는 5일까지 이월한다.

## 제9조(문의)

연차휴가 담당자의 전화번호는 {PHONE}이고 전자우편은 {EMAIL}이다.
"""
CONTACT = "연차휴가 담당자의 전화번호와 전자우편은 무엇인가요?"
STAGES = ["keep", "parse", "chunk", "mask", "embed", "store", "graph"]


def settings_in(folder: Path, **overrides: object) -> Settings:
    return Settings.model_validate({"data_dir": folder, "parsing": {"ocr": "off"}, **overrides})


def ingest(runtime: Runtime, folder: Path, name: str = "휴가규정.md", text: str = LEAVE) -> Document:
    (folder / name).write_text(text, encoding="utf-8")
    (outcome,) = runtime.ingest(SCOPE, "인사", [folder / name])
    return outcome.document


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime(settings_in(tmp_path / "data")) as runtime:
        yield runtime


def trace_of(runtime: Runtime, trace_id: str | None) -> Trace:
    assert trace_id is not None
    runtime.tracer.flush()
    return runtime.traces.get(SCOPE, trace_id)


def root_of(trace: Trace) -> TraceNode:
    (root,) = trace.roots
    return root


def names(node: TraceNode) -> list[str]:
    return [child.name for child in node.children]


def child(node: TraceNode, name: str) -> TraceNode:
    (found,) = [child for child in node.children if child.name == name]
    return found


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


# Traces


def test_an_ingestion_is_one_trace_with_its_stages(runtime: Runtime, tmp_path: Path) -> None:
    document = ingest(runtime, tmp_path)
    (job,) = runtime.database.jobs(SCOPE, document.id)
    trace = trace_of(runtime, job.trace_id)
    root = root_of(trace)
    assert (root.name, root.output) == ("ingest", "ready")
    assert names(root) == [f"ingest.{stage}" for stage in STAGES]
    assert trace.summary.observations == 1 + len(STAGES)
    assert trace.summary.errors == 0
    offsets = [stage.offset_ms for stage in root.children]
    assert offsets == sorted(offsets)
    assert sum(stage.duration_ms for stage in root.children) <= root.duration_ms


def test_a_failed_ingestion_shows_where_it_failed(runtime: Runtime, tmp_path: Path) -> None:
    document = ingest(runtime, tmp_path, "가짜.pdf", "this is no PDF")
    (job,) = runtime.database.jobs(SCOPE, document.id)
    trace = trace_of(runtime, job.trace_id)
    root = root_of(trace)
    assert root.output == "refused"
    assert names(root) == ["ingest.keep", "ingest.parse"]
    assert child(root, "ingest.parse").level == "ERROR"
    assert "가짜.pdf" in str(child(root, "ingest.parse").message)
    assert job.stage == "keep"


def test_a_question_is_one_trace_with_the_legs_under_it(runtime: Runtime, tmp_path: Path) -> None:
    ingest(runtime, tmp_path)
    answer = runtime.ask(SCOPE, "연차휴가는 며칠 이월되나요?")
    root = root_of(trace_of(runtime, answer.trace_id))
    assert root.name == "ask"
    assert root.output == answer.mode == "extractive"
    assert names(root) == ["retrieve", "answer"]
    assert child(root, "answer").output == answer.text
    assert child(root, "answer").kind == "generation"
    retrieve = child(root, "retrieve")
    assert names(retrieve) == [f"retrieve.{stage}" for stage in ("analyze", "legs", "fuse", "select", "facts")]
    legs = {name.removeprefix("retrieve.") for name in names(child(retrieve, "retrieve.legs"))}
    assert legs == {"chunk_grams", "chunk_words", "passage_grams", "passage_words", "graph", "memory"}
    assert answer.retrieval is not None
    assert legs < answer.retrieval.timings_ms.keys()
    searched = runtime.search(SCOPE, "연차휴가는 며칠 이월되나요?")
    root = root_of(trace_of(runtime, searched.trace_id))
    assert (root.name, names(root)) == ("search", ["retrieve"])
    assert searched.trace_id != answer.trace_id


def test_deletion_and_failure_are_traced(runtime: Runtime, tmp_path: Path) -> None:
    document = ingest(runtime, tmp_path)
    runtime.delete(SCOPE, document.id)
    with pytest.raises(InvalidInputError):
        runtime.search(SCOPE, "연차휴가", top_k=0)
    runtime.tracer.flush()
    failed, deleted, _ = runtime.traces.recent(SCOPE)
    assert (failed.name, failed.errors) == ("search", 1)
    assert (deleted.name, deleted.errors) == ("delete", 0)


def test_personal_data_reaches_no_trace(tmp_path: Path) -> None:
    question = f"전화번호가 {OTHER_PHONE}인 직원의 연차휴가는 며칠 이월되나요?"
    with Runtime(settings_in(tmp_path / "data")) as runtime:
        ingest(runtime, tmp_path)
        runtime.ask(SCOPE, question)
        runtime.search(SCOPE, question)
        runtime.ask(SCOPE, CONTACT)
        for wrong in ({"top_k": 0}, {"threshold": 2.0}):
            with pytest.raises(InvalidInputError):
                runtime.search(SCOPE, question, **wrong)
        with pytest.raises(InvalidInputError):
            runtime.search(SCOPE, question * 2000)
        with pytest.raises(NotFoundError):
            runtime.delete(SCOPE, "ffff")
        runtime.tracer.flush()
        inputs = [
            root_of(runtime.traces.get(SCOPE, summary.trace_id)).input for summary in runtime.traces.recent(SCOPE)
        ]
        assert any("[PHONE_NUMBER]" in str(text) for text in inputs)
    files = list((tmp_path / "data").glob("traces.db*"))
    written = b"".join(file.read_bytes() for file in files)
    assert "연차휴가는 며칠".encode() in written
    for value in (PHONE, OTHER_PHONE, EMAIL):
        assert value.encode() not in written
    # The originals alone hold what the file held.
    assert PHONE.encode() in bytes_below(tmp_path / "data" / "objects")
    for folder in (path for path in (tmp_path / "data").iterdir() if path.name != "objects"):
        assert PHONE.encode() not in (bytes_below(folder) if folder.is_dir() else folder.read_bytes()), folder


def test_without_tracing_everything_works_and_nothing_is_recorded(tmp_path: Path) -> None:
    with Runtime(settings_in(tmp_path / "data", tracing={"enabled": False})) as runtime:
        document = ingest(runtime, tmp_path)
        answer = runtime.ask(SCOPE, "연차휴가는 며칠 이월되나요?")
        assert "5일까지 이월한다" in answer.text
        assert answer.trace_id is None
        assert runtime.database.jobs(SCOPE, document.id)[0].trace_id is None
        assert runtime.traces.recent(SCOPE) == ()
        assert not runtime.settings.traces_path.exists()


# Answers


def test_an_answer_is_masked_text_and_quotes_alike(tmp_path: Path) -> None:
    with Runtime(settings_in(tmp_path / "data", pii={"enabled": False})) as unmasked:
        ingest(unmasked, tmp_path)
        assert PHONE in unmasked.ask(SCOPE, CONTACT).text
        assert any(PHONE in citation.quote for citation in unmasked.ask(SCOPE, CONTACT).citations)
    with Runtime(settings_in(tmp_path / "data")) as runtime:
        *deltas, last = runtime.ask_streaming(SCOPE, CONTACT)
        assert isinstance(last, Finished)
        answer = last.answer
        shown = [event.text for event in deltas if isinstance(event, TextDelta)]
        assert "".join(shown) == answer.text
        for text in (answer.text, *(citation.quote for citation in answer.citations), *shown):
            assert PHONE not in text
            assert EMAIL not in text
        (citation,) = [citation for citation in answer.citations if "전화번호" in citation.quote]
        assert "[PHONE_NUMBER]" in answer.text
        assert "[PHONE_NUMBER]" in citation.quote
        assert "[EMAIL]" in citation.quote
        # The span is still the passage's.
        chunk = runtime.vectors.get(SCOPE, [citation.chunk_id])[citation.chunk_id]
        assert chunk.text[slice(*citation.span)].startswith(citation.quote.partition("[PHONE_NUMBER]")[0])
        assert PHONE in chunk.text[slice(*citation.span)]
        output = child(root_of(trace_of(runtime, answer.trace_id)), "answer").output
        assert PHONE not in str(output)


def test_questions_reach_only_the_scope_they_come_with(runtime: Runtime, tmp_path: Path) -> None:
    ingest(runtime, tmp_path)
    question = "연차휴가는 며칠 이월되나요?"
    assert runtime.ask(SCOPE, question).mode == "extractive"
    for stranger in (Scope("남", ("인사",)), Scope("회사", ("영업",)), Scope("회사", ())):
        answer = runtime.ask(stranger, question)
        assert answer.mode == "abstained"
        assert answer.citations == ()


def test_whoever_stops_listening_ends_the_trace(runtime: Runtime, tmp_path: Path) -> None:
    ingest(runtime, tmp_path)
    events = runtime.ask_streaming(SCOPE, "연차휴가는 며칠 이월되나요?")
    next(events)
    events.close()  # type: ignore[attr-defined]
    later = runtime.ask(SCOPE, "연차휴가는 며칠 이월되나요?")
    root = root_of(trace_of(runtime, later.trace_id))
    assert root.name == "ask"
    stopped = runtime.traces.recent(SCOPE)[1]
    assert (stopped.name, stopped.observations) == ("ask", root_of_count(runtime, stopped.trace_id))
    assert stopped.trace_id != later.trace_id


def root_of_count(runtime: Runtime, trace_id: str) -> int:
    def count(node: TraceNode) -> int:
        return 1 + sum(count(child) for child in node.children)

    return count(root_of(runtime.traces.get(SCOPE, trace_id)))


# Opening and closing


def test_nothing_is_opened_before_it_is_needed(runtime: Runtime) -> None:
    assert runtime.database.documents(SCOPE).total == 0
    assert not Path(runtime.settings.vectors_uri).exists()
    assert not runtime.settings.objects_root.exists()
    assert not runtime.settings.traces_path.exists()


def test_no_torch_and_no_masker_for_a_list_of_documents(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from llmflow.runtime import Runtime
from llmflow.schema import Scope
from llmflow.settings import Settings
with Runtime(Settings(data_dir=Path({str(tmp_path)!r}))) as runtime:
    print(runtime.database.documents(Scope("회사", ("인사",))).total)
print(sorted({{"torch", "presidio_analyzer", "langfuse"}} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout.split("\n")[:2] == ["0", "[]"]


def test_what_a_killed_ingestion_left_is_not_found_until_it_is_finished(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "data")
    with Runtime(settings) as runtime:
        document = ingest(runtime, tmp_path)
        assert runtime.search(SCOPE, "연차휴가").candidates
        runtime.database.submit(
            SCOPE,
            "인사",
            source=document.source,
            name=document.name,
            mime_type=document.mime_type,
            size_bytes=document.size_bytes,
            sha256=document.sha256,
            lease=Lease("killed", 60),
        )
    with Runtime(settings) as runtime:
        assert runtime.search(SCOPE, "연차휴가").candidates == ()
        ingest(runtime, tmp_path)
        assert runtime.search(SCOPE, "연차휴가").candidates
