"""Rows for the listwise rerank, made from a real /rerank server, word for word what the reranker asks."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from evaluation.rerank_pairs import Judged, app, rows_of
from llmflow.models.embedder import document_text
from llmflow.models.llm import LLMClient
from llmflow.retrieval.reranking import build_reranker
from llmflow.runtime import Runtime
from llmflow.schema import Scope
from llmflow.settings import LLMSettings, RerankerSettings, load_settings

QUESTION = "휴가는 언제 신청하나요?"
PASSAGES = ["휴가는 3일 전에 신청한다.", "회식은 금요일이다.", "출장은 2일 전에 신청한다."]
SHOWN = re.compile(r"\[([A-T])\]\n<passage>\n(.*?)\n</passage>", re.DOTALL)


class Server:
    """A cross-encoder in TEI's form, and an LLM that likes the first label; ``asked`` are the LLM's messages."""

    def __init__(self) -> None:
        self.asked: list[list[dict[str, str]]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply({"data": [{"id": "student"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/rerank":
                    self.reply([{"index": at, "score": fit(text)} for at, text in enumerate(body["texts"])])
                elif self.path.endswith("/chat/completions"):
                    server.asked.append(body["messages"])
                    top = [{"token": label, "logprob": -number - 1.0} for number, label in enumerate("ABC")]
                    first = {"token": "A", "logprob": -1.0, "top_logprobs": top}
                    self.reply({"choices": [{"message": {"content": "A"}, "logprobs": {"content": [first]}}]})
                else:
                    self.send_error(404)

            def reply(self, body: Any) -> None:
                content = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


def fit(passage: str) -> float:
    """Share of the question's letters that a passage has."""
    return len(set(QUESTION) & set(passage)) / len(set(QUESTION))


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    thread = threading.Thread(target=found.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield found
    found.http.shutdown()
    found.http.server_close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with stores of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMFLOW_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def cross_encoder(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMFLOW_CROSS_ENCODER__PROVIDER", "tei")
    monkeypatch.setenv("LLMFLOW_CROSS_ENCODER__BASE_URL", server.url)


def run(folder: Path, questions: list[dict[str, Any]], *options: str) -> list[dict[str, str]]:
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in questions)
    (folder / "questions.jsonl").write_text(lines, encoding="utf-8")
    result = CliRunner().invoke(app, ["questions.jsonl", "sets/rerank.json", *options])
    assert result.exit_code == 0, result.output
    rows: list[dict[str, str]] = json.loads((folder / "sets" / "rerank.json").read_text(encoding="utf-8"))
    return rows


def shown(row: dict[str, str]) -> dict[str, str]:
    """The passages of a row by their labels."""
    return dict(SHOWN.findall(row["instruction"]))


@pytest.mark.usefixtures("cross_encoder")
def test_the_label_is_of_the_cross_encoders_best_passage_level_by_level(folder: Path) -> None:
    rows = run(folder, [{"question": QUESTION, "passages": PASSAGES}] * 20, "--levels", "2")
    by_score = sorted(PASSAGES, key=fit, reverse=True)
    assert [len(shown(row)) for row in rows] == [3, 2] * 20
    assert [shown(row)[row["output"]] for row in rows] == by_score[:2] * 20
    assert {row["output"] for row in rows[::2]} == {"A", "B", "C"}, "the right label must not be guessable"


@pytest.mark.usefixtures("cross_encoder")
def test_it_is_registered_beside_what_is_there(folder: Path) -> None:
    (folder / "dataset_info.json").write_text('{"ours": {"file_name": "ours.json"}}', encoding="utf-8")
    run(folder, [{"question": QUESTION, "passages": PASSAGES}], "--name", "orders")
    info = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))
    assert info["ours"] == {"file_name": "ours.json"}
    assert info["orders"]["file_name"] == "sets/rerank.json"
    assert info["orders"]["columns"]["response"] == "output"


@pytest.mark.parametrize(("question", "passages"), [(QUESTION, PASSAGES[:2]), ("When do I apply?", ["[A] <b>", "now"])])
def test_rows_are_what_the_reranker_asks(server: Server, question: str, passages: list[str]) -> None:
    llm = LLMClient(LLMSettings(base_url=f"{server.url}/v1", model="student", retries=0))
    reranker = build_reranker(RerankerSettings(method="listwise", margin=0), llm)
    for order in (passages, passages[::-1]):
        reranker.rerank(question, order, time.monotonic() + 30)
    judged = Judged(question, tuple(passages), (1.0, 0.5))
    for seed in range(4):
        ((row,), ties) = rows_of(judged, levels=3, passage_tokens=160, draw=random.Random(seed))
        assert [{"role": "system", "content": row["system"]}, {"role": "user", "content": row["instruction"]}] in (
            server.asked
        )
        assert ties == 0


@pytest.mark.usefixtures("cross_encoder")
def test_questions_without_passages_are_searched_for(folder: Path) -> None:
    settings = load_settings()
    scope = Scope(settings.tenant, (settings.department,))
    for number, text in enumerate(PASSAGES):
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    with Runtime(settings) as runtime:
        list(runtime.ingest(scope, settings.department, sorted(folder.glob("*.txt"))))
        found = runtime.search(scope, QUESTION, 20, threshold=0.0, rerank="none").candidates
    texts = [document_text(item.chunk) for item in found]
    assert len(texts) > 1
    (row, *_) = run(folder, [{"question": QUESTION}])
    assert sorted(shown(row).values()) == sorted(texts)
    assert shown(row)[row["output"]] == max(texts, key=fit)


def test_scores_and_orders_that_are_given_need_no_cross_encoder(folder: Path) -> None:
    scored = {"question": QUESTION, "passages": PASSAGES, "scores": [0.1, 0.1, 0.9]}
    rows = run(folder, [scored])
    assert [shown(row)[row["output"]] for row in rows] == [PASSAGES[2]], "the other two are equal"
    rows = run(folder, [{"question": QUESTION, "passages": PASSAGES}], "--order", "given")
    assert [shown(row)[row["output"]] for row in rows] == PASSAGES[:2]


def test_whole_questions_are_held_out(folder: Path) -> None:
    questions = [f"Question {number}?" for number in range(20)] + ["question  7?"]
    rows = [{"question": text, "passages": ["a", "b", "c", "d"], "scores": [4, 3, 2, 1]} for text in questions]
    trained = run(folder, rows, "--validation", "0.2")
    held_out = json.loads((folder / "sets" / "rerank_validation.json").read_text(encoding="utf-8"))
    info = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))
    assert info["rerank_validation"] == info["rerank"] | {"file_name": "sets/rerank_validation.json"}
    asked = [
        {
            " ".join(found[0].casefold().split())
            for row in part
            if (found := re.findall(r"Question +\d+\?", row["instruction"], re.IGNORECASE))
        }
        for part in (trained, held_out)
    ]
    assert [len(part) for part in asked] == [16, 4]
    assert not asked[0] & asked[1]
    assert len(trained) + len(held_out) == 3 * len(questions)
    run(folder, rows, "--validation", "0")
    assert list(json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))) == ["rerank"]
    assert not (folder / "sets" / "rerank_validation.json").exists()


def test_the_best_of_too_many_passages_are_kept_and_the_rest_counted(folder: Path) -> None:
    passages = [f"passage {number}" for number in range(30)]
    line = {"question": QUESTION, "passages": passages, "scores": list(range(30))}
    (folder / "questions.jsonl").write_text(json.dumps(line), encoding="utf-8")
    result = CliRunner().invoke(app, ["questions.jsonl", "rerank.json", "--levels", "1"])
    (row,) = json.loads((folder / "rerank.json").read_text(encoding="utf-8"))
    assert sorted(shown(row).values()) == sorted(passages[10:])
    assert shown(row)[row["output"]] == "passage 29"
    assert re.search(r"passages left out: more than 20, the best kept\W+10\b", result.output)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not"),
        ("[]", "is not"),
        ('{"rerank": {"file_name": "of_others.json"}}', "entry 'rerank' for another file"),
        ('{"rerank_validation": {"file_name": "of_others.json"}}', "entry 'rerank_validation' for another file"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_register_that_cannot_be_written_is_refused_before_anything_is_judged(content: str, says: str) -> None:
    Path("dataset_info.json").write_text(content, encoding="utf-8")
    result = CliRunner().invoke(app, ["nowhere.jsonl", "rerank.json"])
    assert result.exit_code == 1
    assert says in " ".join(result.output.split())
    assert Path("dataset_info.json").read_text(encoding="utf-8") == content


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"question": " "}', "line 2"),
        ('{"question": "a", "passages": "b"}', "line 2"),
        ('{"question": "a", "passages": ["b"], "scores": [1, 2]}', "line 2"),
        ('{"question": "a", "passages": ["b", "c"], "scores": [1, NaN]}', "line 2"),
        ('{"question": "a", "passages": ["b", "c"], "scores": []}', "line 2"),
        ("[", "line 2"),
        ('{"question": "a", "passages": ["b", "c"]}', "cross_encoder.provider is none"),
        ('{"question": "a", "passages": ["b"], "scores": [1]}', "at least two passages"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(folder: Path, line: str, says: str) -> None:
    only = '{"question": "a", "passages": ["b"], "scores": [1]}'
    (folder / "questions.jsonl").write_text(f"{only}\n{line}\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["questions.jsonl", "rerank.json"])
    assert result.exit_code == 1
    assert says in " ".join(result.output.split())
    assert not (folder / "rerank.json").exists()
    assert not (folder / "dataset_info.json").exists()
