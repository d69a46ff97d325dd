"""Running commands in the process of the tests, and small documents to run them on."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmflow.cli.main import main

LEAVE = """# 휴가규정

## 제4조(연차휴가)

근속연수가 5년 이상인 직원에게는 17일의 연차휴가를 준다. 쓰지 않은 연차휴가는 5일까지 이월한다.

담당: 인사팀 전화 010-0000-1234, 전자우편 hr@example.com
"""
HANDBOOK = """# Employee handbook

## Working from home

After the first three months you may work from home two days a week.
"""
SECURITY = "<html><body><h1>정보보안규정</h1><p>비밀번호는 12자 이상으로 한다.</p></body></html>"
READY = ("handbook.md", "정보보안규정.html", "휴가규정.md")
NOT_READY = ("empty.txt", "fake.pdf")


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)


def run(*arguments: object) -> Ran:
    """Run a command in this process, with output that is no terminal."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Ran(code, out.getvalue(), err.getvalue())


def write_documents(folder: Path) -> Path:
    """Three documents that can be read, and two that cannot."""
    folder.mkdir()
    (folder / "휴가규정.md").write_text(LEAVE, encoding="utf-8")
    (folder / "handbook.md").write_text(HANDBOOK, encoding="utf-8")
    (folder / "정보보안규정.html").write_text(SECURITY, encoding="utf-8")
    (folder / "empty.txt").write_bytes(b"")
    (folder / "fake.pdf").write_bytes(b"this is no PDF")
    return folder
