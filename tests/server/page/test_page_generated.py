"""The page, used in Chromium as a person would: a server with an LLM, small limits and an end."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pages import MARRIAGE, Visit, needs_chromium, sign_in, site_of
from playwright.sync_api import expect

sys.path.append(str(Path(__file__).parents[2] / "models"))
from chat_server import Reply, answer, chat_server, piece

pytestmark = needs_chromium


def test_generated_answers_limits_and_a_server_that_goes(tmp_path: Path, visit: Visit) -> None:
    written = "본인이 결혼하면 경조휴가 5일을 부여합니다 [1]. 헬리콥터도 제공합니다 [1]. "
    broken = Reply([piece("경조휴가는 5일을 부여합니다 [1]. "), piece("그리고 ")], pause_s=0.3)
    with (
        chat_server(answer(written, size=9, pause_s=0.15), broken) as llm,
        site_of(
            tmp_path,
            LLM__BASE_URL=llm.base_url,
            LLM__RETRIES="0",
            GRAPH__EXTRACTION="rules",
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
