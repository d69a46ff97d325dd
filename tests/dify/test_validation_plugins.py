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

from dify_plugins.tooling.__main__ import app
from dify_plugins.tooling.validation import plugin_folders, validate_plugin

TOOL, MODEL, AGENT = "llmflow", "llmflow_models", "llmflow_supervisor"
RETRIEVE = "tools/retrieve.yaml"
PROVIDER = "provider/llmflow.yaml"
MODELS = "provider/llmflow_models.yaml"
STRATEGY = "strategies/supervisor.yaml"

MANIFEST_CHANGES = [
    Change("manifest.yaml", "author: llmflow", "author: LLM Flow", "author is 'LLM Flow'; allowed: 1 to 64 of"),
    Change("manifest.yaml", "name: llmflow", "name: llm.flow", "name is 'llm.flow'; allowed: 1 to 128 of"),
    Change("manifest.yaml", "version: 0.1.0", "version: 0.1", "version is 0.1; allowed: a valid string"),
    Change("manifest.yaml", "version: 0.1.0", "version: v0.1.0", "version is 'v0.1.0'; allowed: three numbers"),
    Change("manifest.yaml", "version: 0.1.0", "version: 0.2.0", "but version is '0.2.0'", "version: 0.1.0"),
    Change("manifest.yaml", "type: plugin", "type: plug-in", "did you mean 'plugin'?"),
    Change("manifest.yaml", "label:\n  en_US: LLMFlow\n", "label:\n", "label.en_US is missing", "label:"),
    Change("manifest.yaml", "  ko_KR: LLMFlow\n", "", "label.ko_KR is missing", "label:"),
    Change("manifest.yaml", "  ko_KR: LLMFlow", "  ko_KO: LLMFlow", "unknown key label.ko_KO"),
    Change("manifest.yaml", "icon: icon.svg", "icon: icons.svg", "the icon 'icons.svg' is not in _assets"),
    Change("manifest.yaml", "icon_dark: icon-dark.svg", "icn_dark: icon-dark.svg", "did you mean 'icon_dark'?"),
    Change("manifest.yaml", "2026-11-21T00:00:00Z", "2026-11-21", "created_at is datetime.date(2026, 11, 21)"),
    Change("manifest.yaml", "2026-11-21T00:00:00Z", "2026-11-21T00:00:00", "without a zone"),
    Change("manifest.yaml", "memory: 268435456", "memory: 0", "resource.memory is 0; allowed: greater than 0"),
    Change(
        "manifest.yaml", "memory: 268435456", "memory: 256MB", "resource.memory is '256MB'; allowed: a valid integer"
    ),
    Change(
        "manifest.yaml",
        "    endpoint:\n      enabled: true\n",
        "    endpoint:\n      enabled: true\n    storage:\n      enabled: true\n      size: 512\n",
        "resource.permission.storage.size is 512; allowed: greater than or equal to 1024",
        "size: 512",
    ),
    Change("manifest.yaml", "      enabled: true", "      enabled: yes", "yes is a word to one part of Dify"),
    Change("manifest.yaml", "      enabled: true", "      enabled: 'true'", "permission.endpoint.enabled is 'true'"),
    Change(
        "manifest.yaml", "      enabled: true", "      enabled: false", "asks no permission for them", "permission:"
    ),
    Change("manifest.yaml", "    endpoint:\n", "    endpoints:\n", "did you mean 'endpoint'?"),
    Change("manifest.yaml", "    - amd64", "    - x86_64", "meta.arch[0] is 'x86_64'; allowed: amd64, arm64"),
    Change("manifest.yaml", "language: python", "language: go", "meta.runner.language is 'go'; allowed: python"),
    Change("manifest.yaml", 'version: "3.12"', "version: 3.12", "meta.runner.version is 3.12; allowed: a valid string"),
    Change("manifest.yaml", "entrypoint: main", "entrypoint: app", "no file app.py for the entrypoint 'app'"),
    Change(
        "manifest.yaml", "minimum_dify_version: 1.9.0", "minimum_dify_version: latest", "is 'latest'; allowed: three"
    ),
    Change("manifest.yaml", "  - rag", "  - retrieval", "tags[0] is 'retrieval'; allowed: agent, business"),
    Change(
        "manifest.yaml", "privacy: PRIVACY.md", "privacy: PRIVATE.md", "privacy is 'PRIVATE.md', and there is no such"
    ),
    Change(
        "manifest.yaml",
        "privacy: PRIVACY.md",
        "privacy: PRIVACY.md\nrepo: llmflow",
        "repo is 'llmflow'",
        "repo: llmflow",
    ),
    Change(
        "manifest.yaml", "    - provider/llmflow.yaml", "    - provider/llmflw.yaml", "no file 'provider/llmflw.yaml'"
    ),
    Change(
        "manifest.yaml",
        "    - provider/llmflow.yaml",
        "    - provider/llmflow.yaml\n    - provider/llmflow.yaml",
        "plugins.tools names 2 providers; allowed: one provider of a kind",
        "    - provider/llmflow.yaml\n  endpoints:",
    ),
    Change("manifest.yaml", "icon_dark: icon-dark.svg", "icon: icon.svg", "the key 'icon' stands here a second time"),
    Change("manifest.yaml", "icon: icon.svg", "icon: [icon.svg", "this is not YAML", "icon_dark"),
    Change("manifest.yaml", "created_at: 2026-11-21T00:00:00Z\n", "created_at:\n", "created_at has no value"),
]
TOOL_CHANGES = [
    Change(
        PROVIDER, "  author: llmflow", "  author: somebody", "identity.author is 'somebody', but the plugin's author"
    ),
    Change(PROVIDER, "  icon: icon.svg", "  icon: icon.jpg", "the icon 'icon.jpg' is not in _assets; allowed: icon"),
    Change(PROVIDER, "    - rag", "    - agent", "identity.tags[0] is 'agent'; allowed: business"),
    Change(PROVIDER, "credentials_for_provider:", "credentials_schema:", "unknown key credentials_schema"),
    Change(PROVIDER, "    type: text-input", "    type: number", "write a number as text-input"),
    Change(PROVIDER, "    default: ko", "    default: jp", "language: its default 'jp' is not among its options"),
    Change(
        PROVIDER, '    default: "60"', "    default: 60", "timeout_s: its default is 60, and its type is text-input"
    ),
    Change(
        PROVIDER,
        "    type: secret-input\n",
        "    type: secret-input\n    default: a\n",
        "a secret with a",
        "default: a",
    ),
    Change(PROVIDER, "    type: select\n", "    type: text-input\n", "language: it has options", "    options:"),
    Change(PROVIDER, "      - value: ko", "      - valeu: ko", "did you mean 'value'?"),
    Change(PROVIDER, "      - value: en", "      - value: ko", "the option 'ko' stands here a second time"),
    Change(
        PROVIDER, "  - tools/rerank.yaml", "  - tools/rerank.yml", "there is no file 'tools/rerank.yml' in the plugin"
    ),
    Change(
        PROVIDER,
        "  - tools/rerank.yaml",
        "  - tools/retrieve.yaml",
        "2 declarations of a tool are named 'retrieve'",
        "name: retrieve",
        RETRIEVE,
    ),
    Change(
        PROVIDER, "source: provider/llmflow.py", "source: tools/answer.py", "0 subclasses of dify_plugin.ToolProvider"
    ),
    Change(RETRIEVE, "  name: retrieve", "  name: retrieve passages", "identity.name is 'retrieve passages'"),
    Change(RETRIEVE, "  human:", "  humans:", "did you mean 'human'?"),
    Change(RETRIEVE, "    type: number", "    type: numbr", "did you mean 'number'?"),
    Change(RETRIEVE, "    type: number", "    type: dynamic-select", "do not run on dify_plugin 0.7.4"),
    Change(RETRIEVE, "    form: llm", "    form: lm", "parameters[0].form is 'lm'; allowed: form, llm, schema"),
    Change(RETRIEVE, "    llm_description:", "    llm_desc:", "did you mean 'llm_description'?"),
    Change(RETRIEVE, "    form: form", "    form: llm", "parameter top_k: llm_description is missing"),
    Change(RETRIEVE, "    default: 5", "    default: 0", "parameter top_k: its default is 0; allowed: 1 to 1000"),
    Change(
        RETRIEVE, "    default: 5", "    default: '5'", "its default is '5', and its type is number; allowed: a number"
    ),
    Change(RETRIEVE, "    default: 5", "    defualt: 5", "did you mean 'default'?"),
    Change(RETRIEVE, "    max: 1000", "    max: 0", "parameter top_k: min 1 is over max 0", "    min: 1"),
    Change(
        RETRIEVE,
        "    default: false",
        "    default: 0",
        "parameter explain: its default is 0, and its type is boolean; allowed: true",
    ),
    Change(
        RETRIEVE, "    default: default", "    default: cross", "parameter rerank: its default 'cross' is not among"
    ),
    Change(RETRIEVE, "    type: select", "    type: string", "it has options, and its type is string", "    options:"),
    Change(RETRIEVE, "      - value: llm", "      - value: default", "the option 'default' stands here a second time"),
    Change(RETRIEVE, "      - value: none", "      - value: off", "off is a word to one part of Dify"),
    Change(RETRIEVE, "  - name: top_k", "  - name: query", "parameter query: there is another of this name"),
    Change(
        RETRIEVE,
        "    required: true",
        "    required: true\n    scope: llm",
        "it has a scope, and its type",
        "scope: llm",
    ),
    Change(RETRIEVE, "    context:", "    text:", "the variable text is one that Dify makes itself"),
    Change(RETRIEVE, "    trace_id:", "    trace-id:", "a flow cannot name the variable 'trace-id'"),
    Change(
        RETRIEVE,
        "      type: array",
        "      type: list",
        "output_schema.properties.result.type is 'list'; allowed: array",
    ),
    Change(RETRIEVE, "  properties:\n    result", "  propertys:\n    result", "did you mean 'properties'?"),
    Change(
        RETRIEVE, "source: tools/retrieve.py", "source: tools/retriev.py", "no file 'tools/retriev.py' in the package"
    ),
    Change(
        "endpoints/retrieval.yaml", "path: /retrieval", "path: retrieval", "path is 'retrieval'; allowed: a path that"
    ),
    Change(
        "endpoints/retrieval.yaml", "method: POST", "method: PATCH", "method is 'PATCH'; allowed: DELETE, GET, HEAD"
    ),
    Change("endpoints/retrieval.yaml", "method: POST", "method: POST\nhiden: true", "did you mean 'hidden'?", "hiden"),
    Change("group/llmflow.yaml", "  - name: api_key", "  - name: base_url", "there is another field 'base_url'"),
    Change(
        "group/llmflow.yaml", "    type: secret-input", "    type: password", "settings[1].type is 'password'; allowed:"
    ),
    Change("requirements.txt", "dify_plugin>=0.7.4,<0.11", "dify_plugin", "dify_plugin is required in any version"),
    Change("requirements.txt", "dify_plugin>=0.7.4,<0.11", "dify_plugin>=0.10", "a range with 0.7.4 and 0.10.2"),
    Change("tools/retrieve.py", "class Retrieve(", "class Retrieve(:", "this is not Python"),
    Change(
        "tools/retrieve.py",
        "class Retrieve(",
        "import numpy\n\n\nclass Retrieve(",
        "numpy is imported, and requirements.txt",
    ),
    Change(
        "main.py",
        "plugin = ",
        "key = 'sk-0123456789abcdefghij'\nplugin = ",
        "this looks like a key or token: sk-01234567",
    ),
]
MODEL_CHANGES = [
    Change(
        "manifest.yaml",
        "  models:",
        "  agent_strategies:\n    - provider/llmflow_models.yaml\n  models:",
        "stands beside",
    ),
    Change(
        MODELS,
        "supported_model_types:\n  - llm",
        "supported_model_types:\n  - chat",
        "supported_model_types[0] is",
        "- chat",
    ),
    Change(
        MODELS, "  - rerank\n", "  - rerank\n  - tts\n", "no file of model_sources has a subclass of TTSModel", "- tts"
    ),
    Change(MODELS, "  - customizable-model", "  - custom-model", "did you mean 'customizable-model'?"),
    Change(
        MODELS, "model_credential_schema:\n  model:", "model_credentials:\n  model:", "unknown key model_credentials"
    ),
    Change(MODELS, "  en_US: icon_small.svg", "  en_US: small.svg", "the icon 'small.svg' is not in _assets"),
    Change(
        MODELS, "    - variable: base_url", "    - name: base_url", "unknown key provider_credential_schema", "- name:"
    ),
    Change(MODELS, "      required: true\n", "", "required is missing; allowed: true or false", "- variable: base_url"),
    Change(MODELS, "    - variable: api_key", "    - variable: base_url", "there is another field 'base_url'"),
    Change(MODELS, '      default: "60"', "      default: 60", "default is 60; allowed: a valid string"),
    Change(MODELS, "- models/llm/llmflow.yaml", "- models/llm/*.yml", "no file matches 'models/llm/*.yml'"),
    Change(MODELS, "- models/rerank/rerank.py", "- models/failures.py", "models/failures.py has no class of a model"),
    Change(
        MODELS, "- models/rerank/rerank.py", "- models/llm/llm.py", "has a class for llm, and so has models/llm/llm.py"
    ),
    Change("models/llm/llmflow.yaml", "model_type: llm", "model_type: chat", "model_type is 'chat'; allowed: llm"),
    Change("models/llm/llmflow.yaml", "model_type: llm", "model_type: rerank", "the provider lists the file under llm"),
    Change("models/llm/llmflow.yaml", "context_size: 32768", "context: 32768", "did you mean 'context_size'?"),
    Change(
        "models/llm/llmflow.yaml",
        "parameter_rules: []",
        "parameter_rules:\n  - {name: temperature, use_template: temperatur}",
        "did you mean 'temperature'?",
        "  - {name",
    ),
    Change(
        "models/llm/llmflow.yaml",
        "parameter_rules: []",
        "parameter_rules:\n  - {name: depth, type: int}",
        "parameter depth: neither use_template nor label and type",
        "  - {name",
    ),
]
AGENT_CHANGES = [
    Change(
        "manifest.yaml",
        "      llm: true",
        "      llm: false",
        "session.model.llm is used",
        "self._session.model.llm",
        "orchestration/model.py",
    ),
    Change(
        "manifest.yaml",
        "    tool:\n      enabled: true",
        "    tool:\n      enabled: false",
        "session.tool is used",
        "self._session.tool",
        "orchestration/toolbox.py",
    ),
    Change(STRATEGY, "scope: tool-call&llm", "scope: tool-call&llms", "'llms' is no scope of model-selector"),
    Change(STRATEGY, "    type: array[tools]", "    type: tools", "parameters[1].type is 'tools'; allowed: any"),
    Change(STRATEGY, "    type: array[tools]", "    type: dynamic-select", "parameters[1].type is 'dynamic-select'"),
    Change(STRATEGY, "  - history-messages", "  - history", "features[0] is 'history'; allowed: history-messages"),
    Change(
        STRATEGY,
        "    default: 6",
        "    default: 60",
        "parameter maximum_iterations: its default is 60; allowed: 1 to 30",
    ),
    Change(STRATEGY, "      type: prompt_instruction", "      type: prompt", "auto_generate.type is 'prompt'"),
    Change(STRATEGY, "    help:", "    human_description:", "unknown key parameters[2].human_description"),
]

RICH = {
    TOOL: [
        Change(
            "manifest.yaml",
            "  ko_KR: LLMFlow\n",
            "  ko_KR: LLMFlow\n  zh_Hans: LLMFlow\n  ja_JP: LLMFlow\n  pt_BR: LLMFlow\n",
            "",
        ),
        Change("manifest.yaml", "privacy: ", "repo: https://example.com/llmflow\nprivacy: ", ""),
        Change("manifest.yaml", "    endpoint:\n", "    storage: {enabled: true, size: 1048576}\n    endpoint:\n", ""),
        Change(PROVIDER, "    type: text-input\n", "    type: text-input\n    url: https://example.com/help\n", ""),
        Change(
            RETRIEVE,
            "parameters:\n",
            """parameters:
  - {name: flag, type: checkbox, form: form, default: true, label: &l {en_US: A, ko_KR: 가}, human_description: *l}
  - {name: list, type: array, form: llm, llm_description: a, label: *l, human_description: *l}
  - {name: map, type: object, form: form, label: *l, human_description: *l}
  - {name: model, type: model-selector, scope: llm&tool-call, form: form, label: *l, human_description: *l}
  - {name: whole, type: number, form: form, default: 0.5, precision: 2, label: *l, human_description: *l}
  - {name: any, type: any, form: form, default: 1, label: *l, human_description: *l}
""",
            "",
        ),
        Change("endpoints/retrieval.yaml", "method: POST", "method: POST\nhidden: true", ""),
    ],
    MODEL: [
        Change(
            "models/llm/llmflow.yaml",
            "parameter_rules: []",
            """features: [tool-call, structured-output]
pricing: {input: "0.1", output: "0.2", unit: "0.001", currency: USD}
parameter_rules:
  - {name: temperature, use_template: temperature, max: 2}
  - {name: json_schema, use_template: json_schema}
  - {name: depth, type: int, label: {en_US: Depth, ko_KR: 깊이}, default: 3, min: 1, max: 9}""",
            "",
        ),
        Change(
            MODELS,
            "      - models/llm/llmflow.yaml",
            "      - models/llm/*.yaml\n    position: models/llm/_position.yaml",
            "",
        ),
    ],
    AGENT: [Change(STRATEGY, "    max: 30", "    max: 30\n    precision: 0", "")],
}
"""What Dify takes beside what the plugins of this repository have, by plugin."""


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
