"""Every sentence people read, in Korean and English: what happened, then what to do."""

from __future__ import annotations

from typing import Any

LANGUAGES = ("ko", "en")
_LONGEST = 1000
"""Characters of what others say in a sentence. Dify ends a plugin that writes a line of over 5 MB."""

_TEXTS: dict[str, tuple[str, str]] = {
    "bad_language": (
        "안내문 언어(language)가 '{value}'입니다. ko 또는 en을 골라 주십시오.",
        "The language of messages is '{value}'. Choose ko or en.",
    ),
    "bad_address": (
        "서버 주소(base_url)가 '{value}'입니다. http:// 또는 https://로 시작하고 사용자 이름, ?, #이 없는 주소를"
        " 적어 주십시오. 예: http://llmflow.internal:8080",
        "The server address (base_url) is '{value}'. Enter one that begins with http:// or https://"
        " and has no user name, ? or #, such as http://llmflow.internal:8080",
    ),
    "bad_timeout": (
        "제한 시간(timeout_s)이 '{value}'입니다. 1에서 {most} 사이의 초를 적어 주십시오.",
        "The timeout (timeout_s) is '{value}'. Enter seconds between 1 and {most}.",
    ),
    "unreachable": (
        "LLMFlow 서버({url})에 연결할 수 없습니다. 서버가 켜져 있는지, 주소가 맞는지 확인해 주십시오.",
        "The LLMFlow server ({url}) cannot be reached. Check that it runs and that the address is right.",
    ),
    "late": (
        "LLMFlow 서버({url})가 {seconds:g}초 동안 답하지 않았습니다."
        " 잠시 뒤 다시 시도하거나 제한 시간(timeout_s)을 늘려 주십시오.",
        "The LLMFlow server ({url}) gave no answer for {seconds:g} seconds."
        " Try again later, or raise the timeout (timeout_s).",
    ),
    "broken_off": (
        "LLMFlow 서버({url})의 답이 도중에 끊어졌습니다. 다시 시도해 주십시오.",
        "The answer of the LLMFlow server ({url}) broke off. Try again.",
    ),
    "not_llmflow": (
        "{url}에 LLMFlow 서버가 없습니다(HTTP {status}). 서버 주소(base_url)를 확인해 주십시오.",
        "There is no LLMFlow server at {url} (HTTP {status}). Check the server address (base_url).",
    ),
    "unauthorized": (
        "LLMFlow 키가 올바르지 않거나 더는 쓸 수 없습니다. 관리자에게 키를 받아 자격 증명에 다시 적어 주십시오.",
        "The LLMFlow key is wrong or no longer valid. Ask your administrator for a key and enter it again.",
    ),
    "forbidden": (
        "이 LLMFlow 키로는 할 수 없는 일입니다. 관리자에게 키의 역할과 부서를 확인해 주십시오. (서버의 설명: {detail})",
        "This LLMFlow key does not allow that. Ask your administrator about its role and departments."
        " (The server says: {detail})",
    ),
    "rate_limited": (
        "이 LLMFlow 키로 보낼 수 있는 요청 수를 넘었습니다. {wait} 다시 시도해 주십시오.",
        "This LLMFlow key has made more requests than it may. Try again {wait}.",
    ),
    "unavailable": (
        "LLMFlow 서버가 지금은 처리할 수 없습니다. {wait} 다시 시도하고, 계속되면 관리자에게 알려 주십시오."
        " (서버의 설명: {detail})",
        "The LLMFlow server cannot do that now. Try again {wait}, and tell your administrator if it goes on."
        " (The server says: {detail})",
    ),
    "failed": (
        "LLMFlow 서버 안에서 문제가 생겼습니다. 관리자에게 요청 번호 {request_id}를 알려 주십시오.",
        "Something failed inside the LLMFlow server. Give your administrator the request number {request_id}.",
    ),
    "refused": (
        "LLMFlow 서버가 요청을 받아들이지 않았습니다. 요청이나 서버 설정을 고쳐 다시 시도해 주십시오."
        " (서버의 설명: {detail})",
        "The LLMFlow server refuses the request. Correct the request, or the server's settings, and try again."
        " (The server says: {detail})",
    ),
    "soon": ("잠시 뒤", "a little later"),
    "in_seconds": ("{seconds}초 뒤에", "in {seconds} seconds"),
    "too_large": (
        "결과가 너무 큽니다. Dify는 한 번에 5MB까지만 받습니다. 한 번에 보내는 양을 줄여 주십시오.",
        "The result is too large: Dify takes 5 MB at once. Send less at once.",
    ),
    "too_many_texts": (
        "글 {count:,}개의 벡터는 Dify가 한 번에 받는 5MB를 넘습니다. 한 번에 {most:,}개까지 보내 주십시오.",
        "The vectors of {count:,} texts are more than the 5 MB that Dify takes at once. Send {most:,} texts at most.",
    ),
    "empty_text": (
        "{number}번째 글이 비어 있습니다. 빈 글은 벡터로 만들 수 없으니 빼고 다시 보내 주십시오.",
        "Text {number} is empty and has no vector. Leave it out and try again.",
    ),
    "unknown_model": (
        "모델 '{model}'은(는) 지금 제공되지 않습니다. 지금 쓸 수 있는 모델: {served}",
        "The model '{model}' is not served now. Served now: {served}",
    ),
    "models_unknown": (
        " (언어 모델 서버가 목록을 주지 않아 목록이 모자랄 수 있습니다: {reason})",
        " (The list may lack some, as the LLM's server did not give its own: {reason})",
    ),
    "no_stage": (
        "LLMFlow 서버에 재정렬 모델 '{model}'이(가) 준비되어 있지 않습니다. 관리자에게 설정을 요청하거나"
        " 모델 이름에 llmflow를 쓰십시오. (서버의 설명: {reason})",
        "The LLMFlow server has no reranking model '{model}' ready. Ask your administrator to set it up, or use"
        " the model llmflow. (The server says: {reason})",
    ),
    "text_only": (
        "모델 '{model}'은(는) 글만 읽을 수 있습니다. 첨부({kinds})를 빼고 다시 보내 주십시오."
        " 문서의 내용이 필요하면 '문서 추출기' 노드로 글을 뽑아 넣어 주십시오.",
        "The model '{model}' reads text only. Leave out the attachment ({kinds}) and try again."
        " For a document's content put a Document Extractor node before this one.",
    ),
    "no_tools": (
        "모델 'llmflow'는 문서로 답하는 모델이라 도구를 호출하지 못합니다. 도구가 필요하면 언어 모델(예: {example})을"
        " 골라 주십시오.",
        "The model 'llmflow' answers from documents and calls no tools. Choose a language model for that,"
        " such as {example}.",
    ),
    "bad_parameter": (
        "모델 설정값이 잘못되었습니다: {reason}",
        "A model parameter is wrong: {reason}",
    ),
    "bad_schema": (
        "json_schema가 올바른 JSON이 아닙니다: {reason}",
        "json_schema is no valid JSON object: {reason}",
    ),
    "no_schema": (
        "response_format이 json_schema인데 json_schema가 비어 있습니다. 원하는 출력의 JSON 스키마를 적어 주십시오.",
        "response_format is json_schema, but json_schema is empty. Enter the JSON schema of the output you want.",
    ),
    "schema_unused": (
        "json_schema가 있는데 response_format이 '{format}'입니다. response_format을 json_schema로 바꾸거나"
        " json_schema를 비워 주십시오.",
        "There is a json_schema, but response_format is '{format}'. Set it to json_schema, or leave json_schema empty.",
    ),
    "discarded": (
        "(위의 글은 확인되지 않아 취소되었습니다. 다시 답합니다.)",
        "(The text above could not be confirmed and is void. Here is the answer anew.)",
    ),
    "sources": ("출처", "Sources"),
    "page": (", {page}쪽", ", page {page}"),
    "degraded": (
        "※ 답을 만드는 단계 가운데 온전히 끝나지 않은 것이 있습니다: {stages}",
        "Note: not every step of making this answer went as it should: {stages}",
    ),
    "unsupported": (
        "※ 문서에서 근거를 찾지 못한 문장이 {count}개 있습니다. 그대로 믿지 말고 확인해 주십시오.",
        "Note: no passage bears out {count} of the sentences. Check them before you rely on them.",
    ),
}


def say(language: str, key: str, **values: Any) -> str:
    """A sentence in a language of ``LANGUAGES``, its blanks filled in; what is no number is cut where it is long."""
    shown = {name: value if isinstance(value, (int, float)) else _cut(str(value)) for name, value in values.items()}
    return _TEXTS[key][LANGUAGES.index(language)].format(**shown)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
