"""A server and a browser for the tests of the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pages import CHROMIUM, Site, Visit, sign_in, site_of
from playwright.sync_api import Browser, Page, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Shared by all tests: what one adds, it names so that no other finds it."""
    with site_of(tmp_path_factory.mktemp("page")) as site:
        site.keys = {role: site.key(role) for role in ("reader", "editor")}
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


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
