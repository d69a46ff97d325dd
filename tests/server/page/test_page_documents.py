"""The page, used in Chromium as a person would: documents."""

from __future__ import annotations

from pages import Site, Visit, ask, needs_chromium, open_documents, row_of
from playwright.sync_api import Page, expect

pytestmark = needs_chromium


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


def test_a_reader_can_neither_add_nor_delete(site: Site, visit: Visit) -> None:
    page = visit(site, "reader")
    open_documents(page)
    expect(page.locator("#read-only")).to_be_visible()
    expect(page.locator("#upload")).to_be_hidden()
    assert page.locator("#document-rows .action").count() == 0
