"""What people and models are told besides the prompts, in the language of the question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from orchestration.reading import Language


@dataclass(frozen=True, slots=True)
class Words:
    """Texts with places for values."""

    # Lines of the log.
    plan: str
    round: str
    thought: str
    tool: str
    review: str
    answer: str
    native: str
    as_text: str
    one_step: str
    unreadable_review: str
    limit_log: str
    # Around the answer.
    limit: str
    tools_failed: str
    question_cut: str
    passages_left_out: str
    cut_off: str
    unfinished_thoughts: str
    sources: str
    page: str
    untitled: str
    # Told to the model.
    cut: str
    no_result: str
    unknown_tool: str
    bad_arguments: str
    missing_arguments: str
    ignored_arguments: str
    too_many_calls: str
    failed: str
    failed_again: str
    unreadable_result: str
    left_out: str
    result_of: str
    next_step: str
    nothing_noted: str
    # Ends of a run.
    no_query: str
    too_long: str
    no_tools: str
    bad_tool: str
    bad_model: str
    bad_iterations: str
    model_failed: str
    empty_answer: str
    unexpected: str


WORDS: Final[dict[Language, Words]] = {
    "ko": Words(
        plan="계획",
        round="라운드 {number}",
        thought="모델: {model}",
        tool="도구: {tool}",
        review="검토",
        answer="답변 작성",
        native="모델의 함수 호출 기능",
        as_text="글 속의 JSON (이 모델에는 함수 호출 기능이 없습니다)",
        one_step="모델의 계획을 읽을 수 없어 질문 전체를 한 단계로 삼았습니다.",
        unreadable_review="모델의 검토를 읽을 수 없어 찾은 내용으로 답합니다.",
        limit_log="도구를 쓰는 라운드가 한도({limit}회)에 이르러 더 호출하지 않았습니다.",
        limit="※ 도구 사용이 한도({limit}회)에 이르러, 지금까지 찾은 내용으로 답합니다.",
        tools_failed="※ 쓰지 못한 도구가 있습니다: {tools}",
        question_cut="※ 질문이 이 모델이 읽을 수 있는 길이보다 길어 앞부분만 보고 답합니다.",
        passages_left_out="※ 찾은 문단 가운데 {count}개는 길이 때문에 답에 쓰지 못했습니다.",
        cut_off="※ 모델의 최대 토큰 수에 이르러 답이 여기서 끊겼습니다.",
        unfinished_thoughts="※ 모델이 생각을 끝맺지 않아 답이 여기서 끊겼습니다.",
        sources="출처",
        page="{page}쪽",
        untitled="제목 없음",
        cut="… [{all:,}자 가운데 {kept:,}자만 실었습니다]",
        no_result="(결과 없음)",
        unknown_tool="{name!r}이라는 도구는 없습니다. 쓸 수 있는 도구: {names}",
        bad_arguments="인자가 JSON 객체가 아닙니다: {arguments!r}. 스키마에 맞는 JSON 객체로 다시 호출하십시오.",
        missing_arguments="필수 인자가 빠졌습니다: {names}. 채워서 다시 호출하십시오.",
        ignored_arguments="[쓰지 않은 인자: {names}. 이 도구에 없거나 앱에서 정해 둔 값입니다.]",
        too_many_calls="한 번에 {limit}개까지만 호출할 수 있어 실행하지 않았습니다. 필요하면 다음에 다시 호출하십시오.",
        failed="도구 {name} 호출에 실패했습니다: {reason}",
        failed_again=(
            "같은 인자로 이미 {times}번 실패한 호출이라 실행하지 않았습니다. 인자를 바꾸거나 다른 방법을 쓰십시오."
        ),
        unreadable_result=(
            "이 에이전트가 읽을 수 없는 형식의 결과를 보냈습니다(예: 이미지가 아닌 파일)."
            " 파일을 만드는 도구는 에이전트 밖의 도구 노드에서 써 주십시오."
        ),
        left_out="[길이 때문에 문단 {count}개를 싣지 못했습니다]",
        result_of="도구 {name}의 결과:\n{result}",
        next_step="다음 단계: {step}",
        nothing_noted="(적은 내용 없음)",
        no_query="질문이 비어 있습니다. 에이전트 노드의 질문(query)에 사용자의 질문을 넣어 주십시오.",
        too_long="{name} 값이 {length:,}자로 너무 깁니다. {most:,}자까지 쓸 수 있으니 줄여 주십시오.",
        no_tools=(
            "쓸 수 있는 도구가 없습니다."
            " 에이전트 노드의 도구 목록에 도구를 하나 이상 켜 주십시오(예: LLMFlow의 retrieve)."
        ),
        bad_tool=(
            "도구 {name!r}의 설정을 읽지 못했습니다({reason}). 에이전트 노드에서 이 도구를 빼거나 다시 넣어 주십시오."
        ),
        bad_model="모델 설정을 읽지 못했습니다({reason}). 에이전트 노드에서 모델을 다시 골라 주십시오.",
        bad_iterations="최대 반복 횟수로 {value!r} 값은 쓸 수 없습니다. 1에서 30까지의 정수를 넣어 주십시오.",
        model_failed=(
            "모델 {model} 호출에 실패하여 멈췄습니다: {reason}"
            " (Dify의 모델 제공자 설정에서 이 모델의 상태와 자격 증명을 확인해 주십시오.)"
        ),
        empty_answer=(
            "모델 {model}에서 빈 답이 왔습니다. 다시 시도하거나, 최대 토큰 수를 늘리거나, 다른 모델을 골라 주십시오."
        ),
        unexpected=(
            "에이전트 안에서 예상하지 못한 문제({kind})로 멈췄습니다."
            " 관리자에게 플러그인 로그를 확인해 달라고 해 주십시오."
        ),
    ),
    "en": Words(
        plan="Plan",
        round="Round {number}",
        thought="Model: {model}",
        tool="Tool: {tool}",
        review="Review",
        answer="Answer",
        native="the model's own tool calls",
        as_text="JSON in the text (this model has no tool-call feature)",
        one_step="The model's plan could not be read: the whole question became one step.",
        unreadable_review="The model's review could not be read: the answer is written from what was found.",
        limit_log="The limit of {limit} rounds with tools is reached: nothing further was called.",
        limit=(
            "Note: the limit of {limit} rounds with tools was reached; this answer rests on what was found until then."
        ),
        tools_failed="Note: some tools could not be used: {tools}",
        question_cut="Note: the question is longer than this model takes; only its beginning was read.",
        passages_left_out="Note: {count} of the passages found were left out of this answer for length.",
        cut_off="Note: the answer breaks off here because the model reached its maximum tokens.",
        unfinished_thoughts="Note: the answer breaks off here because the model did not end its thoughts.",
        sources="Sources",
        page="p. {page}",
        untitled="untitled",
        cut="… [{kept:,} of {all:,} characters shown]",
        no_result="(no result)",
        unknown_tool="There is no tool named {name!r}. Tools: {names}",
        bad_arguments=(
            "The arguments are no JSON object: {arguments!r}. Call again with a JSON object that fits the schema."
        ),
        missing_arguments="Required arguments are missing: {names}. Call again with them.",
        ignored_arguments="[Arguments not used: {names}. The tool has none such, or the app has set them.]",
        too_many_calls="Not run: at most {limit} calls at a time. Call it again next if it is needed.",
        failed="The call of tool {name} failed: {reason}",
        failed_again=(
            "Not run: this call failed {times} times with the same arguments. Change them, or try another way."
        ),
        unreadable_result=(
            "it sent a result of a kind that this agent cannot read, such as a file that is no image."
            " Use tools that make files in a tool node outside the agent."
        ),
        left_out="[{count} passages left out for length]",
        result_of="Result of tool {name}:\n{result}",
        next_step="Next step: {step}",
        nothing_noted="(nothing noted)",
        no_query="The query is empty. Put the user's question into the agent node's query.",
        too_long="The {name} has {length:,} characters. Shorten it to {most:,} at most.",
        no_tools=(
            "There is no tool to use. Switch on at least one in the agent node's tool list (e.g. retrieve of LLMFlow)."
        ),
        bad_tool=(
            "The settings of tool {name!r} could not be read ({reason}). Remove it from the agent node or add it anew."
        ),
        bad_model="The model's settings could not be read ({reason}). Select the model anew in the agent node.",
        bad_iterations="Maximum iterations cannot be {value!r}. Give a whole number from 1 to 30.",
        model_failed=(
            "Stopped because calling the model {model} failed: {reason}"
            " (Check the model and its credentials under Dify's model providers.)"
        ),
        empty_answer=(
            "The model {model} gave an empty answer. Try again, raise its maximum tokens, or select another model."
        ),
        unexpected=(
            "The agent stopped at an unexpected problem ({kind}). Ask an administrator to look at the plugin's log."
        ),
    ),
}
