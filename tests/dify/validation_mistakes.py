"""Changes to the plugins of this repository: mistakes, and what Dify takes beside what they have."""

from __future__ import annotations

from validation_changes import Change

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
    Change("manifest.yaml", "type: plugin", "type: plug-in", "did you mean 'plugin'?"),
    Change("manifest.yaml", "label:\n  en_US: LLMFlow\n", "label:\n", "label.en_US is missing", "label:"),
    Change("manifest.yaml", "  ko_KR: LLMFlow\n", "", "label.ko_KR is missing", "label:"),
    Change("manifest.yaml", "  ko_KR: LLMFlow", "  ko_KO: LLMFlow", "unknown key label.ko_KO"),
    Change("manifest.yaml", "icon: icon.svg", "icon: icons.svg", "the icon 'icons.svg' is not in _assets"),
    Change("manifest.yaml", "icon_dark: icon-dark.svg", "icn_dark: icon-dark.svg", "did you mean 'icon_dark'?"),
    Change("manifest.yaml", "2026-11-21T00:00:00Z", "2026-11-21", "created_at is '2026-11-21'; allowed: a time with"),
    Change("manifest.yaml", "2026-11-21T00:00:00Z", "2026-11-21T00:00:00", "a time with its zone"),
    Change("manifest.yaml", "2026-11-21T00:00:00Z", "2026-11-21 00:00:00Z", "created_at is '2026-11-21 00:00:00Z'"),
    Change("manifest.yaml", "2026-11-21T00:00:00Z", "2026-11-21T00:00:00+9", "created_at is '2026-11-21T00:00:00+9'"),
    Change("manifest.yaml", "2026-11-21T00:00:00Z", "2026-13-21T00:00:00Z", "cannot be read: month must be in 1..12"),
    Change("manifest.yaml", 'version: "3.12"', 'version: "3.13"', "meta.runner.version is '3.13'; allowed: 3.12"),
    Change("manifest.yaml", "memory: 268435456", "memory: 1", "resource.memory is 1; allowed: greater than or equal"),
    Change("manifest.yaml", "memory: 268435456", "memory: .inf", ".inf is no number that JSON has"),
    Change("manifest.yaml", "    - amd64", "    - a\x07", "this is not YAML: control characters"),
    Change("manifest.yaml", "privacy: PRIVACY.md", "privacy: PRIVACY.md\n<<: 1", "<< names no other mapping", "<<: 1"),
    Change(
        "manifest.yaml",
        "memory: 268435456",
        "memory: 0",
        "resource.memory is 0; allowed: greater than or equal to 1048576",
    ),
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
    Change("manifest.yaml", 'version: "3.12"', "version: 3.12", "meta.runner.version is 3.12; allowed: 3.12 (the one"),
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
    Change(PROVIDER, "    type: text-input", "    type: select", "base_url: a select without options"),
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
    Change("requirements.txt", "httpx>=0.28,<1", "httpx>=2,<1", "no version of httpx is <1,>=2; allowed: name>=1"),
    Change("requirements.txt", "httpx>=0.28,<1", "httpx>1,<1.0", "no version of httpx is"),
    Change(
        "requirements.txt",
        "httpx>=0.28,<1",
        "HTTPX>=0.28\nhttpx<1",
        "httpx is required a second time, first in line",
        "httpx<1",
    ),
    Change(
        "requirements.txt",
        "httpx>=0.28,<1",
        "httpx>=0.28,<1; python_version < '3.12'",
        "httpx is not installed by Dify: python_version",
    ),
    Change(PROVIDER, "source: provider/llmflow.py", "source: README.md", "README.md'; allowed: a Python file inside"),
    Change(PROVIDER, "  base_url:", "  base url:", "the key is 'base url'; allowed: 1 to 64 of the characters"),
    Change("main.py", "plugin.run()", "plugin.start()", "main.py calls no run()", '"""Starts'),
    Change("tools/retrieve.py", "def run(", "def search(", "Retrieve lacks run, so that no Tool", "class Retrieve"),
    Change("tools/retrieve.py", "import passages", "import pasages", "llmflow_client has no pasages; did you mean"),
    Change(
        "tools/retrieve.py", "llmflow_client.tool", "llmflow_client.tol", "llmflow_client.tol is imported, and the pa"
    ),
    Change("tools/retrieve.py", "from llmflow_client.tool", "from ..llmflow_client.tool", "leads out of the plugin"),
    Change(
        "tools/retrieve.py",
        "class Retrieve(",
        "return\nclass Retrieve(",
        "this is not Python: 'return' outside function",
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
        "  models:\n    - provider/llmflow_models.yaml\n",
        "  {}\n",
        "the plugin brings nothing",
        "plugins:",
    ),
    Change(MODELS, "models:\n  llm:", "modells:\n  llm:", "did you mean 'models'?"),
    Change(
        MODELS,
        "  text_embedding:\n    predefined:\n      - models/text_embedding/llmflow.yaml",
        "  tts:\n    predefined:\n      - models/text_embedding/llmflow.yaml",
        "models has tts, which supported_model_types does not name",
        "  tts:",
    ),
    Change(
        MODELS,
        "      - models/llm/llmflow.yaml",
        "      - models/llm/llmflow.yaml\n      - models/llm/*.yaml",
        "there is another llm model 'llmflow'",
        "model: llmflow",
        "models/llm/llmflow.yaml",
    ),
    Change(
        MODELS,
        "      - models/llm/llmflow.yaml",
        "      - models/llm/llmflow.yaml\n    position: models/llm/_position.yaml",
        "the file is missing",
        "    position:",
    ),
    Change(
        MODELS,
        "    - variable: api_key\n",
        "    - variable: api_key\n      show_on: [{variable: base_ulr, value: a}]\n",
        "show_on names 'base_ulr', which is no field of this form; allowed: api_key",
        "      show_on:",
    ),
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
    Change("models/llm/llmflow.yaml", "  mode: chat\n", "", "model_properties.mode is missing", "model_properties:"),
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
        "parameter_rules:\n  - {name: temperature, use_template: temperature, max: 2, default: 3}",
        "parameter temperature: its default is 3; allowed:  to 2",
        "  - {name",
    ),
    Change(
        "models/llm/llmflow.yaml",
        "parameter_rules: []",
        "parameter_rules:\n  - {name: top_k, use_template: top_k, default: many}",
        "parameter top_k: its default is 'many', and its type is int; allowed: a number",
        "  - {name",
    ),
    Change(
        "models/llm/llmflow.yaml",
        "parameter_rules: []",
        "parameter_rules:\n  - {name: response_format, use_template: response_format, options: [text], default: json}",
        "parameter response_format: its default 'json' is not among its options; allowed: text",
        "  - {name",
    ),
    Change("models/rerank/rerank.py", "def _invoke(", "def _ask(", "lacks _invoke, so that no RerankModel", "class "),
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
        Change("endpoints/retrieval.yaml", "/retrieval", "/retrieval/<int:number>/<string:doc_id2>", ""),
        Change("manifest.yaml", "2026-11-21T00:00:00Z", '"2024-07-12T08:03:44.658609186Z"', ""),
        Change("manifest.yaml", "privacy: PRIVACY.md", 'privacy: "./PRIVACY.md"', ""),
        Change("manifest.yaml", "  version: 0.1.0", "  version: 0.0.1", ""),
        Change(RETRIEVE, "output_schema:\n", "output_schema:\n  $schema: a\n  additionalProperties: false\n", ""),
        Change(PROVIDER, "    type: select\n", "    type: select\n    <<: {type: boolean, required: true}\n", ""),
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
    AGENT: [
        Change("manifest.yaml", "version: 0.1.0", "version: 0.1.0-rc1", ""),
        Change("manifest.yaml", "  version: 0.1.0\n", "  version: 0.1.0-rc1\n", ""),
        Change(STRATEGY, "    max: 30", "    max: 30\n    precision: 0", ""),
    ],
}
"""What Dify takes beside what the plugins of this repository have, by plugin."""
