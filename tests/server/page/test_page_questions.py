"""The page, used in Chromium as a person would: questions and their answers."""

from __future__ import annotations

import re

import httpx
import pytest
from pages import (
    HOSTILE_NAME,
    MARRIAGE,
    TRACE_UNDER_WAY,
    YEARS,
    Site,
    Visit,
    ask,
    needs_chromium,
    open_documents,
    row_of,
)
from playwright.sync_api import expect

pytestmark = needs_chromium


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


def test_a_cited_row_of_a_table_is_marked_in_the_table(site: Site, visit: Visit) -> None:
    page = visit(site, "reader")
    turn = ask(page, YEARS)
    turn.locator(".answer .cite").last.click()
    marked = page.locator("#panel .cited tr", has=page.locator("mark.chosen"))
    expect(marked).to_have_text("3년 이상 5년 미만16일")
    expect(page.locator("#panel .cited th").first).to_have_text("근속연수")
    assert "|" not in page.locator("#panel-body").inner_text()


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


def test_an_unanswerable_question_is_said_to_be_one(site: Site, visit: Visit) -> None:
    page = visit(site, "reader", locale="en-US")
    turn = ask(page, "What is the boiling point of tungsten?")
    expect(turn.locator(".tag.abstained")).to_have_text("Not found")
    assert turn.locator(".cite, .sources").count() == 0
