"""The page, used in Chromium as a person would: a real server, real documents, no stand-ins."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from processes import Process, command, environment, running

sys.path.append(str(Path(__file__).parents[1] / "models"))
from chat_server import Reply, answer, chat_server, piece

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed; `apt-get install chromium fonts-nanum` and run again"
)
STATIC = Path(__file__).parents[2] / "llmflow" / "server" / "static"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

LEAVE = """# 휴가 규정

## 제1조(목적)

이 규정은 임직원의 휴가에 관한 사항을 정한다.

## 제2조(연차휴가)

연차휴가는 근속연수에 따라 다음과 같이 부여한다.

| 근속연수 | 연차일수 |
|---|---|
| 1년 이상 3년 미만 | 15일 |
| 3년 이상 5년 미만 | 16일 |

## 제3조(경조휴가)

본인이 결혼하면 경조휴가 5일을 부여한다.
"""
HOSTILE = """방문객 안내 🎉🎉 <img src=x onerror="document.title='taken'"><script>document.title='taken'</script>

🎉 방문객 주차는 <b>3시간</b>까지 무료이다. 출입증은 안내 데스크에서 받는다.
"""
HOSTILE_NAME = "방문객 <img src=x onerror=document.title=`taken`>.txt"
TRACE_UNDER_WAY = "status of 404"
MARRIAGE = "본인이 결혼하면 경조휴가는 며칠인가요?"
YEARS = "근속연수가 3년 이상 5년 미만이면 연차일수는 며칠인가요?"


@dataclass
class Site:
    """A running server and keys for it."""

    url: str
    process: Process
    env: dict[str, str]
    folder: Path
    keys: dict[str, str] = field(default_factory=dict)

    def key(self, role: str, departments: str = "shared,인사") -> str:
        """A new key."""
        made = command(self.env, self.folder, "keys", "create", "--role", role, "--departments", departments, "--json")
        assert made.returncode == 0, made.stderr
        return str(json.loads(made.stdout)["key"])


@contextmanager
def site_of(folder: Path, **settings: str) -> Iterator[Site]:
    env = environment(folder / "data", TRACING__ENABLED="true", **settings)
    documents = folder / "documents"
    documents.mkdir()
    (documents / "휴가규정.md").write_text(LEAVE, encoding="utf-8")
    (documents / HOSTILE_NAME).write_text(HOSTILE, encoding="utf-8")
    ingested = command(env, folder, "ingest", str(documents), "--json")
    assert ingested.returncode == 0, ingested.stderr
    with running(env, folder, "serve") as process:
        yield Site(process.url(), process, env, folder)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_of(tmp_path_factory.mktemp("page")) as site:
        site.keys = {role: site.key(role) for role in ("reader", "editor")}
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Open the page; at the end nothing may have been said on the console, and no other host been asked."""
    complaints: list[str] = []
    expected: list[str] = []
    contexts = []

    def open_page(site: Site, role: str | None = None, *, says: str = "", **options: Any) -> Page:
        """``role`` signs in; ``says`` is a pattern of what the console may say."""
        expected.append(says)
        context = browser.new_context(**{"locale": "ko-KR", "viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: request.url.startswith(site.url) or complaints.append(request.url))
        page.goto(site.url)
        if role is not None:
            sign_in(page, site.keys[role])
        return page

    yield open_page
    for context in contexts:
        context.close()
    patterns = [pattern for pattern in expected if pattern]
    assert [each for each in complaints if not any(re.search(pattern, each) for pattern in patterns)] == []


def sign_in(page: Page, key: str) -> None:
    page.fill("#key", key)
    page.press("#key", "Enter")
    expect(page.locator("#question")).to_be_visible()


def ask(page: Page, question: str) -> Locator:
    """Ask, and wait for the whole answer; the turn."""
    page.fill("#question", question)
    page.press("#question", "Enter")
    turn = page.locator(".turn").last
    expect(turn.locator(".badges")).to_be_visible(timeout=30_000)
    return turn


def open_documents(page: Page) -> None:
    page.click("nav a[href='#documents']")
    expect(page.locator("#documents-table")).to_be_visible()


def row_of(page: Page, name: str) -> Locator:
    return page.locator("#document-rows tr", has_text=name)


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


# -- files -------------------------------------------------------------------------------------


def test_files_are_served_with_types_and_etags_and_nothing_else_is(site: Site) -> None:
    with httpx.Client(base_url=site.url) as http:
        page = http.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        for path in STATIC.iterdir():
            served = http.get(f"/static/{path.name}")
            assert served.content == path.read_bytes()
            again = http.get(f"/static/{path.name}", headers={"If-None-Match": f'"other", W/{served.headers["etag"]}'})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", served.headers["etag"])
        assert http.get("/static/main.js").headers["content-type"].startswith("text/javascript")
        assert http.get("/static/base.css").headers["content-type"].startswith("text/css")
        assert http.get("/static/mark.svg").headers["content-type"] == "image/svg+xml"
        assert http.head("/").headers["etag"] == page.headers["etag"]
        for outside in ("nothing.js", "..%2Fapp.py", "%2e%2e/app.py", "%2e%2e"):
            assert http.get(f"/static/{outside}").status_code == 404


def test_the_page_has_no_inline_code_and_names_no_other_host() -> None:
    html = (STATIC / "index.html").read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)", html)
    for path in STATIC.iterdir():
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|url\(", text), path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text), path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(scheme: str) -> None:
    blocks = re.findall(r":root \{(.*?)\}", (STATIC / "base.css").read_text("utf-8"), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[0 if scheme == "light" else 1]))
    on = {"page": ("text", "muted", "accent"), "surface": ("text", "muted", "accent"), "accent": ("on-accent",)}
    on |= {f"{kind}-soft": (kind, "text") for kind in ("accent", "good", "warn", "bad")}
    on |= {"highlight": ("text",), "highlight-strong": ("text",)}
    for below, above in on.items():
        for text in above:
            assert contrast(colours[text], colours[below]) >= 4.5, (text, below)
    assert contrast(colours["control"], colours["surface"]) >= 3


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
        return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


# -- questions ---------------------------------------------------------------------------------


@needs_chromium
def test_a_citation_opens_its_passage_with_the_quote_marked(site: Site, visit: Visit) -> None:
    page = visit(site, "reader")
    turn = ask(page, MARRIAGE)
    expect(turn.locator(".answer")).to_contain_text("경조휴가 5일을 부여한다.")
    expect(turn.locator(".tag.extractive")).to_have_text("인용")
    mark = turn.locator(".answer .cite").first
    expect(mark).to_have_attribute("aria-label", re.compile(r"^출처 \d+: 휴가규정\.md$"))
    mark.click()
    panel = page.locator("#panel")
    expect(panel.locator("#panel-title")).to_have_text("휴가규정.md")
    expect(panel.locator("mark.chosen")).to_have_text("본인이 결혼하면 경조휴가 5일을 부여한다.")
    expect(panel.locator("mark.chosen")).to_be_in_viewport()
    expect(panel.locator(".cited .place")).to_contain_text("제3조(경조휴가)")
    expect(panel.locator(".passage").first).to_contain_text("연차휴가는 근속연수에 따라")
    assert panel.locator(".notice").count() == 0
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(mark).to_be_focused()


@needs_chromium
def test_a_cited_row_of_a_table_is_marked_in_the_table(site: Site, visit: Visit) -> None:
    page = visit(site, "reader")
    turn = ask(page, YEARS)
    turn.locator(".answer .cite").last.click()
    marked = page.locator("#panel .cited tr", has=page.locator("mark.chosen"))
    expect(marked).to_have_text("3년 이상 5년 미만16일")
    expect(page.locator("#panel .cited th").first).to_have_text("근속연수")
    assert "|" not in page.locator("#panel-body").inner_text()


@needs_chromium
def test_markup_in_documents_and_names_stays_text(site: Site, visit: Visit) -> None:
    page = visit(site, "editor", says=TRACE_UNDER_WAY)
    turn = ask(page, "방문객 주차는 몇 시간까지 무료인가요?")
    expect(turn.locator(".answer")).to_contain_text("<b>3시간</b>까지 무료이다.")
    turn.locator(".answer .cite").first.click()
    expect(page.locator("#panel-title")).to_have_text(HOSTILE_NAME)
    # Emoji before it are two UTF-16 units each, and one character to the server.
    quote = page.locator("mark.chosen")
    expect(quote).to_have_text("🎉 방문객 주차는 <b>3시간</b>까지 무료이다.")
    expect(page.locator("#panel .cited")).to_contain_text("<script>document.title='taken'</script>")
    turn.locator(".how > summary").first.click()
    turn.locator(".how > summary").last.click()
    expect(turn.locator(".trace")).to_be_visible()
    page.keyboard.press("Escape")
    open_documents(page)
    row_of(page, HOSTILE_NAME).locator(".action button").click()
    expect(page.locator("#confirm-text")).to_contain_text(HOSTILE_NAME)
    assert page.title() == "LLMFlow"
    assert page.locator("img").count() == 1, "the mark in the header is the only picture"


@needs_chromium
def test_stages_and_trace_say_how_an_answer_was_found(site: Site, visit: Visit) -> None:
    page = visit(site, "reader", locale="en-US", says=TRACE_UNDER_WAY)
    turn = ask(page, "결혼 경조휴가 일수를 알려 주세요")
    turn.get_by_text("How this was found").click()
    head = turn.locator(".hits thead th").all_inner_texts()
    assert head[:3] == ["#", "Passage", "Score"]
    assert {"Words", "Letters", "Together"} <= set(head)
    first = turn.locator(".hits tbody tr").first
    expect(first).to_contain_text("#1")
    expect(first.locator("td").nth(2)).to_have_text(re.compile(r"^0\.\d{3}$"))
    expect(turn.locator(".timings")).to_contain_text("retrieve.fuse")
    first.locator("button").click()
    expect(page.locator("#panel .cited")).to_contain_text("경조휴가")
    turn.get_by_text("Trace", exact=True).click()
    steps = turn.locator(".trace .step")
    expect(steps.first).to_be_visible()
    names = steps.locator(".name").all_inner_texts()
    assert names[0] == "ask"
    assert {"retrieve", "fuse", "answer"} <= set(names)
    assert turn.locator(".trace ul ul ul .step").count() > 2, "steps within steps"
    widths = [float(width or 0) for width in turn.locator(".trace rect").evaluate_all(WIDTHS)]
    assert widths[0] == pytest.approx(100, abs=1)
    assert min(widths) > 0


WIDTHS = "rects => rects.map(rect => rect.getAttribute('width'))"


@needs_chromium
def test_thumbs_reach_the_server(site: Site, visit: Visit) -> None:
    page = visit(site, "reader")
    turn = ask(page, MARRIAGE)
    up, down = turn.get_by_role("button", name="좋은 답변"), turn.get_by_role("button", name="아쉬운 답변")
    up.click()
    expect(up).to_have_attribute("aria-pressed", "true")
    expect(turn.locator(".feedback")).to_contain_text("고맙습니다")
    down.click()
    turn.get_by_label("무엇이 아쉬웠나요").fill("조문 번호가 없어요")
    turn.get_by_role("button", name="의견 보내기").click()
    expect(turn.locator(".feedback")).to_contain_text("의견을 저장했습니다")
    expect(up).to_have_attribute("aria-pressed", "false")
    expect(turn.locator(".feedback form")).to_have_count(0)
    administrator = {"Authorization": f"Bearer {site.key('administrator')}"}
    kept = httpx.get(f"{site.url}/v1/feedback", headers=administrator).json()["feedback"]
    assert [(each["value"], each["comment"]) for each in kept][:1] == [(-1, "조문 번호가 없어요")]


@needs_chromium
def test_an_answer_from_the_cache_says_so(site: Site, visit: Visit) -> None:
    page = visit(site, "reader", locale="en-US")
    asked = "근속 1년 이상 3년 미만의 연차일수는?"
    assert ask(page, asked).get_by_text("Answered before").count() == 0
    turn = ask(page, asked)
    expect(turn.locator(".badges")).to_contain_text("Answered before")
    turn.get_by_text("How this was found").click()
    expect(turn.locator(".how").first).to_contain_text("no stage ran")
    expect(turn.locator(".hits")).to_be_visible()
    assert turn.locator(".timings").count() == 0


@needs_chromium
def test_an_unanswerable_question_is_said_to_be_one(site: Site, visit: Visit) -> None:
    page = visit(site, "reader", locale="en-US")
    turn = ask(page, "What is the boiling point of tungsten?")
    expect(turn.locator(".tag.abstained")).to_have_text("Not found")
    assert turn.locator(".cite, .sources").count() == 0


# -- documents ---------------------------------------------------------------------------------


@needs_chromium
def test_an_upload_is_followed_until_a_question_finds_it(site: Site, visit: Visit) -> None:
    page = visit(site, "editor")
    open_documents(page)
    assert page.locator("#department option").all_inner_texts() == ["shared", "인사"]
    page.select_option("#department", "인사")
    text = "# 체육관 안내\n\n체육관은 매일 06시 30분에 문을 연다. 수건은 한 장당 500원이다.\n"
    files = [("체육관.md", text.encode()), ("깨진.pdf", b"%PDF-1.4 nonsense")]
    page.set_input_files(
        "#files", [{"name": name, "mimeType": "application/octet-stream", "buffer": data} for name, data in files]
    )
    done, failed = page.locator(".upload", has_text="체육관.md"), page.locator(".upload", has_text="깨진.pdf")
    expect(done).to_contain_text("준비되었습니다", timeout=30_000)
    expect(failed).to_contain_text("실패", timeout=30_000)
    expect(failed.locator(".detail")).to_contain_text("깨진.pdf")
    assert done.locator("progress").evaluate("bar => bar.value") == 1
    expect(row_of(page, "체육관.md")).to_contain_text("준비됨")
    expect(row_of(page, "체육관.md")).to_contain_text("인사")
    expect(row_of(page, "깨진.pdf")).to_contain_text("손상된 파일입니다.")
    page.select_option("#status", "failed")
    expect(page.locator("#document-rows tr")).to_have_count(1)
    page.click("nav a[href='#ask']")
    turn = ask(page, "체육관은 몇 시에 문을 여나요?")
    expect(turn.locator(".answer")).to_contain_text("06시 30분")


@needs_chromium
def test_files_can_be_dropped_and_documents_deleted(site: Site, visit: Visit) -> None:
    page = visit(site, "editor")
    open_documents(page)
    files = page.evaluate_handle(
        "text => { const data = new DataTransfer(); data.items.add(new File([text], '분실물.md')); return data; }",
        "# 분실물\n\n분실물은 경비실에서 30일 동안 보관한다.\n",
    )
    page.dispatch_event("#drop", "dragover", {"dataTransfer": files})
    expect(page.locator("#drop")).to_have_class("over")
    page.dispatch_event("#drop", "drop", {"dataTransfer": files})
    expect(page.locator(".upload")).to_contain_text("준비되었습니다", timeout=30_000)
    row = row_of(page, "분실물.md")
    bin_ = row.get_by_role("button", name="분실물.md 삭제")
    bin_.click()
    page.keyboard.press("Escape")
    expect(page.locator("#confirm")).to_be_hidden()
    expect(row).to_be_visible()
    row.get_by_role("button", name="분실물.md", exact=True).click()
    expect(page.locator("#panel-body")).to_contain_text("30일 동안 보관한다.")
    page.keyboard.press("Escape")
    bin_.click()
    page.locator("#confirm").get_by_role("button", name="삭제").click()
    expect(row).to_have_count(0)
    turn_to_ask(page)
    expect(ask(page, "분실물은 며칠 동안 보관하나요?").locator(".answer")).not_to_contain_text("30일")


def turn_to_ask(page: Page) -> None:
    page.click("nav a[href='#ask']")


@needs_chromium
def test_a_reader_can_neither_add_nor_delete(site: Site, visit: Visit) -> None:
    page = visit(site, "reader")
    open_documents(page)
    expect(page.locator("#read-only")).to_be_visible()
    expect(page.locator("#upload")).to_be_hidden()
    assert page.locator("#document-rows .action").count() == 0


# -- the page itself ---------------------------------------------------------------------------


@needs_chromium
def test_both_languages_are_complete_and_switch_in_place(site: Site, visit: Visit) -> None:
    page = visit(site, "editor", locale="ko-KR")
    messages = page.evaluate("() => import('/static/messages.js').then(module => module.MESSAGES)")
    places = {
        name: {key: sorted(re.findall(r"{\w+}", text)) for key, text in each.items()} for name, each in messages.items()
    }
    assert places["ko"] == places["en"]
    assert not [key for key, text in messages["ko"].items() if not text.strip()]
    turn = ask(page, MARRIAGE)
    turn.locator(".how > summary").first.click()
    assert page.evaluate("document.documentElement.lang") == "ko"
    page.click("#language")
    assert page.evaluate("document.documentElement.lang") == "en"
    expect(turn.locator(".tag.extractive")).to_have_text("Quoted")
    expect(turn.locator(".hits th").nth(1)).to_have_text("Passage")
    expect(page.locator("#question")).to_have_attribute("placeholder", "Ask a question")
    expect(turn.locator(".answer .cite").first).to_have_attribute("aria-label", re.compile("^Source"))
    open_documents(page)
    korean = re.compile("[가-힣]")
    said = page.locator("body [data-said]:visible").evaluate_all("nodes => nodes.map(node => node.textContent)")
    assert [text for text in said if korean.search(text)] == ["한국어"]
    page.reload()
    expect(page.locator("#documents h1")).to_have_text("Documents")


@needs_chromium
def test_everything_can_be_done_with_the_keyboard(site: Site, visit: Visit) -> None:
    page = visit(site, locale="en-US")
    keyboard = page.keyboard
    expect(page.locator("#key")).to_be_focused()
    keyboard.type(site.keys["editor"])
    keyboard.press("Enter")
    question = page.locator("#question")
    expect(question).to_be_focused()
    keyboard.type("경조휴가")
    keyboard.press("Shift+Enter")
    keyboard.type("며칠인가요?")
    assert question.input_value() == "경조휴가\n며칠인가요?"
    assert page.locator(".turn").count() == 0
    # Enter that ends the composition of a Korean syllable is not the Enter that sends.
    question.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    assert page.locator(".turn").count() == 0
    keyboard.press("Enter")
    expect(page.locator(".badges")).to_be_visible()
    cite = page.locator(".answer .cite").first
    press_until(page, "Shift+Tab", cite)
    assert cite.evaluate("node => getComputedStyle(node).outlineStyle") == "solid"
    keyboard.press("Enter")
    expect(page.locator("#panel-title")).to_be_focused()
    expect(page.locator("mark.chosen")).to_be_visible()
    keyboard.press("Escape")
    expect(cite).to_be_focused()
    press_until(page, "Tab", page.get_by_text("How this was found"))
    keyboard.press("Enter")
    expect(page.locator(".hits")).to_be_visible()
    skip = page.locator("#skip")
    press_until(page, "Shift+Tab", skip)
    expect(skip).to_be_in_viewport()
    keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
    press_until(page, "Shift+Tab", page.locator("nav a[href='#documents']"))
    keyboard.press("Enter")
    expect(page.locator("#documents-table")).to_be_visible()
    press_until(page, "Tab", page.locator("#files"))
    assert page.locator("label[for=files]").evaluate("node => getComputedStyle(node).outlineStyle") == "solid"
    press_until(page, "Shift+Tab", page.locator("#account summary"))
    keyboard.press("Enter")
    press_until(page, "Tab", page.locator("#sign-out"))
    keyboard.press("Enter")
    expect(page.locator("#key")).to_be_focused()
    assert page.evaluate("sessionStorage.length") == 0


def press_until(page: Page, key: str, target: Locator) -> None:
    for _ in range(60):
        page.keyboard.press(key)
        if target.evaluate("node => node === document.activeElement"):
            return
    raise AssertionError(f"{key} never reached {target}")


@needs_chromium
def test_a_phone_needs_no_sideways_scrolling(site: Site, visit: Visit) -> None:
    page = visit(site, says=TRACE_UNDER_WAY, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    assert overflow(page) == 0
    sign_in(page, site.keys["editor"])
    assert overflow(page) == 0
    turn = ask(page, YEARS)
    for summary in turn.locator(".how > summary").all():
        summary.tap()
    expect(turn.locator(".trace")).to_be_visible()
    assert overflow(page) == 0
    box = page.locator("#question").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 740, "the field stays in reach"
    turn.locator(".answer .cite").first.tap()
    panel = page.locator("#panel")
    expect(panel.locator("mark.chosen").first).to_be_in_viewport()
    assert panel.evaluate("node => node.matches(':modal') && node.clientWidth") == 360
    assert overflow(page) == 0
    page.locator("#panel-close").tap()
    page.locator("#account summary").tap()
    assert overflow(page) == 0
    page.locator("#account summary").tap()
    open_documents(page)
    assert overflow(page) == 0


@needs_chromium
def test_a_key_that_is_refused_returns_to_signing_in(site: Site, visit: Visit) -> None:
    page = visit(site, says="status of 401")
    page.fill("#key", "llmflow_wrong_key")
    page.press("#key", "Enter")
    notice = page.locator("#sign-in-error .notice")
    expect(notice).to_contain_text("키가 올바르지 않습니다.")
    expect(notice.locator("code")).to_have_text(re.compile(r"^[\w.-]+$"))
    revoked = site.key("reader")
    sign_in(page, revoked)
    ask(page, MARRIAGE)
    id_ = revoked.split("_")[1]
    assert command(site.env, site.folder, "keys", "revoke", id_).returncode == 0
    page.fill("#question", MARRIAGE)
    page.press("#question", "Enter")
    expect(notice).to_contain_text("키가 만료되었거나 취소되었을 수 있습니다.")
    expect(page.locator(".turn")).to_have_count(0)
    assert page.evaluate("sessionStorage.length") == 0


@needs_chromium
def test_signing_out_leaves_nothing_behind(site: Site, visit: Visit) -> None:
    page = visit(site, "editor")
    ask(page, MARRIAGE).locator(".answer .cite").first.click()
    expect(page.locator("mark.chosen")).to_be_visible()
    open_documents(page)
    page.click("#account summary")
    page.click("#sign-out")
    expect(page.locator("#key")).to_be_focused()
    everything = page.evaluate(
        "document.body.textContent + JSON.stringify(sessionStorage) + JSON.stringify(localStorage)"
    )
    assert not re.search("경조휴가|방문객|llmflow_", everything)


# -- a server with an LLM, small limits and an end --------------------------------------------


@needs_chromium
def test_generated_answers_limits_and_a_server_that_goes(tmp_path: Path, visit: Visit) -> None:
    written = "본인이 결혼하면 경조휴가 5일을 부여합니다 [1]. 헬리콥터도 제공합니다 [1]. "
    broken = Reply([piece("경조휴가는 5일을 부여합니다 [1]. "), piece("그리고 ")], pause_s=0.3)
    with (
        chat_server(answer(written, size=9, pause_s=0.15), broken) as llm,
        site_of(
            tmp_path,
            LLM__BASE_URL=llm.base_url,
            LLM__RETRIES="0",
            CACHE__ENABLED="false",
            AUTH__BURST="4",
            AUTH__REQUESTS_PER_MINUTE="2",
        ) as site,
    ):
        page = visit(site, says="status of 429|ERR_", locale="en-US")
        sign_in(page, site.key("reader"))
        page.fill("#question", MARRIAGE)
        page.press("#question", "Enter")
        turn = page.locator(".turn").last
        text = turn.locator(".answer")
        expect(text).to_contain_text("5일을 부여합니다")
        assert text.get_attribute("aria-busy") == "true"
        assert "헬리콥터" not in text.inner_text(), "text appears as it comes"
        expect(page.get_by_role("button", name="Stop")).to_be_visible()
        expect(turn.locator(".tag.generative")).to_have_text("Generated")
        expect(turn.locator(".unsupported")).to_contain_text("헬리콥터도 제공합니다")
        expect(turn.locator(".badges")).to_contain_text("Unsupported sentences: 1")
        assert turn.locator(".answer .cite").count() == 1

        page.fill("#question", "경조휴가는 며칠을 부여하나요?")
        page.press("#question", "Enter")
        second = page.locator(".turn").last
        expect(second.locator(".tag.extractive")).to_be_visible()
        assert "그리고" not in second.locator(".answer").inner_text(), "what the LLM began is void"
        expect(second.locator(".notice.warning")).to_contain_text("llm")

        page.fill("#question", MARRIAGE)
        page.press("#question", "Enter")
        expect(page.get_by_role("button", name="Stop")).to_be_visible()
        page.click("#send")
        expect(page.locator(".turn").last).to_contain_text("Stopped.")

        page.fill("#question", MARRIAGE)
        page.press("#question", "Enter")
        limited = page.locator(".turn").last.locator(".notice.error")
        expect(limited).to_contain_text("Too many requests.")
        expect(limited).to_contain_text(re.compile(r"Try again in \d+ s\."))
        expect(limited).to_contain_text("Request")

        site.process.kill()
        limited.get_by_role("button", name="Try again").click()
        expect(page.locator(".turn").last.locator(".notice.error")).to_contain_text("The server cannot be reached.")
        assert page.locator("#send use").evaluate("node => node.getBBox().width") > 0, "the icons come with the page"
