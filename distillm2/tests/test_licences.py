"""The register of licences: what is refused, by which policy, and how the user's own entries count."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import typer
from licence_entries import OWN
from typer.testing import CliRunner, Result

from distillm2.cli import data, licence
from distillm2.data.endpoint import PAPER
from distillm2.data.licence_check import Policy, check, names_in
from distillm2.data.licences import DATE, Register, read_register
from distillm2.errors import DistillationError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in a folder of its own, where distillm2_licences.yaml would be found."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    licence.register(app)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["licence", *arguments], env={"COLUMNS": "200"})


def shipped() -> Register:
    return Register.load()


def test_the_shipped_register_is_well_formed_and_unambiguous() -> None:
    register = shipped()
    assert len(register.entries) >= 40
    for entry in register.entries:
        assert entry.released is None or entry.checked > entry.released.isoformat()[:7], entry.where
        assert entry.source.startswith("https://"), entry.where
        assert entry.note or "conditions" not in (entry.commercial, entry.distillation), entry.where
        assert entry.kind != "service" or entry.released is None, entry.where
        assert DATE.fullmatch(entry.checked) or "allowed" not in (entry.commercial, entry.distillation), entry.where
        for name in entry.names:
            assert register.find(name.replace("*", "x")) is entry


@pytest.mark.parametrize(
    ("name", "licence_name", "commercial", "distillation"),
    [
        ("Qwen/Qwen3-8B", "Apache-2.0", "allowed", "allowed"),
        ("Qwen/Qwen2.5-7B-Instruct", "Apache-2.0", "allowed", "allowed"),
        ("Qwen/Qwen2.5-3B-Instruct", "Qwen-Research", "forbidden", "conditions"),
        ("meta-llama/Llama-3.1-8B-Instruct", "Llama-3.1-Community", "conditions", "conditions"),
        ("meta-llama/Meta-Llama-3-8B-Instruct", "Llama-3-Community", "conditions", "forbidden"),
        ("google/gemma-2-9b-it", "Gemma", "conditions", "conditions"),
        ("LGAI-EXAONE/EXAONE-4.0-1.2B", "EXAONE-1.2-NC", "forbidden", "forbidden"),
        ("HuggingFaceH4/ultrachat_200k", "MIT", "conditions", "unknown"),
        ("anthropic/claude-opus-4", "Anthropic-Commercial-Terms", "allowed", "forbidden"),
    ],
)
def test_well_known_models(name: str, licence_name: str, commercial: str, distillation: str) -> None:
    entry = shipped().find(name)
    assert entry is not None
    assert (entry.licence, entry.commercial, entry.distillation) == (licence_name, commercial, distillation)


@pytest.mark.parametrize(
    "name", ["Qwen/Qwen3-8b", "qwen3-8b", "Qwen/Qwen3-8B-GGUF", "someone/Qwen3-8B", "anthropic/a/claude-3"]
)
def test_names_that_only_resemble_a_registered_one_are_unknown(name: str) -> None:
    assert shipped().find(name) is None
    result = run("check", name)
    assert result.exit_code == 1
    assert f"{name}: refused: not in the register" in result.stdout
    assert "distillm2 licence add" in result.stdout


@pytest.mark.parametrize(
    ("day", "refused"),
    [("2025-04-29", True), ("2025-04-30", False), ("2025-07-01", False), ("2024-01-01", True)],
)
def test_the_cut_off_day_is_excluded(day: str, refused: bool) -> None:
    result = run("check", "Qwen/Qwen3-1.7B", "--released-before", day)
    assert result.exit_code == int(refused)
    assert ("released 2025-04-29, not before" in result.stdout) == refused


def test_a_month_counts_as_its_last_day(here: Path) -> None:
    (here / "distillm2_licences.yaml").write_text(OWN, encoding="utf-8")
    assert run("check", "ours/student-1", "--released-before", "2025-06-30").exit_code == 1
    assert run("check", "ours/student-1", "--released-before", "2025-07-01").exit_code == 0


def test_an_unknown_day_does_not_pass_a_cut_off() -> None:
    result = run("check", "openai/gpt-4o", "--released-before", "2025-07-01")
    assert result.exit_code == 1
    assert "its day of release is unknown" in result.stdout


@pytest.mark.parametrize("day", ["2025-13-01", "1.7.2025", "2025-07", "unknown"])
def test_a_cut_off_that_is_no_day(day: str) -> None:
    result = run("check", "Qwen/Qwen3-8B", "--released-before", day)
    assert isinstance(result.exception, DistillationError)
    assert "2025-0" in str(result.exception)


def test_policies_ask_what_the_role_needs() -> None:
    roles = {"Qwen/Qwen3-1.7B": "student", "meta-llama/Meta-Llama-3-8B": "teacher", "Qwen/Qwen2.5-3B": "student"}
    found = check(roles, shipped(), Policy(distillation=True))  # type: ignore[arg-type]
    assert [finding.passed for finding in found] == [True, False, True]
    assert found[1].refused == ("training on its outputs is forbidden",)
    found = check(roles, shipped(), Policy(commercial=True))  # type: ignore[arg-type]
    assert [finding.passed for finding in found] == [True, True, False]
    assert "700 million" in found[1].conditions[0]


def test_conditions_pass_and_are_named(here: Path) -> None:
    result = run("check", "google/gemma-2-9b-it", "--distillation", "--report", "report.json")
    assert result.exit_code == 0
    assert "condition: prohibited uses" in result.stdout
    report = json.loads((here / "report.json").read_text(encoding="utf-8"))
    assert report["passed"]
    assert report["policy"] == {"released_before": None, "commercial": False, "distillation": True}
    assert report["findings"][0]["licence"] == "Gemma"
    assert report["findings"][0]["released"] == "2024-06-27"
    assert report["findings"][0]["conditions"]


def test_what_nobody_compared_with_its_source_says_so(here: Path) -> None:
    (here / "distillm2_licences.yaml").write_text(OWN.replace("  checked: 2026-11-21\n", ""), encoding="utf-8")
    result = run("check", "ours/student-1", "Qwen/Qwen3-8B", "--report", "report.json")
    assert result.exit_code == 0
    assert "ours/student-1: not checked: read https://example.com/licence" in result.stdout
    assert "Qwen/Qwen3-8B: not checked" not in result.stdout
    findings = json.loads((here / "report.json").read_text(encoding="utf-8"))["findings"]
    assert [finding["checked"] for finding in findings] == ["not checked", "2026-11"]
    assert "not checked" in run("list").stdout


def test_the_sample_sets_are_registered() -> None:
    root = Path(__file__).parents[2]
    register = Register.load(root / "distillm2_licences.yaml")
    for name in json.loads((root / "dataset_info.json").read_text(encoding="utf-8")):
        entry = register.find(name)
        assert entry is not None, name
        assert (entry.licence, entry.distillation) == ("Apache-2.0", "allowed")


def test_neither_licence_nor_plan_loads_what_asks_servers() -> None:
    code = "import sys, distillm2.cli.main; assert 'httpx' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert (PAPER.temperature, PAPER.top_p, PAPER.max_tokens) == (data.TEMPERATURE, data.TOP_P, data.MAX_TOKENS)


def test_the_report_holds_unknown_names_too(here: Path) -> None:
    assert run("check", "nobody/x", "Qwen/Qwen3-8B", "--report", "report.json").exit_code == 1
    report = json.loads((here / "report.json").read_text(encoding="utf-8"))
    assert [finding["passed"] for finding in report["findings"]] == [False, True]
    assert not report["passed"]


def test_a_training_is_checked_with_its_data(here: Path) -> None:
    (here / "data").mkdir()
    info = {"mine": {"file_name": "mine.json"}, "public": {"hf_hub_url": "OpenAssistant/oasst1"}}
    (here / "data" / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    (here / "x.yaml").write_text(
        "model_name_or_path: Qwen/Qwen3-1.7B\nteacher_model: Qwen/Qwen3-8B\ndataset: mine, public\nstage: distillm2\n",
        encoding="utf-8",
    )
    result = run("check", "x.yaml", "--commercial", "--distillation")
    assert result.exit_code == 1
    assert "mine: refused: not in the register" in result.stdout
    arguments = [
        "--kind",
        "data",
        "--licence",
        "CC0-1.0",
        "--released",
        "2025-01-02",
        "--source",
        "https://example.com",
    ]
    assert run("add", "mine", *arguments, "--commercial", "allowed", "--distillation", "allowed").exit_code == 0
    result = run("check", "x.yaml", "--commercial", "--distillation", "--released-before", "2025-07-01")
    assert result.exit_code == 0, result.stdout


def test_the_role_of_teacher_comes_first() -> None:
    found = names_in({"model_name_or_path": "a/b", "teacher_model": "a/b", "ref_model": "a/b"}, "x")
    assert found == {"a/b": "teacher"}


def test_a_cache_counts_as_its_teacher(here: Path) -> None:
    (here / "cache").mkdir()
    (here / "cache" / "manifest.json").write_text('{"teacher": "Qwen/Qwen3-8B"}', encoding="utf-8")
    assert names_in({"teacher_cache": "cache"}, "x") == {"Qwen/Qwen3-8B": "teacher"}


def test_a_training_without_names_is_refused() -> None:
    with pytest.raises(DistillationError, match="names neither models nor data"):
        names_in({"stage": "sft"}, "x.yaml")


def test_a_local_folder_is_unknown_until_it_says_where_it_comes_from(here: Path) -> None:
    model = here / "student"
    model.mkdir()
    (model / "config.json").write_text("{}", encoding="utf-8")
    assert run("check", "student").exit_code == 1
    (model / "README.md").write_text("---\nlicense: mit\n---\nA licence alone is a claim.\n", encoding="utf-8")
    assert run("check", "student").exit_code == 1
    (model / "README.md").write_text("---\nbase_model: Qwen/Qwen2.5-3B\nlicense: mit\n---\n", encoding="utf-8")
    result = run("check", "student", "--commercial")
    assert result.exit_code == 1
    assert "commercial use is forbidden" in result.stdout
    adapter = here / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "student"}', encoding="utf-8")
    assert "Qwen-Research" in run("check", "adapter").stdout


def test_folders_that_name_each_other_are_unknown(here: Path) -> None:
    for name, base in (("a", "b"), ("b", "a")):
        (here / name).mkdir()
        (here / name / "README.md").write_text(f"---\nbase_model: {base}\n---\n", encoding="utf-8")
    assert run("check", "a").exit_code == 1


def test_the_users_entries_come_first(here: Path) -> None:
    changed = OWN.replace("ours/student-*", "Qwen/Qwen3-8B").replace("allowed", "forbidden")
    (here / "distillm2_licences.yaml").write_text(changed, encoding="utf-8")
    result = run("check", "Qwen/Qwen3-8B", "Qwen/Qwen3-4B", "--commercial")
    assert result.exit_code == 1
    assert "Qwen/Qwen3-8B: refused: commercial use is forbidden" in result.stdout
    assert "Qwen/Qwen3-4B: refused" not in result.stdout
    assert run("check", "Qwen/Qwen3-8B", "--commercial", "--register", "nowhere.yaml").exit_code == 1


def test_an_exact_name_comes_before_a_pattern_and_two_patterns_are_refused(here: Path) -> None:
    exact = OWN.replace("ours/student-*", "ours/student-1").replace("Apache-2.0", "MIT")
    (here / "own.yaml").write_text(OWN + exact, encoding="utf-8")
    entry = Register.load(Path("own.yaml")).find("ours/student-1")
    assert entry is not None
    assert entry.licence == "MIT"
    (here / "own.yaml").write_text(OWN + OWN.replace("ours/student-*", "ours/*-1"), encoding="utf-8")
    with pytest.raises(DistillationError, match=r"twice, own.yaml:1 and own.yaml:10"):
        Register.load(Path("own.yaml")).find("ours/student-1")


def test_a_copy_counts_as_its_original() -> None:
    assert run("add", "models/student", "unsloth/Qwen3-1.7B", "--same-as", "Qwen/Qwen3-1.7B").exit_code == 0
    result = run("check", "models/student", "--released-before", "2025-07-01")
    assert result.exit_code == 0
    assert "Apache-2.0" in result.stdout


def test_adding_keeps_what_is_there_and_refuses_what_is_not_whole(here: Path) -> None:
    file = here / "distillm2_licences.yaml"
    file.write_text("# ours\n" + OWN, encoding="utf-8")
    result = run("add", "ours/data", "--kind", "data", "--licence", "MIT")
    assert isinstance(result.exception, DistillationError)
    assert "lacks released, commercial, distillation, source" in str(result.exception)
    result = run("add", "x", "--same-as", "nobody/nothing")
    assert isinstance(result.exception, DistillationError)
    assert "same_as 'nobody/nothing' is not in the register" in str(result.exception)
    result = run("add", "ours/student-*", "--same-as", "Qwen/Qwen3-8B")
    assert isinstance(result.exception, DistillationError)
    assert "distillm2_licences.yaml:2" in str(result.exception)
    assert file.read_text(encoding="utf-8") == "# ours\n" + OWN
    assert run("add", "copy", "--same-as", "Qwen/Qwen3-8B").exit_code == 0
    assert file.read_text(encoding="utf-8").startswith("# ours\n" + OWN)
    assert sorted(path.name for path in here.iterdir()) == ["distillm2_licences.yaml"]
    assert len(read_register(file)) == 2


def test_the_list_shows_one_kind() -> None:
    result = run("list", "--kind", "data")
    assert result.exit_code == 0
    assert "rajpurkar/squad" in result.stdout
    assert "Qwen/Qwen3-8B" not in result.stdout
    assert isinstance(run("list", "--kind", "datum").exception, DistillationError)


def test_dates_are_days() -> None:
    entry = shipped().find("microsoft/phi-4")
    assert entry is not None
    assert entry.released == date(2025, 1, 31)
