"""Validation of plugins: what Dify takes passes, and each mistake is named with its place and a remedy."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from environments import ENVIRONMENTS, PLUGINS, interpreter
from typer.testing import CliRunner
from validation_changes import Change, assert_found, copy_plugin
from validation_mistakes import (
    AGENT,
    AGENT_CHANGES,
    MANIFEST_CHANGES,
    MODEL,
    MODEL_CHANGES,
    RICH,
    TOOL,
    TOOL_CHANGES,
)

from dify_plugins.tooling.__main__ import app
from dify_plugins.tooling.validation import plugin_folders, validate_plugin


def _cases() -> list[object]:
    groups = {(TOOL, "manifest"): MANIFEST_CHANGES, (TOOL, "tools"): TOOL_CHANGES, (MODEL, "models"): MODEL_CHANGES}
    groups[AGENT, "agents"] = AGENT_CHANGES
    return [
        pytest.param(plugin, change, id=f"{kind}-{number}")
        for (plugin, kind), changes in groups.items()
        for number, change in enumerate(changes)
    ]


@pytest.mark.parametrize(("plugin", "change"), _cases())
def test_one_mistake_is_named_with_its_place(plugin: str, change: Change, tmp_path: Path) -> None:
    folder = copy_plugin(PLUGINS / plugin, tmp_path)
    file, line = change.apply(folder)
    assert_found(validate_plugin(folder), file, line, change.message)


def _write(name: str, content: str | bytes = "") -> Callable[[Path], object]:
    """A change: the file ``name`` with ``content``."""

    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def _folder_instead(name: str) -> Callable[[Path], object]:
    """A change: a folder where the file ``name`` was."""

    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return change


def _second_endpoint(folder: Path) -> None:
    text = (folder / "endpoints/retrieval.yaml").read_text(encoding="utf-8")
    (folder / "endpoints/again.yaml").write_text(text, encoding="utf-8")
    group = folder / "group/llmflow.yaml"
    group.write_text(group.read_text(encoding="utf-8") + "  - endpoints/again.yaml\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "file", "message"),
    [
        (lambda folder: (folder / "README.md").unlink(), "README.md", "README.md is missing"),
        (_write("PRIVACY.md", " \n"), "PRIVACY.md", "PRIVACY.md is empty"),
        (_write(".difyignore", "README.md\n"), ".difyignore", "README.md is not packed"),
        (_write(".difyignore", "!keep.md\n"), ".difyignore", "'!keep.md' brings nothing back"),
        (lambda folder: (folder / ".difyignore").unlink(), ".difyignore", ".difyignore is missing"),
        (lambda folder: (folder / "requirements.txt").unlink(), "requirements.txt", "requirements.txt is missing"),
        (_write("readme/README.ko.md", "안녕하세요."), "readme/README.ko.md", "is not found by Dify"),
        (_write("_assets/icon.svg", "<html>"), "_assets/icon.svg", "icon.svg is no picture of its kind"),
        (_write("_assets/icon.svg", b"x" * 300_000), "_assets/icon.svg", "the icon has 300000 bytes"),
        (_write("secret.pem", "x"), "secret.pem", "secret.pem may hold secrets"),
        (_write("tools/fast.so", b"\x7fELF"), "tools/fast.so", "tools/fast.so is a compiled file"),
        (lambda folder: (folder / "link.md").symlink_to("README.md"), "link.md", "link.md is a link"),
        (lambda folder: (folder / "away").symlink_to("tools"), "away", "away is a link"),
        (lambda folder: (folder / "broken").symlink_to("nowhere"), "broken", "broken is a link"),
        (_write(".difyignore", "한글".encode("cp949")), ".difyignore", "the file is not UTF-8"),
        (_write("requirements.txt", "httpx".encode("utf-16")), "requirements.txt", "the file is not UTF-8"),
        (
            _write("manifest.yaml", "a: " + "[" * 3000 + "]" * 3000),
            "manifest.yaml",
            "this is nested over 64 levels deep",
        ),
        (_folder_instead("manifest.yaml"), "manifest.yaml", "the file cannot be read: Is a directory"),
        (_write(".difyignore", "main.py\n"), ".difyignore", "main.py is left out, and the plugin needs it"),
        (_write(".difyignore", "requirements.txt\n"), ".difyignore", "requirements.txt is left out, and"),
        (_write(".difyignore", "provider/\n"), ".difyignore", "provider/llmflow.yaml is left out, and"),
        (_write(".difyignore", "tools/*.yaml\n"), ".difyignore", "tools/retrieve.yaml is left out, and"),
        (_write(".difyignore", "*.py\n"), ".difyignore", "tools/retrieve.py is left out, and"),
        (_write(".cache/a/config", "x"), ".difyignore", ".cache would be packed; add .cache/ to .difyignore"),
        (_write("pyproject.toml", "[project]"), "pyproject.toml", "Dify would install by pyproject.toml"),
        (_write("json.py", "x = 1"), "json.py", "json.py hides the library json"),
        (_write("httpx/__init__.py", "x = 1"), "httpx/__init__.py", "httpx/__init__.py hides the library httpx"),
        (_write("readme/README_kr_KO.md", "안녕하세요."), "readme/README_kr_KO.md", "did you mean 'readme/README_"),
        (lambda folder: (folder / "readme/README_ko_KR.md").unlink(), "readme/README_ko_KR.md", "is not in the pack"),
        (_write("_assets/icon.svg", "<svg><script/></svg>"), "_assets/icon.svg", "icon.svg holds a script"),
        (_write("_assets/icon.svg", "<svg onload='x()'/>"), "_assets/icon.svg", "icon.svg holds a script"),
        (_write("manifest.yaml"), "manifest.yaml", "the file is empty"),
        (_write("manifest.yaml", b"\xff\xfe"), "manifest.yaml", "the file is not UTF-8"),
        (_write("manifest.yaml", "a: &a [*a]"), "manifest.yaml", "an alias stands for a value that holds it"),
        (_write("manifest.yaml", "- a"), "manifest.yaml", "the document is ['a']"),
        (_second_endpoint, "endpoints/again.yaml", "there is another endpoint POST /retrieval"),
    ],
)
def test_files_are_checked(change: Callable[[Path], object], file: str, message: str, tmp_path: Path) -> None:
    folder = copy_plugin(PLUGINS / TOOL, tmp_path)
    change(folder)
    assert_found(validate_plugin(folder), folder / file, 1, message)


def test_own_module_that_is_left_out_is_not_asked_of_strangers(tmp_path: Path) -> None:
    folder = copy_plugin(PLUGINS / TOOL, tmp_path)
    (folder / ".difyignore").write_text("llmflow_client/\n", encoding="utf-8")
    said = "\n".join(map(str, validate_plugin(folder)))
    assert "llmflow_client is imported, and .difyignore keeps it out of the package" in said
    assert "range of versions" not in said


def test_command_takes_folders_of_flows_and_bundles(tmp_path: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(app, ["validate", str(PLUGINS / "apps"), str(PLUGINS / "bundle")])
    assert done.exit_code == 0, done.stdout
    assert f"0 problems in {1 + len(list(PLUGINS.glob('apps/*.yml')))} plugins and flows" in done.stdout
    bundle = copy_plugin(PLUGINS / "bundle", tmp_path)
    _, line = Change("manifest.yaml", "icon: icon.svg", "icon: icn.svg", "").apply(bundle)
    text = runner.invoke(app, ["validate", str(bundle)]).stdout
    assert f"{bundle}/manifest.yaml:{line}:7: there is no _assets/icn.svg; add it" in text


def test_package_over_50_mb_is_refused(tmp_path: Path) -> None:
    folder = copy_plugin(PLUGINS / TOOL, tmp_path)
    with (folder / "data.bin").open("wb") as file:
        file.truncate(51 << 20)
    found = [str(problem) for problem in validate_plugin(folder) if "data.bin alone has 53477376" in problem.what]
    assert len(found) == 1
    assert "allowed: 52428800 bytes" in found[0]


def test_both_sdks_load_what_passes(tmp_path: Path) -> None:
    """Copies with much that the plugins of this repository do without, and one that the SDKs refuse as well."""
    folders = [copy_plugin(PLUGINS / name, tmp_path) for name in (TOOL, MODEL, AGENT)]
    for folder, changes in zip(folders, RICH.values(), strict=True):
        for change in changes:
            change.apply(folder)
    (folders[1] / "models/llm/_position.yaml").write_text("- llmflow\n", encoding="utf-8")
    assert [str(problem) for folder in folders for problem in validate_plugin(folder)] == []

    wrong = copy_plugin(PLUGINS / TOOL, tmp_path / "wrong")
    with (wrong / "tools/mask_pii.py").open("a", encoding="utf-8") as source:
        source.write("\n\nfrom tools.retrieve import Retrieve  # the SDK looks at every name of a module\n")
    assert "2 subclasses of dify_plugin.Tool: MaskPii, Retrieve" in "\n".join(map(str, validate_plugin(wrong)))

    for said in _refusals([*folders, wrong]):
        assert "Multiple subclasses of Tool" in str(said.pop(str(wrong)))
        assert said == {str(folder): None for folder in folders}


def _refusals(folders: list[Path]) -> list[dict[str, str | None]]:
    """What the SDK of each environment says against plugins."""
    script = Path(__file__).with_name("sdk_loads.py")
    running = [
        subprocess.Popen([interpreter(python), script, *folders], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for python in ENVIRONMENTS
    ]
    answers = [process.communicate(timeout=60)[0] for process in running]
    return [json.loads(answer.splitlines()[-1]) for answer in answers]


def test_plugins_of_this_repository_have_no_problems() -> None:
    folders = list(plugin_folders(PLUGINS))
    assert [folder.name for folder in folders] == [TOOL, MODEL, AGENT]
    assert [str(problem) for folder in folders for problem in validate_plugin(folder)] == []


def test_command_prints_findings_and_fails(tmp_path: Path) -> None:
    folder = copy_plugin(PLUGINS / TOOL, tmp_path)
    Change("manifest.yaml", "icon_dark: icon-dark.svg", "icn_dark: icon-dark.svg", "").apply(folder)
    runner = CliRunner()
    text = runner.invoke(app, ["validate", str(folder)])
    assert text.exit_code == 1
    assert f"{folder}/manifest.yaml:12:1: unknown key icn_dark; allowed: author," in text.stdout
    assert "did you mean 'icon_dark'?\n1 problem in 1 plugins and flows" in text.stdout
    found = json.loads(runner.invoke(app, ["validate", str(folder), "--json"]).stdout)
    assert [(one["line"], one["column"], one["what"]) for one in found] == [(12, 1, "unknown key icn_dark")]
    assert runner.invoke(app, ["validate", str(folder / "nowhere")]).exit_code == 2


def test_command_checks_all_plugins_and_flows() -> None:
    done = CliRunner().invoke(app, ["validate"])
    assert done.exit_code == 0, done.stdout
    assert f"0 problems in {3 + len(list(PLUGINS.glob('apps/*.yml')))} plugins and flows" in done.stdout
