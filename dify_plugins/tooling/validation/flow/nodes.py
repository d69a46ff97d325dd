"""What the nodes of a flow say, by type."""

# Keys are spelt as Dify's editor spells them.
# ruff: noqa: N815

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from dify_plugins.tooling.validation.flow.app import Number, Selector
from dify_plugins.tooling.validation.flow.part import Part

Operator = Literal[
    "contains",
    "not contains",
    "start with",
    "end with",
    "is",
    "is not",
    "empty",
    "not empty",
    "in",
    "not in",
    "all of",
    "=",
    "≠",
    ">",
    "<",
    "≥",
    "≤",
    "null",
    "not null",
    "exists",
    "not exists",
]
ValueType = Literal[
    "string",
    "number",
    "integer",
    "boolean",
    "object",
    "secret",
    "file",
    "array",
    "array[string]",
    "array[number]",
    "array[boolean]",
    "array[object]",
    "array[file]",
    "array[any]",
    "any",
]
Logic = Literal["and", "or"]


class Retry(Part):
    """How often a node that failed is tried again."""

    retry_enabled: bool = False
    max_retries: Annotated[int, Field(ge=0, le=10)] = 0
    retry_interval: Annotated[int, Field(ge=0, description="milliseconds")] = 0


class DefaultValue(Part):
    """What a node that failed gives instead."""

    key: str
    type: ValueType
    value: Any = None


class NodeData(Part):
    """What all nodes say."""

    type: str
    title: str
    desc: str | None = None
    selected: bool | None = None
    version: str | None = None
    error_strategy: Literal["fail-branch", "default-value"] | None = None
    default_value: list[DefaultValue] | None = None
    retry_config: Retry | None = None
    isInIteration: bool | None = None
    iteration_id: str | None = None
    isInLoop: bool | None = None


class Note(Part):
    """A text beside the graph."""

    text: str
    type: Literal[""] = ""
    title: str | None = None
    desc: str | None = None
    author: str | None = None
    showAuthor: bool | None = None
    theme: str | None = None
    height: Number | None = None
    width: Number | None = None
    selected: bool | None = None


class InputVariable(Part):
    """A field that users fill in."""

    variable: Annotated[
        str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,29}$", description="a name of up to 30 characters")
    ]
    label: str
    type: Literal["text-input", "paragraph", "select", "number", "checkbox", "file", "file-list", "json_object"]
    required: bool = False
    hide: bool | None = None
    description: str | None = None
    placeholder: str | None = None
    hint: str | None = None
    unit: str | None = None
    default: Any = None
    max_length: int | None = None
    options: list[str] | None = None
    allowed_file_types: list[Literal["image", "document", "audio", "video", "custom"]] | None = None
    allowed_file_extensions: list[str] | None = None
    allowed_file_upload_methods: list[Literal["local_file", "remote_url"]] | None = None
    json_schema: str | dict[str, Any] | None = None


class Start(NodeData):
    """Where a run begins."""

    variables: list[InputVariable] = Field(default_factory=list)


class Variable(Part):
    """A value under a name of the node's own."""

    variable: str
    value_selector: Selector
    value_type: ValueType | None = None


class End(NodeData):
    """What a workflow gives."""

    outputs: list[Variable]


class Answer(NodeData):
    """What a chat says."""

    answer: Annotated[str, Field(min_length=1)]
    variables: list[Variable] | None = None


class ModelConfig(Part):
    """A model of Dify."""

    provider: str
    name: Annotated[str, Field(min_length=1)]
    mode: Literal["chat", "completion"]
    completion_params: dict[str, Any] = Field(default_factory=dict)


class Message(Part):
    """A message of a prompt."""

    role: Literal["system", "user", "assistant"]
    text: str
    id: str | None = None
    edition_type: Literal["basic", "jinja2"] | None = None
    jinja2_text: str | None = None


class Jinja(Part):
    """The variables of Jinja prompts."""

    jinja2_variables: list[Variable] | None = None


class Window(Part):
    """How much of a conversation a model is told."""

    enabled: bool
    size: int | None = None


class RolePrefix(Part):
    """How speakers are called."""

    user: str
    assistant: str


class Memory(Part):
    """What a model is told of the conversation."""

    window: Window
    query_prompt_template: str | None = None
    role_prefix: RolePrefix | None = None


class Context(Part):
    """Passages for a prompt."""

    enabled: bool
    variable_selector: Selector | None = None


class VisionConfig(Part):
    """Which images."""

    variable_selector: Selector | None = None
    detail: Literal["low", "high"] | None = None


class Vision(Part):
    """Images for a prompt."""

    enabled: bool = False
    configs: VisionConfig | None = None


class Llm(NodeData):
    """A model answers."""

    model: ModelConfig
    prompt_template: Annotated[list[Message], Field(min_length=1)]
    context: Context
    prompt_config: Jinja | None = None
    memory: Memory | None = None
    vision: Vision | None = None
    structured_output: dict[str, Any] | None = None
    structured_output_enabled: bool | None = None
    structured_output_switch_on: bool | None = None
    reasoning_format: Literal["separated", "tagged"] | None = None
    variables: list[Variable] | None = None


class CodeOutput(Part):
    """One value a code node gives."""

    type: Literal[
        "string",
        "number",
        "boolean",
        "object",
        "array[string]",
        "array[number]",
        "array[boolean]",
        "array[object]",
    ]
    children: dict[str, CodeOutput] | None = None


class CodeDependency(Part):
    """A library of a code node."""

    name: str
    version: str


class Code(NodeData):
    """Code runs in Dify's sandbox."""

    code_language: Literal["python3", "javascript"]
    code: Annotated[str, Field(min_length=1)]
    variables: list[Variable]
    outputs: Annotated[dict[str, CodeOutput], Field(min_length=1)]
    dependencies: list[CodeDependency] | None = None


class AuthorizationConfig(Part):
    """How a key is sent."""

    type: Literal["basic", "bearer", "custom"]
    api_key: str
    header: str | None = None


class Authorization(Part):
    """Whether a key is sent."""

    type: Literal["no-auth", "api-key"]
    config: AuthorizationConfig | None = None


class BodyPart(Part):
    """One value of a request."""

    type: Literal["text", "file"]
    value: str = ""
    key: str = ""
    file: Selector | None = None
    id: str | None = None


class Body(Part):
    """What a request sends."""

    type: Literal["none", "form-data", "x-www-form-urlencoded", "raw-text", "json", "binary"]
    data: list[BodyPart] | str | None = None


class Timeout(Part):
    """Seconds."""

    connect: int | None = None
    read: int | None = None
    write: int | None = None
    max_connect_timeout: int | None = None
    max_read_timeout: int | None = None
    max_write_timeout: int | None = None


class HttpRequest(NodeData):
    """A server is asked."""

    method: Literal[
        "get", "post", "put", "patch", "delete", "head", "options",
        "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS",
    ]  # fmt: skip
    url: Annotated[str, Field(min_length=1)]
    authorization: Authorization
    headers: str
    params: str
    body: Body | None = None
    timeout: Timeout | None = None
    ssl_verify: bool | None = None
    variables: list[Variable] | None = None


class SubCondition(Part):
    """A comparison with a part of a file."""

    key: str
    comparison_operator: Operator
    value: str | list[str] | None = None
    id: str | None = None
    varType: str | None = None


class SubConditions(Part):
    """Comparisons with parts of a file."""

    case_id: str | None = None
    logical_operator: Logic
    conditions: list[SubCondition] = Field(default_factory=list)


class Condition(Part):
    """A comparison."""

    variable_selector: Selector
    comparison_operator: Operator
    value: str | list[str] | bool | None = None
    id: str | None = None
    varType: ValueType | None = None
    numberVarType: Literal["constant", "variable"] | None = None
    sub_variable_condition: SubConditions | None = None


class Case(Part):
    """A branch and when it is taken."""

    case_id: str
    id: str | None = None
    logical_operator: Logic
    conditions: Annotated[list[Condition], Field(min_length=1)]


class IfElse(NodeData):
    """The first case that holds is taken."""

    cases: Annotated[list[Case], Field(min_length=1)]


class Template(NodeData):
    """A Jinja template."""

    template: str
    variables: list[Variable]


class QuestionClass(Part):
    """A branch and which questions take it."""

    id: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    label: str | None = None


class QuestionClassifier(NodeData):
    """A model chooses a branch."""

    query_variable_selector: Selector
    model: ModelConfig
    classes: Annotated[list[QuestionClass], Field(min_length=2)]
    instruction: str | None = None
    instructions: str | None = None
    topics: list[str] | None = None
    memory: Memory | None = None
    vision: Vision | None = None


class ToolInput(Part):
    """A value of a parameter: a text with templates, a variable, or a constant."""

    type: Literal["mixed", "variable", "constant"]
    value: Any


class Tool(NodeData):
    """A tool is called."""

    provider_id: str
    provider_name: str
    provider_type: Annotated[Literal["builtin"], Field(description="builtin is what Dify calls tools of plugins")]
    tool_name: str
    tool_label: str
    tool_parameters: dict[str, ToolInput]
    tool_configurations: dict[str, ToolInput]
    tool_node_version: Literal["2"]
    tool_description: str | None = None
    plugin_id: str | None = None
    plugin_unique_identifier: str | None = None
    output_schema: dict[str, Any] | None = None
    paramSchemas: list[dict[str, Any]] | None = None
    params: dict[str, Any] | None = None
    is_team_authorization: bool | None = None


class AgentMeta(Part):
    """What a strategy's plugin says of itself."""

    version: str | None = None
    minimum_dify_version: str | None = None


class Agent(NodeData):
    """A strategy of a plugin answers with a model and tools."""

    agent_strategy_provider_name: str
    agent_strategy_name: str
    agent_strategy_label: str
    agent_parameters: dict[str, ToolInput]
    tool_node_version: Literal["2"] | None = None
    plugin_unique_identifier: str | None = None
    output_schema: dict[str, Any] | None = None
    memory: Memory | None = None
    meta: AgentMeta | None = None


class Group(Part):
    """Variables of which the first that has a value counts."""

    group_name: Annotated[str, Field(min_length=1)]
    output_type: ValueType
    variables: list[Selector]
    groupId: str | None = None


class Groups(Part):
    """Several groups in one node."""

    group_enabled: bool
    groups: list[Group] = Field(default_factory=list)


class VariableAggregator(NodeData):
    """Branches meet again: the first variable that has a value counts."""

    output_type: ValueType
    variables: list[Selector]
    advanced_settings: Groups | None = None


class ExtractedParameter(Part):
    """A value to find in a text."""

    name: Annotated[str, Field(min_length=1)]
    type: Literal[
        "string",
        "number",
        "boolean",
        "bool",
        "select",
        "array[string]",
        "array[number]",
        "array[boolean]",
        "array[object]",
    ]
    description: str
    required: bool
    options: list[str] | None = None


class ParameterExtractor(NodeData):
    """A model finds values in a text."""

    model: ModelConfig
    query: Selector
    parameters: Annotated[list[ExtractedParameter], Field(min_length=1)]
    reasoning_mode: Literal["function_call", "prompt"]
    instruction: str | None = None
    memory: Memory | None = None
    vision: Vision | None = None
    variables: list[Variable] | None = None


class DocumentExtractor(NodeData):
    """The text of a file."""

    variable_selector: Selector
    is_array_file: bool | None = None


class FilterCondition(Part):
    """Which items stay."""

    key: str = ""
    comparison_operator: Operator
    value: str | list[str] | bool | None = None


class Filter(Part):
    """Whether items are chosen."""

    enabled: bool
    conditions: list[FilterCondition] = Field(default_factory=list)


class Order(Part):
    """Whether items are sorted."""

    enabled: bool
    key: str = ""
    value: Literal["asc", "desc"] = "asc"


class Limit(Part):
    """Whether only the first items stay."""

    enabled: bool
    size: int = 10


class Extract(Part):
    """Whether one item is taken."""

    enabled: bool
    serial: str = "1"


class ListOperator(NodeData):
    """Items of a list are chosen, sorted, counted off."""

    variable: Selector
    filter_by: Filter
    order_by: Order
    limit: Limit
    extract_by: Extract | None = None
    var_type: ValueType | None = None
    item_var_type: ValueType | None = None


class Assignment(Part):
    """A variable of the conversation gets a value."""

    variable_selector: Selector
    input_type: Literal["variable", "constant"]
    operation: Literal[
        "over-write", "clear", "append", "extend", "set", "+=", "-=", "*=", "/=", "remove-first", "remove-last"
    ]
    value: Any = None
    write_mode: str | None = None


class Assigner(NodeData):
    """Variables of the conversation get values."""

    version: Literal["2"]
    items: Annotated[list[Assignment], Field(min_length=1)]


class Iteration(NodeData):
    """The nodes inside run for each item of a list."""

    start_node_id: str
    iterator_selector: Selector
    output_selector: Selector
    iterator_input_type: ValueType | None = None
    output_type: ValueType | None = None
    is_parallel: bool = False
    parallel_nums: Annotated[int, Field(ge=1)] = 10
    error_handle_mode: Literal["terminated", "continue-on-error", "remove-abnormal-output"] = "terminated"
    flatten_output: bool | None = None
    height: Number | None = None
    width: Number | None = None


class IterationStart(NodeData):
    """Where the nodes inside an iteration begin."""


class Reranking(Part):
    """A reranking model of Dify."""

    provider: str
    model: str


class Retrieval(Part):
    """How several datasets are searched."""

    top_k: Annotated[int, Field(ge=1)]
    score_threshold: Number | None = None
    score_threshold_enabled: bool | None = None
    reranking_enable: bool | None = None
    reranking_mode: Literal["reranking_model", "weighted_score"] | None = None
    reranking_model: Reranking | None = None
    weights: dict[str, Any] | None = None


class KnowledgeRetrieval(NodeData):
    """Dify's own search in datasets."""

    query_variable_selector: Selector
    dataset_ids: list[str]
    retrieval_mode: Literal["single", "multiple"]
    multiple_retrieval_config: Retrieval | None = None
    metadata_filtering_mode: Literal["disabled", "automatic", "manual"] | None = None
    metadata_filtering_conditions: dict[str, Any] | None = None
    vision: Vision | None = None


NODES: dict[str, type[NodeData]] = {
    "start": Start,
    "end": End,
    "answer": Answer,
    "llm": Llm,
    "code": Code,
    "http-request": HttpRequest,
    "if-else": IfElse,
    "question-classifier": QuestionClassifier,
    "template-transform": Template,
    "tool": Tool,
    "agent": Agent,
    "variable-aggregator": VariableAggregator,
    "parameter-extractor": ParameterExtractor,
    "document-extractor": DocumentExtractor,
    "list-operator": ListOperator,
    "assigner": Assigner,
    "iteration": Iteration,
    "iteration-start": IterationStart,
    "knowledge-retrieval": KnowledgeRetrieval,
}
"""The types of nodes that can be checked here; Dify has a few more."""
