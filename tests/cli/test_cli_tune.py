from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from command_line import run

from llmflow.cli.settings_file import set_values
from llmflow.errors import ConfigurationError
from llmflow.retrieval.learned import Judged, feature_names, learn
from llmflow.retrieval.legs import MEMORY

TOPICS = ("연차휴가", "비밀번호", "출장비", "재택근무", "건강검진", "법인카드")
ASKED = ("는 어떻게 되나요?", " 규정을 알려 주세요", "에 관한 절차는?", " 신청 방법", "의 기한", " 담당 부서는?")


@pytest.fixture
def beir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set in which the documents' words mislead, and only earlier questions tell what is right."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMFLOW_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("LLMFLOW_CONFIG", raising=False)
    folder = tmp_path / "set"
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"right{n}", "title": f"제{n}호", "text": f"별표 {n}에 따른다."} for n in range(len(TOPICS))]
    corpus += [
        {"_id": f"wrong{n}", "title": topic, "text": f"{topic}에 관한 말이다."} for n, topic in enumerate(TOPICS)
    ]
    asked = [(f"q{n}-{m}", topic + end, f"right{n}") for n, topic in enumerate(TOPICS) for m, end in enumerate(ASKED)]
    queries = [{"_id": id, "text": text} for id, text, _ in asked]
    for name, rows in (("corpus", corpus), ("queries", queries)):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    judged = "".join(f"{id}\t{document}\t1\n" for id, _, document in asked)
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged, encoding="utf-8")
    return folder


def test_weights_that_are_better_on_held_back_questions_are_saved(beir: Path) -> None:
    Path("llmflow.yaml").write_text(
        "# ours\nretrieval:\n  top_k: 7  # seven\n  memory_weight: 0.05\n", encoding="utf-8"
    )
    ran = run("tune", "retrieval", beir, "--json")
    assert ran.code == 0, ran.err
    report = ran.json
    assert (report["questions"], report["held_back"], report["fusion"]) == (36, 8, "convex")
    assert report["ndcg@10"]["convex"] > report["ndcg@10"]["before"]
    assert report["saved"]["memory_weight"] > 0.05
    text = Path("llmflow.yaml").read_text(encoding="utf-8")
    assert text.startswith("# ours\nretrieval:\n")
    assert "top_k: 7  # seven" in text
    settings = run("config", "show", "--json").json["retrieval"]
    assert settings["memory_weight"] == report["saved"]["memory_weight"]
    assert settings["top_k"] == 7


def test_remembered_questions_can_be_part_of_an_evaluation(beir: Path) -> None:
    pytest.importorskip("bm25s", reason="needs pip install 'llmflow[evaluation]'")
    pytest.importorskip("pytrec_eval", reason="needs pip install 'llmflow[evaluation]'")
    judged = (beir / "qrels" / "train.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    for split, lines in (("dev", judged[1::6]), ("rest", [line for at, line in enumerate(judged) if at % 6 != 1])):
        (beir / "qrels" / f"{split}.tsv").write_text("".join(lines), encoding="utf-8")

    def quality(*options: str) -> float:
        file = beir / "report.json"
        ran = run("evaluate", "retrieval", beir, "--split", "dev", *options, "--json", file)
        assert ran.code == 0, ran.err
        report = json.loads(file.read_text(encoding="utf-8"))
        assert report["queries"] == len(TOPICS)
        return float(report["systems"]["llmflow"]["ndcg@10"])

    assert quality() < 0.5
    assert quality("--memory", "rest") > 0.6


def test_nothing_is_saved_where_nothing_is_better(beir: Path) -> None:
    run("tune", "retrieval", beir)
    before = Path("llmflow.yaml").read_text(encoding="utf-8")
    ran = run("tune", "retrieval", beir)
    assert "the settings stay as they are" in ran.out
    assert Path("llmflow.yaml").read_text(encoding="utf-8") == before


def by_memory_alone() -> str:
    """Folder of a learned fusion that puts first what similar questions found, whatever else is said."""
    pytest.importorskip("lightgbm", reason="needs pip install 'llmflow[learn]'")
    legs = (MEMORY,)
    column = feature_names(legs).index(f"{MEMORY}.share")
    rng, judged = np.random.default_rng(1), []
    for _ in range(320):
        values = np.zeros((20, len(feature_names(legs))), np.float32)
        values[:, column] = rng.random(20)
        judged.append(Judged(values, (values[:, column] > 0.8).astype(np.int64)))
    return str(learn(judged, legs, judged[:60], {}).save(Path("fusion").absolute()))


def test_a_learned_fusion_is_replaced_only_by_what_beats_it(beir: Path) -> None:
    # The weight is far from the best one for convex.
    settings = {"fusion": "learned", "fusion_model": by_memory_alone(), "memory_weight": 0.05}
    text = yaml.safe_dump({"retrieval": settings})
    Path("llmflow.yaml").write_text(text, encoding="utf-8")
    ran = run("tune", "retrieval", beir, "--json")
    assert ran.code == 0, ran.err
    report = ran.json
    assert report["ndcg@10"]["before"] >= report["ndcg@10"]["convex"]
    assert (report["fusion"], report["saved"]) == ("learned", {})
    assert Path("llmflow.yaml").read_text(encoding="utf-8") == text


def test_convex_replaces_a_fusion_it_beats(beir: Path) -> None:
    Path("llmflow.yaml").write_text("retrieval:\n  fusion: rrf\n", encoding="utf-8")
    report = run("tune", "retrieval", beir, "--json").json
    assert report["ndcg@10"]["convex"] > report["ndcg@10"]["before"]
    assert report["saved"]["fusion"] == "convex"
    assert run("config", "show", "--json").json["retrieval"]["fusion"] == "convex"


def test_a_learned_fusion_that_cannot_be_opened_is_no_way_to_compare(beir: Path) -> None:
    text = "retrieval:\n  fusion: learned\n  fusion_model: gone\n"
    Path("llmflow.yaml").write_text(text, encoding="utf-8")
    ran = run("tune", "retrieval", beir)
    assert ran.code != 0
    assert "no usable learned fusion in gone" in ran.err
    assert Path("llmflow.yaml").read_text(encoding="utf-8") == text


def test_too_few_questions_are_refused(beir: Path) -> None:
    ran = run("tune", "retrieval", beir, "--learn")
    assert ran.code == 2
    assert "has 36 judged questions; a learned fusion needs 300" in ran.err
    judged = (beir / "qrels" / "train.tsv").read_text(encoding="utf-8").splitlines()
    (beir / "qrels" / "few.tsv").write_text("\n".join(judged[:6]), encoding="utf-8")
    few = run("tune", "retrieval", beir, "--split", "few")
    assert few.code == 2
    assert "has 5 judged questions; tuning needs 10" in few.err
    assert not Path("llmflow.yaml").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing set\n",
        "data_dir: x\n",
        "retrieval:\n    depth: 10 # ten\n    b: 0.5\n# after\nllm:\n  model: m\n",
        "llm:\n  model: m\nretrieval:\n\n  # weights\n  dense_weight: 9   # nine\n",
        "retrieval: # empty\n",
    ],
)
def test_values_are_set_and_all_else_stays(tmp_path: Path, text: str) -> None:
    file = tmp_path / "llmflow.yaml"
    file.write_text(text, encoding="utf-8")
    set_values(file, "retrieval", {"dense_weight": 0.4, "fusion": "convex"})
    changed = file.read_text(encoding="utf-8")
    before = yaml.safe_load(text) or {}
    expected = {**(before.get("retrieval") or {}), "dense_weight": 0.4, "fusion": "convex"}
    assert yaml.safe_load(changed) == {**before, "retrieval": expected}
    for part in ("# nothing set", "# ten", "# after", "# weights", "# nine", "# empty"):
        assert (part in text) == (part in changed)


@pytest.mark.parametrize("text", ["retrieval: {top_k: 3}\n", "- a list\n", "retrieval: &a\n  top_k: 3\n"])
def test_a_file_that_cannot_be_edited_by_line_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "llmflow.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"put this there by hand:\s+retrieval:\s+fusion: learned"):
        set_values(file, "retrieval", {"fusion": "learned"})
    assert file.read_text(encoding="utf-8") == text
