"""Files in, chunks found, files changed, files gone: through the runtime, on real stores."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import docx
import pytest
from reportlab.pdfgen.canvas import Canvas

from llmflow.errors import InvalidInputError, NotFoundError
from llmflow.ingestion.pipeline import Outcome
from llmflow.runtime import Runtime
from llmflow.schema import DocumentStatus, FailureReason, JobStatus, Scope
from llmflow.settings import Settings
from llmflow.stores.objects import original_key, originals_folder

HR = Scope("회사", ("인사",))
PHONE, EMAIL, RRN = "010-2345-6789", "minjun.kim@example.com", "900101-1234567"
STAGES_LAST = "graph"

MARKDOWN = f"""# 휴가규정

## 제4조(연차휴가)

근속연수가 5년 이상인 직원에게는 17일의 연차휴가를 준다. 담당자 전화번호는 {PHONE}이다.

## 제5조(병가)

병가는 연 60일까지 쓸 수 있다.
"""
HTML = f"<html><body><h1>정보보안규정</h1><p>비밀번호는 12자 이상으로 한다. 문의는 {EMAIL}로 한다.</p></body></html>"
CSV = "구분,한도\n숙박비,1박 120000원\n일비,1일 40000원\n"
TEXT = f"Remote work\n\nEmployees may work from home two days a week. Resident registration number {RRN} is secret.\n"


def write_docx(path: Path) -> None:
    document = docx.Document()
    document.add_heading("경조사 규정", 1)
    document.add_paragraph(f"결혼하는 직원에게 축의금 50만원을 지급한다. 신청은 전화번호 {PHONE}으로 한다.")
    document.save(str(path))


def runtime_in(folder: Path, **overrides: object) -> Runtime:
    return Runtime(Settings.model_validate({"data_dir": folder, "parsing": {"ocr": "off"}, **overrides}))


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    """A runtime of its own, personal data left as it is: masking takes time that most tests need not spend."""
    with runtime_in(tmp_path / "data", pii={"enabled": False}) as runtime:
        yield runtime


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def ingest(runtime: Runtime, *paths: Path, scope: Scope = HR, department: str = "인사") -> dict[str, Outcome]:
    return {outcome.document.name: outcome for outcome in runtime.ingest(scope, department, paths)}


def found(runtime: Runtime, question: str, scope: Scope = HR) -> list[str]:
    return [candidate.chunk.document_name for candidate in runtime.search(scope, question, threshold=0).candidates]


def found_text(runtime: Runtime, question: str, scope: Scope = HR) -> str:
    return "\n".join(candidate.chunk.text for candidate in runtime.search(scope, question, threshold=0).candidates)


def stored_rows(runtime: Runtime, document_id: str) -> int:
    return sum(row.chunk.document_id == document_id for row in runtime.vectors.rows())


def assert_no_trace(runtime: Runtime, document_id: str, scope: Scope = HR) -> None:
    assert stored_rows(runtime, document_id) == 0
    assert runtime.vectors.chunks_of(scope, document_id) == []
    view = runtime.indexer.index.view(scope)
    assert document_id not in {view.document_id(row) for row in view.live.nonzero()[0]}
    assert list(runtime.objects.keys(scope, originals_folder(document_id))) == []
    assert runtime.database.jobs(scope, document_id) == ()
    with pytest.raises(NotFoundError):
        runtime.database.get(scope, document_id)
    folder = runtime.settings.objects_root
    assert not [path for path in folder.rglob("*") if document_id in str(path)]


# A folder of everything


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def documents(place: Path) -> Path:
    folder = place / "documents"
    folder.mkdir()
    write(folder / "휴가규정.md", MARKDOWN)
    write(folder / "정보보안규정.html", HTML)
    write(folder / "출장비.csv", CSV)
    write(folder / "remote.txt", TEXT)
    write_docx(folder / "경조사.docx")
    return folder


@pytest.fixture(scope="module")
def company(place: Path) -> Iterator[Runtime]:
    with runtime_in(place / "data") as runtime:
        yield runtime


@pytest.fixture(scope="module")
def ingested(company: Runtime, documents: Path) -> dict[str, Outcome]:
    return ingest(company, documents)


def test_every_file_becomes_ready(company: Runtime, ingested: dict[str, Outcome]) -> None:
    assert set(ingested) == {"휴가규정.md", "정보보안규정.html", "출장비.csv", "remote.txt", "경조사.docx"}
    stored = [row.chunk for row in company.vectors.rows()]
    assert len({chunk.id for chunk in stored}) == len(stored)
    for outcome in ingested.values():
        document = outcome.document
        assert document.status is DocumentStatus.READY
        assert not outcome.unchanged
        assert (document.reason, document.message) == (None, None)
        assert document.tenant == "회사"
        assert document.chunks_count == sum(chunk.document_id == document.id for chunk in stored) > 0
        assert company.database.get(HR, document.id) == document
    assert company.indexer.index.count() == len(stored)


def test_jobs_are_done_and_name_their_last_stage(company: Runtime, ingested: dict[str, Outcome]) -> None:
    for outcome in ingested.values():
        (job,) = company.database.jobs(HR, outcome.document.id)
        assert (job.status, job.stage, job.error) == (JobStatus.DONE, STAGES_LAST, None)
    assert company.ingester.due() == []


def test_originals_are_kept_byte_for_byte(company: Runtime, documents: Path, ingested: dict[str, Outcome]) -> None:
    for name, outcome in ingested.items():
        document = outcome.document
        with company.objects.open(HR, original_key(document.id, document.sha256)) as original:
            assert original.read() == (documents / name).read_bytes()
        assert document.size_bytes == (documents / name).stat().st_size


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("5년 이상 근속한 직원의 연차휴가는 며칠인가요?", "휴가규정.md"),
        ("비밀번호는 몇 자 이상이어야 하나요?", "정보보안규정.html"),
        ("출장 숙박비 한도", "출장비.csv"),
        ("How many days a week may I work from home?", "remote.txt"),
        ("결혼 축의금은 얼마인가요?", "경조사.docx"),
    ],
)
def test_every_format_is_found(company: Runtime, ingested: dict[str, Outcome], question: str, name: str) -> None:
    assert found(company, question)[0] == name


def test_personal_data_is_masked_before_anything_is_stored(company: Runtime, ingested: dict[str, Outcome]) -> None:
    assert ingested["휴가규정.md"].document.entities_count == 1
    assert ingested["출장비.csv"].document.entities_count == 0
    chunks = [row.chunk for row in company.vectors.rows()]
    everything = "\n".join("\n".join((chunk.text, chunk.title, *chunk.section_path)) for chunk in chunks)
    for value in (PHONE, EMAIL, RRN):
        assert value not in everything
    assert everything.count("[PHONE_NUMBER]") == 2
    assert "[EMAIL]" in everything
    assert "[PHONE_NUMBER]" in found_text(company, "담당자 전화번호")
    company.vectors.flush()
    for path in (company.settings.data_dir / "milvus.db").rglob("*"):
        if path.is_file():
            assert PHONE.encode() not in path.read_bytes(), path
    for path in company.settings.data_dir.glob("llmflow.db*"):
        assert PHONE.encode() not in path.read_bytes()


def test_ingesting_again_does_nothing(company: Runtime, documents: Path, ingested: dict[str, Outcome]) -> None:
    for name, outcome in ingest(company, documents).items():
        assert outcome.unchanged
        assert outcome.document == ingested[name].document  # updated_at and all
        assert len(company.database.jobs(HR, outcome.document.id)) == 1


# Change and deletion


def test_a_changed_file_replaces_its_chunks(runtime: Runtime, tmp_path: Path) -> None:
    file = write(tmp_path / "규정.md", "# 규정\n\n## 식대\n\n식대는 오천원이다.\n\n## 주차\n\n주차는 지하층에 한다.\n")
    before = ingest(runtime, file)["규정.md"].document
    write(file, "# 규정\n\n식대는 만이천원이다.\n")
    outcome = ingest(runtime, file)["규정.md"]
    after = outcome.document
    assert not outcome.unchanged
    assert after.id == before.id
    assert after.created_at == before.created_at
    assert after.sha256 != before.sha256
    assert after.chunks_count == stored_rows(runtime, after.id) == 1
    text = found_text(runtime, "식대 주차 지하층 오천원")
    assert "만이천원" in text
    assert "오천원" not in text
    assert "지하층" not in text
    assert list(runtime.objects.keys(HR, originals_folder(after.id))) == [original_key(after.id, after.sha256)]
    assert [job.status for job in runtime.database.jobs(HR, after.id)] == [JobStatus.DONE, JobStatus.DONE]


def test_deletion_removes_every_trace(runtime: Runtime, tmp_path: Path) -> None:
    write(tmp_path / "a.md", "# 기숙사\n\n기숙사 통금은 밤 열한시이다.\n")
    write(tmp_path / "b.md", "# 식당\n\n식당은 정오에 연다.\n")
    outcomes = ingest(runtime, tmp_path / "a.md", tmp_path / "b.md")
    document = outcomes["a.md"].document
    deleted = runtime.delete(HR, document.id[:12])
    assert deleted.id == document.id
    assert_no_trace(runtime, document.id)
    assert "통금" not in found_text(runtime, "기숙사 통금")
    assert found(runtime, "식당은 언제 여나요") == ["b.md"]
    with pytest.raises(NotFoundError):
        runtime.delete(HR, document.id)
    runtime.close()
    with Runtime(runtime.settings) as reopened:
        assert_no_trace(reopened, document.id)
        assert found(reopened, "기숙사 통금 식당") == ["b.md"]
        assert not ingest(reopened, tmp_path / "a.md")["a.md"].unchanged
        assert found(reopened, "기숙사 통금") == ["a.md"]


def test_a_deletion_that_was_killed_half_way_loses_nothing(runtime: Runtime, tmp_path: Path) -> None:
    file = write(tmp_path / "a.md", "# 기숙사\n\n기숙사 통금은 밤 열한시이다.\n")
    document = ingest(runtime, file)["a.md"].document
    runtime.indexer.remove(HR, document.id)  # the first thing a deletion does
    outcome = ingest(runtime, file)["a.md"]
    assert not outcome.unchanged
    assert found(runtime, "기숙사 통금") == ["a.md"]
    runtime.indexer.remove(HR, document.id)
    runtime.delete(HR, document.id)
    assert_no_trace(runtime, document.id)


def test_another_vector_store_is_filled_anew(tmp_path: Path) -> None:
    file = write(tmp_path / "a.md", "# 기숙사\n\n기숙사 통금은 밤 열한시이다.\n")
    with runtime_in(tmp_path / "data", pii={"enabled": False}) as runtime:
        ingest(runtime, file)
    with runtime_in(tmp_path / "data", pii={"enabled": False}, vectors={"collection": "other"}) as runtime:
        assert found(runtime, "기숙사 통금") == []
        assert not ingest(runtime, file)["a.md"].unchanged
        assert found(runtime, "기숙사 통금") == ["a.md"]


# Bad files


def test_bad_files_say_why_and_the_rest_goes_on(runtime: Runtime, tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    write(folder / "0.md", "# 첫째\n\n첫째 문서의 내용이다.\n")
    (folder / "1-empty.txt").write_bytes(b"")
    (folder / "2-fake.pdf").write_bytes(b"this is no PDF")
    (folder / "3-broken.docx").write_bytes(b"PK\x03\x04" + b"\0" * 60)
    (folder / "4-encrypted.pdf").write_bytes(encrypted_pdf())
    (folder / "5-unknown.bin").write_bytes(bytes(range(256)) * 8)
    write(folder / "6-blank.md", " \n\n \n")
    (folder / "7-gone.md").symlink_to(folder / "nowhere.md")
    os.mkfifo(folder / "8-pipe.md")
    write(folder / "9.md", "# 마지막\n\n마지막 문서의 내용이다.\n")
    outcomes = ingest(runtime, folder)
    documents = [outcome.document for outcome in outcomes.values()]
    assert [document.name for document in documents] == [
        "0.md", "1-empty.txt", "2-fake.pdf", "3-broken.docx", "4-encrypted.pdf", "5-unknown.bin", "6-blank.md",
        "nowhere.md", "8-pipe.md", "9.md",
    ]  # fmt: skip
    assert [(document.status.value, document.reason) for document in documents] == [
        ("ready", None),
        ("empty", FailureReason.EMPTY),
        ("refused", FailureReason.TYPE_MISMATCH),
        ("failed", FailureReason.MALFORMED),
        ("refused", FailureReason.ENCRYPTED),
        ("refused", FailureReason.UNSUPPORTED_TYPE),
        ("empty", FailureReason.EMPTY),
        ("failed", FailureReason.INTERNAL),
        ("failed", FailureReason.INTERNAL),
        ("ready", None),
    ]
    for document in documents[1:-1]:
        assert document.message is not None
        assert document.name in document.message
        assert "report this fault" not in document.message
        assert stored_rows(runtime, document.id) == document.chunks_count == 0
        (job,) = runtime.database.jobs(HR, document.id)
        assert (job.status, job.error) == (JobStatus.FAILED, document.message)
    assert sorted(found(runtime, "문서의 내용")) == ["0.md", "9.md"]
    assert runtime.database.counts(HR)[DocumentStatus.PROCESSING] == 0
    # Deleting works for them as for any.
    for document in documents[1:-1]:
        runtime.delete(HR, document.id)
        assert_no_trace(runtime, document.id)


def encrypted_pdf() -> bytes:
    written = io.BytesIO()
    canvas = Canvas(written, encrypt="secret")
    canvas.drawString(100, 700, "secret")
    canvas.save()
    return written.getvalue()


def test_a_document_that_turned_bad_is_no_longer_found(runtime: Runtime, tmp_path: Path) -> None:
    file = write(tmp_path / "a.md", "# 기숙사\n\n기숙사 통금은 밤 열한시이다.\n")
    document = ingest(runtime, file)["a.md"].document
    file.write_bytes(b"")
    bad = ingest(runtime, file)["a.md"].document
    assert (bad.id, bad.status, bad.chunks_count) == (document.id, DocumentStatus.EMPTY, 0)
    assert found(runtime, "기숙사 통금") == []
    assert stored_rows(runtime, document.id) == 0
    # What it was is not kept either.
    assert list(runtime.objects.keys(HR, originals_folder(bad.id))) == [original_key(bad.id, bad.sha256)]
    write(file, "# 기숙사\n\n기숙사 통금은 자정이다.\n")
    good = ingest(runtime, file)["a.md"].document
    assert (good.id, good.status, good.reason, good.message) == (document.id, DocumentStatus.READY, None, None)
    assert found(runtime, "기숙사 통금") == ["a.md"]


def test_a_file_that_vanishes_after_it_was_listed_fails_alone(runtime: Runtime, tmp_path: Path) -> None:
    files = [write(tmp_path / f"{n}.md", f"# 문서 {n}\n\n{n}번째 문서의 내용이다.\n") for n in range(4)]
    outcomes = {
        outcome.document.name: outcome.document
        for outcome in runtime.ingest(HR, "인사", files, on_start=lambda count: files[1].unlink())
    }
    assert [outcomes[f"{n}.md"].status.value for n in range(4)] == ["ready", "failed", "ready", "ready"]
    assert outcomes["1.md"].reason is FailureReason.INTERNAL
    assert "1.md: cannot be read" in str(outcomes["1.md"].message)
    assert "No such file" in str(outcomes["1.md"].message)


def test_file_names_that_are_not_unicode_are_ingested(runtime: Runtime, tmp_path: Path) -> None:
    # As unzipping an archive made on Korean Windows leaves them.
    folder = tmp_path / "documents"
    folder.mkdir()
    for name, text in {"휴가.md": "연차휴가는 17일이다.", "출장.md": "숙박비는 12만원까지다."}.items():
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name.encode("cp949")))
        path.write_text(f"# 규정\n\n{text}\n", encoding="utf-8")
    outcomes = ingest(runtime, folder)
    assert len(outcomes) == 2
    for outcome in outcomes.values():
        assert outcome.document.status is DocumentStatus.READY, outcome.document.message
    assert "17일" in found_text(runtime, "연차휴가")
    assert all(outcome.unchanged for outcome in ingest(runtime, folder).values())


# Same bytes, departments, threads


def test_files_with_the_same_bytes_are_documents_of_their_own(runtime: Runtime, tmp_path: Path) -> None:
    text = "# 기숙사\n\n기숙사 통금은 밤 열한시이다.\n"
    outcomes = ingest(runtime, write(tmp_path / "a.md", text), write(tmp_path / "b.md", text))
    first, second = outcomes["a.md"].document, outcomes["b.md"].document
    assert first.id != second.id
    assert first.sha256 == second.sha256
    runtime.delete(HR, first.id)
    assert_no_trace(runtime, first.id)
    assert found(runtime, "기숙사 통금") == ["b.md"]
    with runtime.objects.open(HR, original_key(second.id, second.sha256)) as original:
        assert original.read().decode() == text


def test_departments_and_tenants_do_not_see_each_other(runtime: Runtime, tmp_path: Path) -> None:
    file = write(tmp_path / "a.md", "# 기숙사\n\n기숙사 통금은 밤 열한시이다.\n")
    sales, stranger = Scope("회사", ("영업",)), Scope("남", ("인사",))
    mine = ingest(runtime, file)["a.md"].document
    theirs = ingest(runtime, file, scope=sales, department="영업")["a.md"].document
    assert mine.id != theirs.id
    assert found(runtime, "기숙사 통금", stranger) == []
    with pytest.raises(NotFoundError):
        runtime.delete(stranger, mine.id)
    with pytest.raises(NotFoundError):
        runtime.delete(sales, mine.id)
    runtime.delete(HR, mine.id)
    assert found(runtime, "기숙사 통금") == []
    (candidate,) = runtime.search(sales, "기숙사 통금", threshold=0).candidates
    assert (candidate.chunk.document_id, candidate.chunk.department) == (theirs.id, "영업")
    with pytest.raises(InvalidInputError, match="법무"):
        ingest(runtime, file, department="법무")
    with pytest.raises(InvalidInputError, match="nowhere"):
        ingest(runtime, tmp_path / "nowhere")


def test_ingestions_deletions_and_searches_side_by_side(runtime: Runtime, tmp_path: Path) -> None:
    """Two threads ingest the same files while a third deletes one of them over and over."""
    files = [write(tmp_path / f"{n}.md", f"# 문서 {n}\n\n기숙사 {n}동의 통금은 {n}시이다.\n") for n in range(8)]
    errors: list[BaseException] = []
    done = threading.Event()

    def guarded(work: object) -> None:
        try:
            work()  # type: ignore[operator]
        except BaseException as error:
            errors.append(error)

    def delete_again_and_again() -> None:
        while not done.is_set():
            document = runtime.database.find(HR, "인사", str(files[3]))
            if document:
                with suppress(NotFoundError):
                    runtime.delete(HR, document.id)
            found(runtime, "기숙사 통금")

    runtime.indexer  # noqa: B018 - opened before the threads need it
    workers = [threading.Thread(target=guarded, args=(lambda: ingest(runtime, *files),)) for _ in range(2)]
    deleter = threading.Thread(target=guarded, args=(delete_again_and_again,))
    for thread in (*workers, deleter):
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    deleter.join()
    assert errors == []
    ingest(runtime, *files)
    documents = runtime.database.documents(HR).items
    assert len(documents) == 8
    assert {document.status for document in documents} == {DocumentStatus.READY}
    ids = [row.chunk.id for row in runtime.vectors.rows()]
    assert len(set(ids)) == len(ids) == 8 == runtime.indexer.index.count()
    kept = [key for document in documents for key in runtime.objects.keys(HR, originals_folder(document.id))]
    assert len(kept) == len(list(runtime.objects.keys(HR))) == 8
