"""A small corpus in real stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from llmflow.ingestion.indexing import Indexer
from llmflow.models.static_embedder import StaticEmbedder
from llmflow.retrieval.head import HeadStages
from llmflow.retrieval.pipeline import Retriever
from llmflow.retrieval.planning import LegPlanner
from llmflow.schema import Chunk, Scope
from llmflow.settings import RetrievalSettings, Settings, TracingSettings
from llmflow.stores.index import SearchIndex
from llmflow.stores.vectors import VectorStore
from llmflow.tracing import Tracer

HR = Scope("acme", ("hr",))
WIDTH = 8


def chunk(id_: str, text: str, document: str | None = None, department: str = "hr", **fields: Any) -> Chunk:
    values = {"ordinal": 0, "title": "", "document_name": f"{document or id_}.pdf", "tenant": "acme"} | fields
    return Chunk(id=id_, document_id=document or f"doc-{id_}", department=department, text=text, **values)


CORPUS = (
    chunk("leave", "연차휴가는 시작 3일 전까지 신청하고 부서장의 결재를 받는다.", title="휴가 규정", ordinal=0),
    chunk("leave2", "병가는 진단서를 첨부하여 신청한다.", "doc-leave", title="휴가 규정", ordinal=1),
    chunk(
        "expense", "출장비는 영수증을 첨부하여 7일 이내에 정산한다. 출장 중 식비는 1식 15,000원이다.", title="경비 규정"
    ),
    chunk("password", "비밀번호는 90일마다 바꾸며 다른 사람과 나누어 쓰지 않는다.", title="보안 규정"),
    chunk("remote", "재택근무는 VPN 연결이 필수이며 사전에 승인을 받는다.", title="보안 규정", ordinal=1),
    chunk("home", "Employees may work from home two days a week after three months.", title="Employee handbook"),
    chunk("receipts", "Expenses are reimbursed within ten days. Keep your receipts.", title="Employee handbook"),
    chunk("room", "회의실 예약은 그룹웨어에서 하루 전까지 한다.", title="총무 안내"),
    chunk("dinner", "회식은 분기마다 한 번 하며 비용은 팀 예산에서 낸다.", title="총무 안내"),
    chunk(
        "act60", "제60조(연차 유급휴가) 사용자는 15일의 유급휴가를 주어야 한다.", title="근로기준법", article="제60조"
    ),
    chunk("act61", "제61조(연차 유급휴가의 사용 촉진) 사용 시기를 통보한다.", title="근로기준법", article="제61조"),
    chunk("decree60", "제60조(과태료의 부과기준) 과태료는 별표와 같다.", title="근로기준법 시행령", article="제60조"),
    chunk("privacy15", "제15조의2(수집 제한) 필요한 범위에서 수집한다.", title="개인정보 보호법", article="제15조의2"),
)


class Corpus:
    """Store, index and writer on a folder, and retrievers over them."""

    def __init__(self, folder: Path, chunks: Sequence[Chunk] = CORPUS) -> None:
        self.store = VectorStore(str(folder / "milvus.db"), "chunks", WIDTH)
        self.indexer = Indexer(self.store, SearchIndex(), RetrievalSettings(), None)
        self.tracer = Tracer(TracingSettings(enabled=False), folder / "traces.db")
        self.retrievers: list[Retriever] = []
        self.add(*chunks)

    def add(self, *chunks: Chunk) -> None:
        for each in chunks:
            self.indexer.add(Scope(each.tenant, (each.department,)), self.indexer.encode([each]))

    def retriever(
        self,
        embedder: Callable[[], StaticEmbedder | None] = lambda: None,
        head: HeadStages | None = None,
        **settings: Any,
    ) -> Retriever:
        wanted = Settings(retrieval=RetrievalSettings(**settings))
        legs = LegPlanner(embedder, None, None, wanted)
        head = head or HeadStages(None, None, wanted)
        made = Retriever(self.indexer.index, self.store, legs, head, wanted.retrieval, self.tracer)
        self.retrievers.append(made)
        return made

    def close(self) -> None:
        for retriever in self.retrievers:
            retriever.close()
        self.store.close()
