"""LlamaBoard as a person uses it: a server started as a user starts it, and its page in headless Chromium."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

LOAD_SECONDS = 300


@contextlib.contextmanager
def run_board(folder: Path) -> Iterator[str]:
    """The address of a ``distillm2 webui`` that works in ``folder`` and is stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {
        **os.environ,
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "BROWSER": "true",  # LLaMA-Factory opens one
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    log = folder / "board.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "distillm2", "webui"], cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(server, address, log)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def _wait_until_up(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + LOAD_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        with contextlib.suppress(OSError):
            urllib.request.urlopen(address, timeout=5).close()
            return
        time.sleep(0.2)
    pytest.fail(f"the board did not start:\n{log.read_text()}")


@contextlib.contextmanager
def open_page(address: str) -> Iterator[Page]:
    """A page of headless Chromium that may only reach ``address``."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium: install it to test LlamaBoard's page")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(60_000)
        page.route("**/*", lambda route: route.continue_() if route.request.url.startswith(address) else route.abort())
        yield page
        browser.close()


class Board:
    """The page by its labels; ``shots`` is a folder for screenshots, or None for none."""

    def __init__(self, page: Page, address: str, shots: Path | None) -> None:
        self.page = page
        self.address = address
        self.shots = shots

    def open(self) -> None:
        """A fresh page in English."""
        self.page.goto(self.address)
        language = re.compile("^(Language|Язык|语言|언어|言語)$")
        self.field(language).wait_for()
        self.choose(language, "en")
        self.field("Stage").wait_for()

    def field(self, label: str | re.Pattern[str]) -> Locator:
        """The input below a label."""
        exact = label if isinstance(label, re.Pattern) else re.compile(f"^\\s*{re.escape(label)}\\s*$")
        title = self.page.get_by_test_id("block-info").filter(has_text=exact).locator("visible=true")
        block = title.first.locator("xpath=ancestor::div[contains(concat(' ', @class, ' '), ' block ')][1]")
        return block.locator("input, textarea").first

    def fill(self, label: str, value: str) -> None:
        """Type a value; leaving the field makes gradio take it."""
        field = self.field(label)
        field.fill(value)
        field.blur()

    def choose(self, label: str | re.Pattern[str], option: str) -> None:
        """Pick an entry of a dropdown."""
        self.field(label).click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def options(self, label: str) -> list[str]:
        """What a dropdown offers; the one chosen is marked."""
        self.field(label).click()
        self.page.get_by_role("option").first.wait_for()
        texts = self.page.get_by_role("option").all_inner_texts()
        self.field(label).blur()
        self.page.get_by_role("option").first.wait_for(state="hidden")
        return [text.replace("✓", "").strip() for text in texts]

    def value(self, label: str) -> str:
        """What a field shows."""
        return self.field(label).input_value()

    def press(self, button: str) -> None:
        """Click a button."""
        self.page.get_by_role("button", name=button, exact=True).click()

    def expand(self, accordion: str) -> None:
        """Open an accordion."""
        self.page.get_by_role("button", name=accordion).click()

    def shoot(self, name: str) -> None:
        """A screenshot of the whole page without pop-up messages, where screenshots are wanted."""
        if self.shots is not None:
            hidden = ".toast-wrap { display: none !important }"
            self.page.screenshot(path=self.shots / f"{name}.png", full_page=True, style=hidden)

    def output(self, text: str) -> Locator:
        """The box below the buttons, once it shows ``text``."""
        return self.page.locator(".prose").filter(has_text=text).locator("visible=true").last
