"""The page, used in Chromium as a person would: either language, the keyboard, a phone, signing in and out."""

from __future__ import annotations

import re

from pages import MARRIAGE, TRACE_UNDER_WAY, YEARS, Site, Visit, ask, needs_chromium, open_documents, overflow, sign_in
from playwright.sync_api import Locator, Page, expect
from processes import command

pytestmark = needs_chromium


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
