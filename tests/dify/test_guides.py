"""The guides for Dify name what is there, and say the same in both languages."""

from __future__ import annotations

import ast
import json
import re
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from dify_plugins.tooling.__main__ import app as tooling
from llmflow.cli.main import app as llmflow
from llmflow.pii.entities import ENTITY_TYPES
from llmflow.settings import Settings

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "dify_plugins"
GUIDES = {"en": ROOT / "docs/dify.md", "ko": ROOT / "docs/dify.ko.md"}
OTHERS = "README.md README.ko.md CONTRIBUTING.md dify_plugins/README.md docs/server.md docs/architecture.md"
PAGES = [*GUIDES.values(), *(ROOT / name for name in OTHERS.split())]
CREDENTIALS_SECTION = {"en": "The tools", "ko": "도구"}
TOOLS_SECTION = {"en": "What each takes and returns", "ko": "넣는 값과 나오는 값"}
SENTENCES_SECTION = {"en": "What the sentences mean", "ko": "안내문의 뜻"}
in_both = pytest.mark.parametrize("language", GUIDES)
on_each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# As Dify's compose files, its plugin daemon (internal/types/app/config.go) and its documentation
# (self-host/deploy/configuration/environments) have them.
DIFY = words("""
    APP_MAX_EXECUTION_TIME DIFY_BACKWARDS_INVOCATION_READ_TIMEOUT ENDPOINT_URL_TEMPLATE FILES_ACCESS_TIMEOUT FILES_URL
    FORCE_VERIFYING_SIGNATURE HTTPS_PROXY HTTP_PROXY HTTP_REQUEST_MAX_READ_TIMEOUT INTERNAL_FILES_URL
    MARKETPLACE_ENABLED MAX_PLUGIN_PACKAGE_SIZE NGINX_CLIENT_MAX_BODY_SIZE NO_PROXY PIP_MIRROR_URL
    PLUGIN_DAEMON_TIMEOUT PLUGIN_MAX_EXECUTION_TIMEOUT PLUGIN_MAX_PACKAGE_SIZE PLUGIN_MODEL_SCHEMA_CACHE_TTL
    PLUGIN_PYTHON_ENV_INIT_TIMEOUT PLUGIN_STDIO_MAX_BUFFER_SIZE SSL_CERT_FILE SSRF_DEFAULT_READ_TIME_OUT
    SSRF_PROXY_ALLOW_PRIVATE_DOMAINS THIRD_PARTY_SIGNATURE_VERIFICATION_ENABLED
    THIRD_PARTY_SIGNATURE_VERIFICATION_PUBLIC_KEYS UPLOAD_FILE_SIZE_LIMIT WORKFLOW_MAX_EXECUTION_TIME
""")
DIFY_WORDS = words("api error_message extra_hosts metadata_condition plugin_daemon ssrf_proxy sys.query worker ENV")
WORDS = words("""
    / [1] [2] 100M 52428800 true false -offline llmflow_ localhost json python .env en_US ko_KR reader editor student
    bge-m3 tei static metadata.department request_id docker/volumes/plugin_daemon host.docker.internal:host-gateway
""")
"""Values, words of formats, parts of addresses."""
FOREIGN = ("http://", "https://", "{{#", "docker ", "python -m main", "Authorization: ")
"""How addresses, references in flows and commands of others begin."""


@dataclass(frozen=True)
class Section:
    """A heading, and the text up to the next."""

    level: int
    title: str
    text: str

    @property
    def blocks(self) -> list[tuple[str, str]]:
        """Language and content of each block."""
        found = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", self.text, re.DOTALL | re.MULTILINE)
        return [(language, textwrap.dedent(content)) for language, content in found]

    @property
    def codes(self) -> list[str]:
        """What stands in backticks outside of blocks, each on one line."""
        prose = re.sub(r"^( *)```.*?^\1```$", "", self.text, flags=re.DOTALL | re.MULTILINE)
        return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]

    @property
    def rows(self) -> list[list[str]]:
        """Cells of all tables, without their heads."""
        tables = re.findall(r"^\|.*\n\|[ |-]+\|\n((?:\|.*\n)*)", self.text, re.MULTILINE)
        return [[cell.strip() for cell in row.split("|")[1:-1]] for table in tables for row in table.splitlines()]

    @property
    def shape(self) -> tuple[Any, ...]:
        """What is the same in all languages."""
        listed = re.findall(r"^(?:\d+\.|-) ", self.text, re.MULTILINE)
        codes = {re.sub(r"\.(en|ko)\.yml$", ".yml", code) for code in self.codes}
        return self.level, codes, len(listed), len(self.rows), [language for language, _ in self.blocks]


@cache
def sections(page: Path) -> list[Section]:
    text = page.read_text(encoding="utf-8")
    # Comments in blocks are no headings.
    text = re.sub(r"^```.*?^```$", lambda block: block[0].replace("#", "\0"), text, flags=re.DOTALL | re.MULTILINE)
    parts = [part.replace("\0", "#") for part in re.split(r"^(#{1,4}) (.+)$", text, flags=re.MULTILINE)]
    return [Section(len(marks), *rest) for marks, *rest in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)]


def section(language: str, titles: dict[str, str]) -> Section:
    """The subsection of that title."""
    (found,) = (each for each in sections(GUIDES[language]) if each.title == titles[language] and each.level == 3)
    return found


def declared(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


TOOLS = {tool["identity"]["name"]: tool for tool in map(declared, (PLUGINS / "llmflow/tools").glob("*.yaml"))}
CREDENTIALS = declared(PLUGINS / "llmflow/provider/llmflow.yaml")["credentials_for_provider"]
STRATEGY = declared(PLUGINS / "llmflow_supervisor/strategies/supervisor.yaml")
MANIFESTS = [declared(path) for path in PLUGINS.glob("*/manifest.yaml")]
FLOWS = sorted((PLUGINS / "apps").glob("*.yml"))


@cache
def source(*patterns: str) -> str:
    return "".join(path.read_text(encoding="utf-8") for pattern in patterns for path in sorted(ROOT.glob(pattern)))


@cache
def names() -> set[str]:
    """Everything of this project that has a name of one word."""
    found = {*CREDENTIALS, STRATEGY["identity"]["name"], *(manifest["name"] for manifest in MANIFESTS)}
    for tool in TOOLS.values():
        found |= {tool["identity"]["name"], *re.findall(r"\w+", yaml.safe_dump(tool["output_schema"]))}
        found |= {option["value"] for each in tool["parameters"] for option in each.get("options", ())}
    settings = declared(PLUGINS / "llmflow/group/llmflow.yaml")["settings"]
    parameters = [each for one in (*TOOLS.values(), STRATEGY) for each in one["parameters"]]
    found |= {each["name"] for each in (*settings, *parameters)}
    found |= {option["value"] for option in CREDENTIALS["language"]["options"]}
    found |= set(re.findall(r'"name": "(\w+)"', source("dify_plugins/llmflow_models/models/llm/parameters.py")))
    # What External Knowledge gives as metadata, and what it filters by.
    found |= set(re.findall(r'"(\w+)": (?:chunk\.|" > ")', source("llmflow/server/routes/dify.py")))
    found |= set(re.findall(r'^    "(\w+)": "\w+",$', source("llmflow/server/filters.py"), re.MULTILINE))
    for workflow in (declared(flow)["workflow"] for flow in FLOWS):
        found |= {variable["name"] for variable in workflow["environment_variables"]}
        nodes = [node["data"] for node in workflow["graph"]["nodes"]]
        # The variables of an aggregator are selectors, without names of their own.
        named = [each for node in nodes for each in node.get("variables", ()) if isinstance(each, dict)]
        found |= {variable["variable"] for variable in named}
        found |= {output for node in nodes if node["type"] == "code" for output in node["outputs"]}
    return found


def exists(code: str) -> bool:
    """Whether there is what stands in backticks."""
    if code.split("=")[0] in names() | DIFY | DIFY_WORDS | WORDS or code.startswith(FOREIGN):
        return True
    if is_command(code):
        return accepted(code)
    if route := re.fullmatch(r"(?:(?:GET|POST|DELETE) )?(/[a-z][^{]+)\S*", code):
        return f'"{route[1]}' in source("llmflow/server/routes/*.py")
    if package := re.fullmatch(r"(llmflow\w*)-([\d.]+)(?:-offline)?\.(difypkg|difybndl)", code):
        kind = "bundle" if package[3] == "difybndl" else "plugin"
        return (*package.groups()[:2], kind) in {(each["name"], each["version"], each["type"]) for each in MANIFESTS}
    if code.startswith("{"):
        return isinstance(json.loads(code), dict)
    if code.split("/")[0] in ("dist", "build"):  # made by commands, in no clone
        return True
    if entity := re.fullmatch(r"\[([A-Z_]+)\]", code):
        return entity[1] in ENTITY_TYPES
    places = (ROOT, PLUGINS, *PLUGINS.glob("llmflow*"))
    return is_setting(code) or any((place / code).exists() for place in places if not code.startswith("/"))


def is_setting(code: str) -> bool:
    model: Any = Settings
    for step in code.split("."):
        if step not in getattr(model, "model_fields", {}):
            return False
        model = model.model_fields[step].annotation
    return True


def is_command(line: str) -> bool:
    return bool(re.match(r"(\.venv/bin/)?(llmflow|make|python -m dify_plugins\.tooling)( |$)", line))


def accepted(line: str) -> bool:
    """Whether the commands, options, targets and variables of a line are there; what follows ``#`` is no part of it."""
    first, *rest = re.findall(r'"[^"]*"|\S+', line.removeprefix(".venv/bin/").split(" # ")[0])
    if first == "make":
        makefile = source("Makefile")
        known = re.findall(r"^([\w-]+)(?:: | [:?]?=)", makefile.replace(":\n", ": \n"), re.MULTILINE)
        return {word.split("=")[0] for word in rest} <= set(known)
    found: Any = typer.main.get_command(llmflow if first == "llmflow" else tooling)
    rest = rest if first == "llmflow" else rest[2:]
    while rest and (subcommands := getattr(found, "commands", None)):
        if (name := rest.pop(0)) not in subcommands:
            return False
        found = subcommands[name]
    options = {option for parameter in found.params for option in parameter.opts}
    return {word for word in rest if word.startswith("--")} <= options


@pytest.mark.parametrize("page", [*GUIDES.values(), PLUGINS / "README.md"], ids=lambda path: path.name)
def test_what_stands_in_backticks_exists(page: Path) -> None:
    assert [(part.title, code) for part in sections(page) for code in part.codes if not exists(code)] == []


def test_settings_of_dify_are_those_that_were_verified() -> None:
    parts = [part for page in GUIDES.values() for part in sections(page)]
    in_blocks = "".join(block for part in parts for _, block in part.blocks)
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", in_blocks))
    assert named <= DIFY
    assert named | {code for part in parts for code in part.codes} >= DIFY, "the list has names that no guide has"


@on_each_page
def test_commands_in_blocks_exist(page: Path) -> None:
    blocks = [block for part in sections(page) for _, block in part.blocks]
    lines = [line for block in blocks for line in block.splitlines() if is_command(line)]
    assert [line for line in lines if not accepted(line)] == []


@on_each_page
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for part in sections(page) for link in re.findall(r"\]\(([^)\s]+)\)", part.text)]
    assert [link for link in links if not link.startswith("http") and not leads_somewhere(page, link)] == []


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    # Anchors as GitHub makes them of headings.
    titles = [part.title.lower() for part in sections(target)] if anchor else []
    return target.exists() and anchor in ["", *(re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles)]


def test_both_guides_say_the_same() -> None:
    english, korean = (sections(page) for page in GUIDES.values())
    for one, other in zip(english, korean, strict=True):
        assert one.shape == other.shape, f"{one.title} | {other.title}"


@in_both
def test_every_tool_is_described_in_full(language: str) -> None:
    text = section(language, TOOLS_SECTION).text
    parts = re.split(r"^\*\*(.+?)\*\*: `(\w+)`", text, flags=re.MULTILINE)
    assert set(parts[2::3]) == set(TOOLS)
    for label, name, body in zip(*(parts[start::3] for start in range(1, 4)), strict=True):
        tool, rows = TOOLS[name], Section(4, name, body).rows
        assert label == half(tool["identity"]["label"], language)
        taken = {code for row in rows for code in re.findall(r"`(\w+)`", row[0])}
        assert taken == {parameter["name"] for parameter in tool["parameters"]}
        returned = {code for row in rows for code in re.findall(r"`(\w+)`", row[2])}
        assert returned | {"text"} == {*tool["output_schema"]["properties"], "text"}


@in_both
def test_credentials_are_described_by_their_labels(language: str) -> None:
    described = {row[0].strip("`"): row[1] for row in section(language, CREDENTIALS_SECTION).rows}
    assert described == {name: half(field["label"], language) for name, field in CREDENTIALS.items()}


@in_both
def test_a_label_is_shown_as_it_stands_on_the_screen(language: str) -> None:
    prose = " ".join(" ".join(part.text.split()) for part in sections(GUIDES[language]))
    shown = re.findall(r"\*([^*]+ · [^*]+)\*", prose)
    assert shown
    assert set(shown) <= {tool["identity"]["label"]["en_US"] for tool in TOOLS.values()}


def half(label: dict[str, str], language: str) -> str:
    """What a guide calls it: Dify shows ``en_US`` to everybody, English and Korean with a dot between."""
    return label["ko_KR"] if language == "ko" else label["en_US"].split(" · ")[0]


@in_both
def test_flows_and_parameters_of_the_strategy_are_listed(language: str) -> None:
    rows = [row for part in sections(GUIDES[language]) for row in part.rows]
    assert {f"`{parameter['name']}`" for parameter in STRATEGY["parameters"]} <= {row[0] for row in rows}
    named = {code for row in rows for cell in row for code in re.findall(r"`([^`]+)`", cell)}
    flows = {str(flow.relative_to(ROOT)) for flow in FLOWS if flow.name.endswith(f".{language}.yml")}
    assert {code for code in named if code.startswith("dify_plugins/apps/")} == flows


@in_both
def test_sentences_are_those_of_the_plugins(language: str) -> None:
    texts = ("dify_plugins/llmflow*/llmflow_client/texts.py", "dify_plugins/llmflow_supervisor/orchestration/words.py")
    files = [path for pattern in texts for path in ROOT.glob(pattern)]
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    said = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    rows = section(language, SENTENCES_SECTION).rows
    quoted = [sentence for row in rows for sentence in re.findall("“(.+?)”", row[0])]
    assert len(quoted) == len(rows)
    assert [sentence for sentence in quoted if not any(sentence in each for each in said)] == []


@in_both
def test_code_is_that_of_the_flow(language: str) -> None:
    nodes = declared(PLUGINS / f"apps/knowledge_qa.{language}.yml")["workflow"]["graph"]["nodes"]
    codes = [node["data"]["code"] for node in nodes if node["data"]["type"] == "code"]
    assert [block for part in sections(GUIDES[language]) for kind, block in part.blocks if kind == "python"] == codes


@in_both
def test_nodes_are_named_as_in_the_flows(language: str) -> None:
    flows = [declared(flow)["workflow"]["graph"] for flow in FLOWS if flow.name.endswith(f".{language}.yml")]
    titles = {node["data"]["title"] for graph in flows for node in graph["nodes"]}
    prose = " ".join(" ".join(part.text.split()) for part in sections(GUIDES[language]))
    named = re.findall(r"node \*([^*]+)\*" if language == "en" else r"\*([^*]+)\* 노드", prose)
    assert len(named) >= 3
    assert set(named) <= titles
