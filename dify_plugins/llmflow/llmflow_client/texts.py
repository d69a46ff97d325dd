"""Every sentence people read, in Korean and English: what happened, then what to do."""

from __future__ import annotations

from typing import Any

LANGUAGES = ("ko", "en")

_TEXTS: dict[str, tuple[str, str]] = {
    # credentials
    "missing_address": (
        "LLMFlow 서버 주소(base_url)가 비어 있습니다. 예: http://llmflow.internal:8080",
        "The address of the LLMFlow server (base_url) is empty. Enter one such as http://llmflow.internal:8080",
    ),
    "bad_address": (
        "LLMFlow 서버 주소(base_url)가 '{address}'입니다. http:// 또는 https://로 시작하고 사용자 이름, ?, #이"
        " 없는 올바른 주소를 적어 주십시오. 예: http://llmflow.internal:8080",
        "The address of the LLMFlow server (base_url) is '{address}'. Enter a valid one that begins with http:// or https://"
        " and has no user name, ? or #, such as http://llmflow.internal:8080",
    ),
    "missing_key": (
        "LLMFlow 키(api_key)가 비어 있습니다. 관리자에게 받은 키를 적어 주십시오.",
        "The LLMFlow key (api_key) is empty. Enter the key that your administrator gave you.",
    ),
    "bad_key": (
        "LLMFlow 키(api_key)에 쓸 수 없는 글자가 있습니다. 앞뒤에 다른 글자가 섞이지 않게 키만 다시 복사해 주십시오.",
        "The LLMFlow key (api_key) has characters that no key has. Copy it again, and nothing else with it.",
    ),
    "bad_timeout": (
        "제한 시간(timeout_s)이 '{value}'입니다. 1에서 {most:,} 사이의 초를 적어 주십시오.",
        "The time limit (timeout_s) is '{value}'. Enter seconds between 1 and {most:,}.",
    ),
    # the way to the server
    "unknown_host": (
        "이름이 '{host}'인 서버를 찾을 수 없습니다. 서버 주소(base_url)의 철자를 확인하고, Dify가 이 이름을 찾을 수"
        " 있는지"
        " 관리자에게 문의해 주십시오.",
        "There is no server of the name '{host}'. Check how the address (base_url) is spelled, and ask your"
        " administrator whether Dify can resolve that name.",
    ),
    "unreachable": (
        "LLMFlow 서버({url})에 연결할 수 없습니다. 서버가 켜져 있는지, 주소와 포트가 맞는지 확인해 주십시오.",
        "The LLMFlow server ({url}) cannot be reached. Check that it runs, and that address and port are right.",
    ),
    "unreachable_local": (
        "LLMFlow 서버({url})에 연결할 수 없습니다. Dify가 컨테이너에서 실행되면 {host}은(는) 그 컨테이너 자신을"
        " 가리키므로,"
        " LLMFlow가 있는 서버의 이름이나 IP 주소를 적고 서버가 켜져 있는지 확인해 주십시오.",
        "The LLMFlow server ({url}) cannot be reached. Where Dify runs in a container, {host} is that container itself:"
        " enter the name or IP address of the machine that LLMFlow runs on, and check that it runs.",
    ),
    "bad_certificate": (
        "LLMFlow 서버({url})의 인증서를 믿을 수 없습니다({detail}). 주소를 확인하고, 사내 인증서라면 관리자에게"
        " Dify 플러그인 데몬에 등록해 달라고 요청해 주십시오.",
        "The certificate of the LLMFlow server ({url}) is not trusted ({detail}). Check the address; if the certificate"
        " is your organisation's own, ask your administrator to install it for Dify's plugin daemon.",
    ),
    "not_https": (
        "{url}에서 암호화된 연결(https)을 맺을 수 없습니다. 서버가 https를 쓰지 않는다면 주소를 http://로 시작하도록"
        " 바꿔 주십시오.",
        "{url} does not take encrypted connections (https). If the server does not use https, enter its address with"
        " http:// instead.",
    ),
    "late": (
        "LLMFlow 서버({url})가 제한 시간 {seconds:g}초 안에 답을 끝내지 못했습니다. 잠시 뒤 다시 시도하거나 자격 증명의"
        " 제한 시간(timeout_s)을 늘려 주십시오.",
        "The LLMFlow server ({url}) did not finish within the {seconds:g} seconds allowed. Try again later, or raise"
        " the time limit (timeout_s) of the credentials.",
    ),
    "late_at_most": (
        "LLMFlow 서버({url})가 제한 시간 {seconds:g}초 안에 답을 끝내지 못했습니다. 잠시 뒤 다시 시도하고, 계속되면"
        " 관리자에게 알려 주십시오.",
        "The LLMFlow server ({url}) did not finish within the {seconds:g} seconds allowed. Try again later, and tell"
        " your administrator if it goes on.",
    ),
    "broken_off": (
        "LLMFlow 서버({url})의 답이 도중에 끊어졌습니다. 다시 시도하고, 계속되면 관리자에게 알려 주십시오.",
        "The answer of the LLMFlow server ({url}) broke off. Try again, and tell your administrator if it goes on.",
    ),
    "endless": (
        "LLMFlow 서버({url})의 답이 {most:,}MB를 넘어 읽기를 멈췄습니다. 찾을 개수를 줄여 다시 시도해 주십시오.",
        "The answer of the LLMFlow server ({url}) is larger than {most:,} MB and was not read on. Ask for fewer"
        " results.",
    ),
    "redirected": (
        "{url} 서버가 다른 주소로 안내합니다: {target}. 서버 주소(base_url)를 그 주소로 바꿔 주십시오.",
        "{url} leads to another address: {target}. Enter that as the address of the server (base_url).",
    ),
    "not_llmflow": (
        "{url}에서 LLMFlow가 아닌 다른 서버가 답했습니다(HTTP {status}). 로그인 화면이나 프록시일 수 있으니 서버"
        " 주소(base_url)를"
        " 확인해 주십시오.",
        "At {url} something other than LLMFlow answers (HTTP {status}), perhaps a login page or a proxy. Check the"
        " address of the server (base_url).",
    ),
    # what the server refuses
    "unauthorized": (
        "LLMFlow 서버에는 연결되지만 키(api_key)가 올바르지 않거나 만료되었습니다. 관리자에게 새 키를 받아 자격 증명에"
        " 적어 주십시오.",
        "The LLMFlow server answers, but the key (api_key) is wrong or no longer valid. Ask your administrator for a"
        " new one and enter it in the credentials.",
    ),
    "needs_role": (
        "이 LLMFlow 키로는 문서를 추가할 수 없습니다. 관리자에게 편집자(editor) 키를 요청해 주십시오.",
        "This LLMFlow key may not add documents. Ask your administrator for an editor's key.",
    ),
    "forbidden": (
        "이 LLMFlow 키로는 할 수 없는 일입니다. 부서 이름을 확인하거나 관리자에게 권한을 요청해 주십시오.",
        "This LLMFlow key does not allow that. Check the names of the departments, or ask your administrator for the"
        " right.",
    ),
    "not_found": (
        "이 LLMFlow 서버에는 그런 기능이나 자료가 없습니다. 서버 주소(base_url)와, 서버가 플러그인보다 오래되지"
        " 않았는지"
        " 관리자에게 확인해 주십시오.",
        "This LLMFlow server has no such function or resource. Ask your administrator whether the address (base_url) is"
        " right, and the server no older than the plugin.",
    ),
    "no_such_job": (
        "그런 번호의 작업이 없습니다. '문서 추가' 도구의 job_id를 그대로 넣어 주십시오.",
        "No job has that number. Give the job_id of the tool that added the document.",
    ),
    "no_such_entity": (
        "지식 그래프에 그런 이름이 없습니다. 다른 이름으로 찾아 보십시오.",
        "The knowledge graph has no such name. Try another.",
    ),
    "no_such_rerank": (
        "이 LLMFlow 서버에는 그 재정렬 방식이 없습니다. '서버 설정대로'나 '모델 없이'를 골라 주십시오.",
        "This LLMFlow server does not have that way of reranking. Choose 'As the server is set' or 'Without"
        " a model'.",
    ),
    "graph_off": (
        "이 LLMFlow 서버에서는 지식 그래프가 꺼져 있습니다. 관리자에게 켜 달라고 요청해 주십시오.",
        "The knowledge graph of this LLMFlow server is switched off. Ask your administrator to switch it on.",
    ),
    "conflict": (
        "LLMFlow 서버의 지금 상태로는 할 수 없는 일입니다. 관리자에게 문의해 주십시오.",
        "The LLMFlow server cannot do that as it stands. Ask your administrator.",
    ),
    "too_large": (
        "보낸 내용이 LLMFlow 서버가 받는 크기를 넘습니다. 양을 줄여 다시 보내 주십시오.",
        "What was sent is larger than the LLMFlow server takes. Send less.",
    ),
    "invalid": (
        "LLMFlow 서버가 요청의 값을 받아들이지 않았습니다. 값을 고쳐 다시 시도해 주십시오.",
        "The LLMFlow server does not accept a value of the request. Correct it and try again.",
    ),
    "rate_limited": (
        "이 LLMFlow 키로 보낼 수 있는 요청 수를 넘었습니다. {wait} 다시 시도해 주십시오.",
        "This LLMFlow key has made more requests than it may. Try again {wait}.",
    ),
    "failed": (
        "LLMFlow 서버 안에서 문제가 생겼습니다. 다시 시도하고, 계속되면 관리자에게 요청 번호({request_id})를 알려"
        " 주십시오.",
        "Something failed inside the LLMFlow server. Try again; if it goes on, give your administrator the request"
        " number {request_id}.",
    ),
    "unavailable": (
        "LLMFlow 서버가 지금은 처리할 수 없습니다. {wait} 다시 시도하고, 계속되면 관리자에게 알려 주십시오.",
        "The LLMFlow server cannot do that now. Try again {wait}, and tell your administrator if it goes on.",
    ),
    "overdue": (
        "LLMFlow 서버가 답을 제때 만들지 못했습니다. 찾을 개수를 줄이거나 잠시 뒤 다시 시도해 주십시오.",
        "The LLMFlow server could not make the answer in time. Ask for less, or try again later.",
    ),
    "soon": ("잠시 뒤", "a little later"),
    "in_seconds": ("{seconds}초 뒤에", "in {seconds} seconds"),
    "server_says": ("(서버의 설명: {detail})", "(The server says: {detail})"),
    "unexpected": (
        "LLMFlow 플러그인 안에서 예상하지 못한 문제가 생겼습니다. 관리자에게 플러그인 로그를 확인해 달라고 요청해"
        " 주십시오.",
        "Something unexpected failed inside the LLMFlow plugin. Ask your administrator to look into the plugin's log.",
    ),
    # parameters
    "query": ("질문", "question"),
    "question": ("질문", "question"),
    "top_k": ("문단 수", "number of passages"),
    "top_n": ("결과 수", "number of results"),
    "score_threshold": ("최소 점수", "minimum score"),
    "departments": ("부서", "departments"),
    "department": ("부서", "department"),
    "rerank": ("재정렬 방식", "reranking"),
    "mode": ("재정렬 방식", "reranking"),
    "explain": ("이유 설명", "explanation"),
    "use_cache": ("이전 답변 사용", "use of earlier answers"),
    "wait": ("완료까지 대기", "waiting"),
    "url": ("문서 주소", "address of the document"),
    "job_id": ("작업 번호", "job number"),
    "text": ("텍스트", "text"),
    "entity": ("이름", "name"),
    "hops": ("관계 단계", "steps"),
    "limit": ("최대 개수", "limit"),
    "missing": ("{name} 값이 비어 있습니다. 값을 넣어 주십시오.", "The {name} is empty. Enter it."),
    "not_a_text": ("{name} 값이 텍스트가 아닙니다. 텍스트를 넣어 주십시오.", "The {name} is not a text. Enter a text."),
    "too_long": (
        "{name} 값이 {length:,}자입니다. {most:,}자 이하로 줄여 주십시오.",
        "The {name} has {length:,} characters. Shorten it to {most:,} at most.",
    ),
    "not_a_number": (
        "{name} 값이 '{value}'입니다. {least:g}에서 {most:,g} 사이의 숫자를 넣어 주십시오.",
        "The {name} is '{value}'. Enter a number from {least:g} to {most:,g}.",
    ),
    "not_whole": (
        "{name} 값이 '{value}'입니다. {least:g}에서 {most:,g} 사이의 정수를 넣어 주십시오.",
        "The {name} is '{value}'. Enter a whole number from {least:g} to {most:,g}.",
    ),
    "not_a_flag": (
        "{name} 값이 '{value}'입니다. true 또는 false를 넣어 주십시오.",
        "The {name} is '{value}'. Enter true or false.",
    ),
    "not_a_choice": (
        "{name} 값이 '{value}'입니다. 다음 중 하나를 골라 주십시오: {allowed}",
        "The {name} is '{value}'. Choose one of: {allowed}",
    ),
    "bad_filter": (
        '메타데이터 필터(metadata_filter)를 이해할 수 없습니다: {problem}. {{"name": "휴가규정.pdf"}}처럼 적거나 Dify의'
        " metadata_condition 형식으로 적어 주십시오.",
        'The metadata filter (metadata_filter) cannot be understood: {problem}. Write it like {{"name":'
        ' "handbook.pdf"}}, or in the form of Dify\'s metadata_condition.',
    ),
    "filter_no_json": (
        "{line}번째 줄 {column}번째 글자에서 JSON이 어긋납니다",
        "it is not valid JSON at line {line}, column {column}",
    ),
    "filter_unreadable": (
        "너무 깊게 겹쳐 있거나, 숫자가 아닌 값(NaN)이나 너무 큰 숫자가 있습니다",
        "it is nested too deeply, or holds NaN or a number that is too large",
    ),
    "filter_no_object": ("JSON 객체({{...}})가 아닙니다", "it is not a JSON object ({{...}})"),
    "filter_no_condition": (
        "conditions는 name, comparison_operator, value를 가진 객체의 목록이어야 합니다",
        "conditions must be a list of objects with name, comparison_operator and value",
    ),
    "filter_no_value": (
        "'{field}'의 값은 텍스트, 숫자, true/false 또는 그 목록이어야 합니다",
        "the value of '{field}' must be a text, a number, true or false, or a list of these",
    ),
    "bad_passages": (
        "재정렬할 문단(passages)을 이해할 수 없습니다: {found}. 텍스트의 목록이나 앞 단계 '문서 검색'의 result를 넣어"
        " 주십시오.",
        "The passages to rank (passages) cannot be understood: {found}. Give a list of texts, or the result of an"
        " earlier step that retrieves.",
    ),
    "long_python_passages": (
        "재정렬할 문단(passages)이 텍스트 템플릿을 거치며 {length:,}자가 되었습니다. 템플릿 대신 앞 단계의 result"
        " 변수를"
        " 직접 선택해 주십시오.",
        "The passages to rank (passages) came through a text template and have {length:,} characters. Select the"
        " variable result of the earlier step itself instead.",
    ),
    "too_many_passages": (
        "재정렬할 문단이 {count:,}개입니다. 한 번에 {most:,}개까지 보내 주십시오.",
        "There are {count:,} passages to rank. Send {most:,} at most.",
    ),
    # Dify's files
    "file_or_url": (
        "추가할 문서가 없습니다. 파일(file)이나 문서 주소(url) 중 하나를 넣어 주십시오.",
        "There is no document to add. Give a file (file) or the address of a document (url).",
    ),
    "file_and_url": (
        "파일(file)과 문서 주소(url)가 모두 있습니다. 하나만 넣어 주십시오.",
        "There are both a file (file) and the address of a document (url). Give one of them.",
    ),
    "not_a_file": (
        "파일(file) 값이 파일이 아닙니다. 파일 변수를 선택해 주십시오.",
        "The value of file is not a file. Select a variable that is a file.",
    ),
    "several_files": (
        "파일이 {count:,}개입니다. 한 번에 하나씩 넣어 주십시오. 여러 개는 반복(iteration) 노드를 써 주십시오.",
        "There are {count:,} files. Give one at a time; for several use an iteration node.",
    ),
    "file_without_host": (
        "Dify가 알려 준 '{file}' 파일의 주소('{url}')로는 내려받을 수 없습니다. 관리자에게 Dify의 FILES_URL"
        " 설정(사내에서 열리는"
        " Dify 주소)을 요청해 주십시오.",
        "Dify gives '{url}' as the address of the file '{file}', which cannot be fetched. Ask your administrator to set"
        " FILES_URL in Dify to the address at which Dify can be reached.",
    ),
    "file_unreachable": (
        "Dify에서 '{file}' 파일을 내려받지 못했습니다({host}에 연결할 수 없음). 관리자에게 Dify의 FILES_URL 설정이"
        " 플러그인에서"
        " 열리는 주소인지 확인해 달라고 요청해 주십시오.",
        "The file '{file}' could not be fetched from Dify ({host} cannot be reached). Ask your administrator whether"
        " FILES_URL in Dify is an address that plugins can reach.",
    ),
    "file_refused": (
        "Dify에서 '{file}' 파일을 내려받지 못했습니다(HTTP {status}). 파일 주소의 유효 시간이 지났을 수 있으니 파일을"
        " 다시"
        " 올려 주십시오.",
        "The file '{file}' could not be fetched from Dify (HTTP {status}). Its address may have expired: upload it"
        " again.",
    ),
    "file_late": (
        "'{file}' 파일을 제한 시간 {seconds:g}초 안에 내려받지 못했습니다. 더 작은 파일로 시도하거나 자격 증명의 제한"
        " 시간"
        "(timeout_s)을 늘려 주십시오.",
        "The file '{file}' could not be fetched within the {seconds:g} seconds allowed. Try a smaller file, or raise"
        " the time limit (timeout_s) of the credentials.",
    ),
    "file_too_large": (
        "'{file}' 파일이 {most:,}MB를 넘습니다. 나누어 올려 주십시오.",
        "The file '{file}' is larger than {most:,} MB. Upload it in parts.",
    ),
    "file_elsewhere": (
        "'{file}' 파일의 주소가 다른 서버({host})로 이어져 내려받지 않았습니다. 파일을 Dify에 직접 올려 주십시오.",
        "The address of the file '{file}' leads to another server ({host}), so it was not fetched. Upload the file to"
        " Dify itself.",
    ),
    # results
    "page": ("{page}쪽", "page {page}"),
    "nothing_found": (
        "질문과 관련된 문단을 찾지 못했습니다. 질문을 바꾸거나 최소 점수와 필터를 줄여 보십시오.",
        "No passage for the question was found. Try other words, a lower minimum score or fewer filters.",
    ),
    "nothing_to_rank": ("재정렬할 문단이 없습니다.", "There are no passages to rank."),
    "none_left": ("최소 점수를 넘는 문단이 없습니다.", "No passage reaches the minimum score."),
    "sources": ("출처", "Sources"),
    "notes": ("알림", "Notes"),
    "cut_passages": (
        "결과가 너무 커서 {count:,}개 중 앞의 {kept:,}개만 담았습니다",
        "the result is too large: it holds the first {kept:,} of {count:,}",
    ),
    "cut_value": (
        "결과가 너무 커서 일부를 잘랐습니다",
        "the result is too large: a part of it was cut off",
    ),
    "cut_answer": (
        "답변이 너무 길어 {length:,}자 중 앞의 {kept:,}자만 담았습니다",
        "the answer is too long: it holds the first {kept:,} of {length:,} characters",
    ),
    "discarded": (
        "(위의 내용은 취소합니다. 답변을 만들던 중 문제가 생겨 처음부터 다시 씁니다: {reason})",
        "(Please disregard the text above: making the answer failed half way, and it begins anew: {reason})",
    ),
    "replaced": (
        "(위의 내용은 취소합니다. 확정된 답변은 다음과 같습니다.)",
        "(Please disregard the text above. The final answer is:)",
    ),
    "job_queued": ("'{name}' 문서를 접수했습니다. 작업 번호: {job}", "'{name}' was accepted. Job number: {job}"),
    "job_running": (
        "'{name}' 문서를 처리하고 있습니다({progress}%). 작업 번호: {job}. '문서 처리 상태' 도구로 이어서 확인할 수"
        " 있습니다.",
        "'{name}' is being processed ({progress} %). Job number: {job}. The tool for the status of a job tells how it"
        " goes on.",
    ),
    "job_done": (
        "'{name}' 문서를 추가했습니다. 문단 {chunks:,}개를 검색할 수 있습니다.",
        "'{name}' was added. {chunks:,} passages can be found.",
    ),
    "job_failed": ("'{name}' 문서를 추가하지 못했습니다. {reason}", "'{name}' was not added. {reason}"),
    "reason_empty": ("문서에 내용이 없습니다.", "It has no content."),
    "reason_needs_ocr": (
        "스캔한 문서라 글자를 읽을 수 없습니다. 글자가 있는 파일을 올리거나 관리자에게 문자 인식(OCR)을 켜 달라고"
        " 요청해"
        " 주십시오.",
        "It is scanned and its text cannot be read. Upload a file that has text, or ask your administrator to switch"
        " on OCR.",
    ),
    "reason_encrypted": (
        "암호가 걸려 있습니다. 암호를 풀어 다시 올려 주십시오.",
        "It is protected by a password. Remove the password and upload it again.",
    ),
    "reason_unsupported_type": (
        "지원하지 않는 형식입니다. PDF, Word, Excel, PowerPoint, HTML, Markdown, CSV, 텍스트로 바꿔 올려 주십시오.",
        "Its format is not supported. Upload it as PDF, Word, Excel, PowerPoint, HTML, Markdown, CSV or text.",
    ),
    "reason_type_mismatch": (
        "파일 이름의 확장자와 실제 내용이 다릅니다. 올바른 형식으로 다시 저장해 올려 주십시오.",
        "Its content is not what its name says. Save it in the right format and upload it again.",
    ),
    "reason_external_entity": (
        "외부를 참조하는 위험한 내용이 들어 있습니다. 다시 저장해 올려 주십시오.",
        "It refers to things outside, which is dangerous. Save it anew and upload it again.",
    ),
    "reason_too_large": (
        "문서가 너무 큽니다. 나누어 올려 주십시오.",
        "It is too large. Upload it in parts.",
    ),
    "reason_malformed": (
        "파일이 손상되었습니다. 다시 저장해 올려 주십시오.",
        "The file is broken. Save it again and upload it once more.",
    ),
    "reason_timeout": (
        "처리 시간이 너무 깁니다. 나누어 올려 주십시오.",
        "It takes too long to read. Upload it in parts.",
    ),
    "reason_memory_limit": (
        "처리하는 데 메모리가 너무 많이 듭니다. 나누어 올려 주십시오.",
        "It takes too much memory to read. Upload it in parts.",
    ),
    "reason_internal": (
        "서버 안에서 문제가 생겼습니다. 다시 올리고, 계속되면 관리자에게 알려 주십시오.",
        "Something failed inside the server. Upload it again, and tell your administrator if it goes on.",
    ),
    "reason_unknown": ("이유: {detail}", "The reason: {detail}"),
    "relations": ("관계", "Relations"),
    "about": ("설명하는 문서", "Documents about it"),
    "mentioned": ("언급하는 문서", "Documents that name it"),
    # steps in the log
    "step_retrieve": ("문서 검색", "Retrieve passages"),
    "step_rerank": ("문단 재정렬", "Rank passages"),
    "step_answer": ("답변 만들기", "Answer"),
    "step_ingest": ("문서 추가", "Add a document"),
    "step_status": ("처리 상태 확인", "Look up a job"),
    "step_mask": ("개인정보 가리기", "Mask personal data"),
    "step_graph": ("지식 그래프 검색", "Search the graph"),
    "step_request": ("LLMFlow 서버에 요청", "Ask the LLMFlow server"),
    "step_fetch": ("Dify에서 파일 내려받기", "Fetch the file from Dify"),
    "step_upload": ("LLMFlow에 올리기", "Upload to LLMFlow"),
    "step_wait": ("처리 완료 대기", "Wait for the job"),
    "step_stage": ("{stage} 단계까지 완료({progress}%)", "Stage {stage} is done ({progress} %)"),
}  # fmt: skip


def say(language: str, key: str, **values: Any) -> str:
    """A sentence in a language of ``LANGUAGES``."""
    return _TEXTS[key][LANGUAGES.index(language)].format(**values)
