"""BEIR folders made by hand."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write(path: Path, text: str, *, packed: bool = False) -> None:
    """Write a file, as ``<path>.gz`` where it is to be packed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if packed:
        with gzip.open(f"{path}.gz", "wt", encoding="utf-8") as file:
            file.write(text)
    else:
        path.write_text(text, encoding="utf-8")


def write_set(
    folder: Path,
    corpus: Sequence[Mapping[str, Any]],
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    *,
    split: str = "test",
    packed: bool = False,
) -> Path:
    """Write corpus, queries and one split's judgments in BEIR's form."""
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in corpus)
    write(folder / "corpus.jsonl", lines, packed=packed)
    asked = "".join(json.dumps({"_id": id_, "text": text}, ensure_ascii=False) + "\n" for id_, text in queries.items())
    write(folder / "queries.jsonl", asked, packed=packed)
    rows = [f"{query}\t{document}\t{grade}" for query, found in qrels.items() for document, grade in found.items()]
    text = "\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n"
    write(folder / "qrels" / f"{split}.tsv", text, packed=packed)
    return folder


SUBJECTS = (
    ("연차휴가", "연차휴가는 시작 3일 전까지 신청하고 부서장의 결재를 받는다."),
    ("병가", "병가는 진단서를 첨부하여 신청하며 한 해 60일까지 쓴다."),
    ("출장비", "출장비는 영수증을 첨부하여 7일 이내에 정산한다."),
    ("비밀번호", "비밀번호는 90일마다 바꾸며 나누어 쓰지 않는다."),
    ("재택근무", "재택근무는 VPN 연결이 필수이며 사전에 승인을 받는다."),
    ("회의실", "회의실 예약은 그룹웨어에서 하루 전까지 한다."),
    ("경조금", "경조금은 결혼과 장례에 지급하며 증빙을 낸다."),
    ("Remote work", "Employees may work from home two days a week after three months."),
    ("Expenses", "Expenses are reimbursed within ten days. Keep your receipts."),
    ("Visitors", "Visitors sign in at reception and wear a badge at all times."),
)
QUESTIONS = {
    "q1": "연차휴가를 언제까지 신청하나요?",
    "q2": "출장비의 정산 기한",
    "q3": "비밀번호는 며칠마다 바꾸나",
    "q4": "회의실을 예약하려면",
    "q5": "How are visitors badged?",
    "q6": "working from home days",
}
RELEVANT = {"q1": "d0", "q2": "d2", "q3": "d3", "q4": "d5", "q5": "d9", "q6": "d7"}


def thirty_documents(folder: Path) -> Path:
    """Ten subjects in three departments; a question is answered by the first of each subject."""
    corpus = [
        {"_id": f"d{number}", "title": title, "text": text} for number, (title, text) in enumerate(SUBJECTS)
    ] + [
        {"_id": f"{other}{number}", "title": other, "text": f"{other} 부서의 {number}번 서류는 담당자가 보관한다.",
         "metadata": {"path": [other, f"{number}번"]}}
        for other in ("영업", "생산") for number in range(10)
    ]  # fmt: skip
    return write_set(folder, corpus, QUESTIONS, {query: {document: 1} for query, document in RELEVANT.items()})
