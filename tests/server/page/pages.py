"""A server with documents, and what a person does on its page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from processes import Process, command, environment, running

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed; `apt-get install chromium fonts-nanum` and run again"
)
STATIC = Path(__file__).parents[3] / "llmflow" / "server" / "static"

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
Visit = Callable[..., Page]


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
