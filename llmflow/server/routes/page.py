"""The page at ``/`` and its files: plain modules and styles, served from memory with ETags."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Request, Response

from llmflow.errors import NotFoundError

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).parent.parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


class _File(NamedTuple):
    content: bytes
    media_type: str
    etag: str


@cache
def _files() -> dict[str, _File]:
    """Every file by its name. Only what is here is served, so a path cannot lead elsewhere."""
    files: dict[str, _File] = {}
    for path in _FOLDER.iterdir():
        content = path.read_bytes()
        files[path.name] = _File(content, _TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
    return files


@router.api_route("/", methods=["GET", "HEAD"])
def page(request: Request) -> Response:
    """The page."""
    return _send(request, "index.html")


@router.api_route("/static/{name}", methods=["GET", "HEAD"])
def static(request: Request, name: str) -> Response:
    """A file of the page."""
    return _send(request, name)


def _send(request: Request, name: str) -> Response:
    """The file; 304 where the browser has it. Asked about each time, so that an upgrade is seen at once."""
    file = _files().get(name)
    if file is None:
        raise NotFoundError(f"the page has no file {name!r}", param="name")
    headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if file.etag in known:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
