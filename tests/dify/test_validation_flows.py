"""Validation of flows: each mistake is named with its place and a remedy; the flows of this repository have none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from environments import PLUGINS
from validation_changes import Change, assert_found

from dify_plugins.tooling.validation import Catalogue, catalogue, validate_flow

SAMPLE = Path(__file__).with_name("validation_flow.yml")
FILE = "flow.yml"


def change(old: str, new: str, message: str, line_of: str = "") -> Change:
    """A change to the sample."""
    return Change(FILE, old, new, message, line_of)


CHANGES = [
    change("version: 0.6.0", "version: 0.6", "version is 0.6; allowed: 0.6.0"),
    change("kind: app", "kind: ap", "did you mean 'app'?"),
    change("mode: advanced-chat", "mode: chat", "app.mode is 'chat'; allowed: advanced-chat, workflow"),
    change(
        "mode: advanced-chat",
        "mode: workflow",
        "node answer_hr is an answer node, and the mode is workflow",
        "type: answer",
    ),
    change("  icon_type: emoji", "  icon_typ: emoji", "did you mean 'icon_type'?"),
    change(
        "    type: package", "    type: zip", "dependencies[0].type is 'zip'; allowed: github, marketplace, package"
    ),
    change(
        "llmflow/llmflow:0.1.0@", "llmflow/llmflow:0.2.0@", "llmflow/llmflow is wanted in version 0.2.0; allowed: 0.1.0"
    ),
    change("llmflow/llmflow:0.1.0@", "llmflow/llmflw:0.1.0@", "did you mean 'llmflow/llmflow'?"),
    change(
        "llmflow/llmflow:0.1.0@0", "llmflow/llmflow:0.1.0@zz0", "allowed: plugin_unique_identifier: author/name:version"
    ),
    change('      value: ""', "      value: abc", "the secret hr_api_key has a value"),
    change("    retriever_resource:", "    retriever_resources:", "did you mean 'retriever_resource'?"),
    change("      - id: count\n", "      - id: retrieve\n", "the id 'retrieve' is given 2 times"),
    change("      - id: answer_it\n", "      - id: answer-it\n", "nodes[16].id is 'answer-it'; allowed: 1 to 50 of"),
    change("type: question-classifier", "type: question-clasifier", "did you mean 'question-classifier'?"),
    change("          title: 건수 세기\n", "", "data.title is missing", "        data:\n          type: code"),
    change("query_variable_selector: [sys, query]", "query_variable_selector: [sys, qury]", "did you mean 'query'?"),
    change(
        "{{#begin.department#}}", "{{#begin.departments#}}", "begin has no variable 'departments'; allowed: department"
    ),
    change("{{#begin.department#}}", "{{#write.text#}}", "no such node runs before it"),
    change("{{#begin.department#}}", "{{#begn.department#}}", "did you mean 'begin'?"),
    change("{{#begin.department#}}", "{{#begin.부서#}}", "Dify does not take '{{#begin.부서#}}' for a variable"),
    change("{{#begin.department#}}", "{{#env.nothing#}}", "env has no variable 'nothing'; allowed: hr_api_key"),
    change("value_selector: [retrieve, result]", "value_selector: [retrieve, results]", "did you mean 'result'?"),
    change("value_selector: [retrieve, result]", "value_selector: [retrieve]", "'retrieve' names no variable"),
    change(
        "value_selector: [each, item]",
        "value_selector: [each, output]",
        "each has no variable 'output'; allowed: index, item",
    ),
    change(
        "output_selector: [line, output]",
        "output_selector: [line, text]",
        "line has no variable 'text'; allowed: output",
    ),
    change(
        "[ask_it, error_message]", "[ask_it, error]", "ask_it has no variable 'error'; allowed: body, error_message"
    ),
    change("            - [sorry, output]", "            - [sorry, text]", "sorry has no variable 'text'"),
    change("value: [classify, class_name]", "value: [classify, name]", "classify has no variable 'name'"),
    change(
        "provider_id: llmflow/llmflow/llmflow",
        "provider_id: llmflow/llmflow/llm",
        "provider_name is 'llmflow/llmflow/llmflow'",
        "provider_name",
    ),
    change(
        "provider_id: llmflow/llmflow/llmflow",
        "provider_id: llmflow/llmflow/llm",
        "did you mean 'llmflow/llmflow/llmflow'?",
    ),
    change("tool_name: retrieve", "tool_name: retrive", "there is no tool 'retrive'; allowed: answer"),
    change(
        "            query:\n              type: mixed",
        "            question:\n              type: mixed",
        "no parameter 'question' here",
    ),
    change(
        "            query:\n              type: mixed",
        "            top_k:\n              type: mixed",
        "no parameter 'top_k' here",
    ),
    change(
        'value: "{{#sys.query#}}"\n          tool_conf',
        'value: ""\n          tool_conf',
        "query is required, and has no value",
        "            query:",
    ),
    change("              value: 5\n", "              value: 5000\n", "top_k is 5000; allowed: 1 to 1000"),
    change("              value: 5\n", "              value: five\n", "top_k is 'five'; allowed: a number"),
    change("              value: none", "              value: cross", "rerank is 'cross'; allowed: cross_encoder"),
    change('tool_node_version: "2"', "tool_node_version: 2", "tool_node_version is 2; allowed: 2; write '2' in quotes"),
    change("agent_strategy_name: supervisor", "agent_strategy_name: superviser", "did you mean 'supervisor'?"),
    change(
        "            maximum_iterations:", "            max_iterations:", "there is no parameter 'max_iterations' here"
    ),
    change("              value: 6", "              value: 99", "maximum_iterations is 99; allowed: 1 to 30"),
    change(
        "                  tool_name: retrieve",
        "                  tool_name: search",
        "there is no tool 'search'; allowed: answer",
    ),
    change(
        "                  settings:\n                    top_k",
        "                  settings:\n                    topk",
        "did you mean 'top_k'?",
        "topk",
    ),
    change(
        "provider: llmflow/llmflow_models/llmflow_models",
        "provider: llmflow/llmflow_models/models",
        "there is no provider",
    ),
    change(
        "provider: llmflow/llmflow_models/llmflow_models",
        "provider: langgenius/openai/openai",
        "langgenius/openai is no dependency",
    ),
    change("sourceHandle: hr", "sourceHandle: finance", "node classify has no branch 'finance'; allowed: hr, it"),
    change('sourceHandle: "false"', 'sourceHandle: "true"', "node decide has no branch 'true'; allowed: false, some"),
    change("sourceHandle: it,", "sourceHandle: hr,", "node classify: the branch 'it' leads nowhere", "- id: classify"),
    change("target: answer_it,", "target: answer,", "edge e16: there is no node 'answer'; allowed: answer_agent"),
    change("source: begin,", "source: start,", "edge e1: there is no node 'start'"),
    change(
        "source: write, sourceHandle: source, target: answer_hr",
        "source: write, sourceHandle: source, target: count",
        "edge e8 closes a circle",
        "id: e8",
    ),
    change("source: each_begin,", "source: count,", "edge e6 goes into an iteration or out of it"),
    change(
        "          sourceType: if-else",
        "          sourceType: code",
        "sourceType is 'code', and node decide is of the type if-else",
    ),
    change("target: answer_it,", "target: answer_hr,", "node answer_it is never reached", "- id: answer_it"),
    change(
        "    edges:\n",
        "      - {id: again, position: {x: 0, y: 0}, data: {type: start, title: 시작}}\n    edges:\n",
        "node again is a second start node",
    ),
    change("{id: e2,", "{id: e1,", "the id 'e1' is given 2 times"),
    change("{id: e2,", "{idd: e2,", "unknown key workflow.graph.edges[1].idd"),
    change(
        "          start_node_id: each_begin",
        "          start_node_id: line",
        "start_node_id is 'line', which is no start inside it",
    ),
    change(
        "        parentId: each\n",
        "        parentId: every\n",
        "parentId is 'every', which is no iteration; allowed: each",
    ),
    change('api_key: "{{#env.hr_api_key#}}"', "api_key: abc", "the key of the request stands in the flow"),
    change(
        'headers: "Accept: application/json"',
        'headers: "Authorization: Bearer abc"',
        "the header Authorization stands in the flow",
    ),
    change("title: IT 시스템 조회", "title: sk-0123456789abcdefghij", "this looks like a key or token: sk-012345678"),
    change(
        "error_strategy: fail-branch",
        "error_strategy: fail",
        "error_strategy is 'fail'; allowed: default-value, fail-branch",
    ),
    change("def main(passages", "def man(passages", "node count: the code has no function main", "          code: |"),
    change("def main(passages: list) ->", "def main(passages: list ->", "the code is not Python", "          code: |"),
    change("len(passages)}", "len(pandas)}\n            import pandas", "imports pandas", "          code: |"),
    change("- variable: passages", "- variable: pasages", "main takes no argument 'pasages'; allowed: passages"),
    change(
        "def main(passages: list)",
        "def main(passages: list, more: str)",
        "main needs the argument more, and no variable is called so; allowed: passages",
        "          variables:\n            - variable: passages",
    ),
    change('{"found": len', '{"find": len', "main does not return found; allowed: find", "            found:"),
    change(
        '{"found": len', '{"found": 1, "more": len', "main returns 'more', which is no output", "          outputs:"
    ),
    change("                model: student\n", '                model: ""\n', "node supervise: no model is named"),
    change(
        "                provider: llmflow/llmflow_models/llmflow_models",
        "                provider: llmflow/llmflow_model/llmflow_models",
        "node supervise: there is no provider 'llmflow/llmflow_model/llmflow_models'; allowed: llmflow/llmflow_models",
    ),
    change("model_type: llm", "model_type: text-embedding", "model_type is 'text-embedding'; allowed: llm"),
    change(
        "- enabled: true\n",
        "- enabled: false\n",
        "no tool of tools is enabled",
        "              value:\n                - e",
    ),
    change("                  type: builtin", "                  type: buitin", "did you mean 'builtin'?"),
    change("auto: 1", "auto: 0", "retrieve needs query, and nobody gives it", "                    query:"),
    change(
        "              size: 10", "              size: -1", "window.size is -1; allowed: greater than or equal to 1"
    ),
    change("{{#write.text#}}", "{{write.text}}", "Dify does not take '{{write.text}}' for a variable"),
    change("{{#write.text#}}", "{#write.text#}", "Dify does not take '{#write.text#}' for a variable"),
    change(
        'value: "{{#sys.query#}}"', 'value: "{{sys.query}}"', "'{{sys.query}}' for a variable; write {{#sys.query#}}"
    ),
    change(
        "type: number\n              children",
        "type: string\n              children",
        "> does not compare a string",
        "comparison_op",
    ),
    change(
        '[count, found]\n                  comparison_operator: ">"',
        "[ask_it, status_code]\n                  comparison_operator: is",
        "is does not compare a number; allowed: <, =, >",
        "                  comparison_operator: is",
    ),
    change('comparison_operator: ">"', "comparison_operator: is", "is does not compare a number; allowed: <, =, >"),
    change(
        "      - {id: e2,",
        "      - {id: e0, source: begin, sourceHandle: source, target: classify, targetHandle: target}\n"
        "      - {id: e2,",
        "edge e0: another edge leads from begin to classify already",
    ),
    change("options: [hr, it]", "options: []", "department is a select without options", "              type: select"),
    change(
        "value_type: secret", "value_type: number", "the number hr_api_key is ''; allowed: a number", '      value: ""'
    ),
    change("name: hr_api_key", "name: hr-api-key", "is 'hr-api-key'; allowed: letters, digits and _, no digit first"),
    change(
        "error_strategy: fail-branch",
        "error_strategy: default-value\n          default_value: [{key: body, type: number, value: ''}]",
        "the default of body is ''; allowed: a value of the type number",
        "default_value: [",
    ),
    change(
        "error_strategy: fail-branch",
        "error_strategy: default-value\n          default_value: [{key: boddy, type: string, value: ''}]",
        "it has no variable 'boddy'; allowed: body",
        "default_value: [",
    ),
    change(
        "error_strategy: fail-branch",
        "error_strategy: default-value\n          default_value: []",
        "there is no default of body, which another node reads",
        "default_value: [",
    ),
    change(
        "          vision:",
        "          dataset_ids:\n            - abc\n          vision:",
        "unknown key workflow.graph.nodes[8].data.dataset_ids",
        "dataset_ids",
    ),
]


@pytest.fixture(scope="module")
def plugins() -> Catalogue:
    """The plugins of this repository."""
    return catalogue(PLUGINS)


@pytest.mark.parametrize("change", CHANGES, ids=[str(number) for number in range(len(CHANGES))])
def test_one_mistake_is_named_with_its_place(change: Change, plugins: Catalogue, tmp_path: Path) -> None:
    shutil.copy(SAMPLE, tmp_path / FILE)
    file, line = change.apply(tmp_path)
    assert_found(validate_flow(file, plugins), file, line, change.message)


def test_sample_with_every_kind_of_node_passes(plugins: Catalogue) -> None:
    assert list(map(str, validate_flow(SAMPLE, plugins))) == []


def test_datasets_are_left_to_the_workspace(plugins: Catalogue, tmp_path: Path) -> None:
    shutil.copy(SAMPLE, tmp_path / FILE)
    node = """      - id: knowledge
        position: {x: 0, y: 900}
        data:
          type: knowledge-retrieval
          title: 지식 검색
          query_variable_selector: [sys, query]
          retrieval_mode: multiple
          multiple_retrieval_config: {top_k: 4, reranking_enable: false}
          dataset_ids: [3f0c]
    edges:
      - {id: k1, source: classify, sourceHandle: hr, target: knowledge, targetHandle: target}
      - {id: k2, source: knowledge, sourceHandle: source, target: answer_hr, targetHandle: target}
"""
    Change(FILE, "    edges:\n", node, "").apply(tmp_path)
    assert [problem.what for problem in validate_flow(tmp_path / FILE, plugins)] == [
        "node knowledge: dataset_ids is ['3f0c']"
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{type: mixed, value: '{{#begin.department#}}'}", "'{{#begin.department#}}'"),
        ("{type: variable, value: [begin, department]}", "['begin', 'department']"),
    ],
)
def test_a_file_is_not_given_as_a_text(given: str, said: str, plugins: Catalogue, tmp_path: Path) -> None:
    shutil.copy(SAMPLE, tmp_path / FILE)
    for old, new in (
        ("          tool_name: retrieve", "          tool_name: ingest_document"),
        (
            '            query:\n              type: mixed\n              value: "{{#sys.query#}}"',
            f"            file: {given}",
        ),
    ):
        Change(FILE, old, new, "").apply(tmp_path)
    problems = validate_flow(tmp_path / FILE, plugins)
    message = f"node retrieve: file is {said}; allowed: the variable of a file, with type: variable"
    line = (tmp_path / FILE).read_text(encoding="utf-8").split("            file: ")[0].count("\n") + 1
    assert_found(problems, tmp_path / FILE, line, message)


@pytest.mark.parametrize("flow", sorted(PLUGINS.glob("apps/*.yml")), ids=lambda flow: flow.name)
def test_flows_of_this_repository_have_no_problems(flow: Path, plugins: Catalogue) -> None:
    assert list(map(str, validate_flow(flow, plugins))) == []
