"""Downloads from real servers on this machine."""

from __future__ import annotations

import gzip
import socket
import time
import zlib
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from fetching import CLOSED, Site, refused

from llmflow.errors import DeadlineError, InvalidInputError, UpstreamError
from llmflow.ingestion.fetch import Fetched, fetch, head, post
from llmflow.settings import FetchSettings

pytestmark = pytest.mark.usefixtures("no_pauses")


def test_a_document_is_written_with_its_name_type_and_etag(site: Site, settings: FetchSettings, target: Path) -> None:
    url = site.page("/files/rules.pdf", b"%PDF-1.7", Content_Type="Application/PDF; x=1", ETag='"v1"')
    assert fetch(f"{url}?token=secret", target, settings, 1) == Fetched("rules.pdf", "application/pdf", '"v1"')
    assert target.read_bytes() == b"%PDF-1.7"
    method, path, headers, _ = site.seen[0]
    assert (method, path) == ("GET", "/files/rules.pdf?token=secret")
    assert headers["host"] == f"127.0.0.1:{site.port}"
    assert headers["user-agent"].startswith("llmflow/")


@pytest.mark.parametrize(
    ("path", "headers", "name"),
    [
        ("/%ED%9C%B4%EA%B0%80.pdf", {}, "휴가.pdf"),
        ("/report", {"Content_Type": "text/csv"}, "report.csv"),
        ("/page.aspx", {"Content_Type": "text/html"}, "page.aspx.html"),
        ("/", {"Content_Type": "text/html; charset=utf-8"}, "index.html"),
        ("/blob", {"Content_Type": "application/octet-stream"}, "blob"),
        ("/blob", {"Content_Type": "nonsense"}, "blob"),
        ("/d", {"Content_Disposition": 'attachment; filename="a b.docx"'}, "a b.docx"),
        ("/d", {"Content_Disposition": "attachment; filename=a.docx"}, "a.docx"),
        (
            "/d",
            {"Content_Disposition": "attachment; filename=\"x.hwp\"; filename*=UTF-8''%EA%B7%9C%EC%A0%95.hwp"},
            "규정.hwp",
        ),
        ("/d", {"Content_Disposition": 'attachment; filename="%EA%B7%9C%EC%A0%95.hwp"'}, "규정.hwp"),
        ("/d", {"Content_Disposition": 'attachment; filename="규정.hwp"'.encode().decode("latin-1")}, "규정.hwp"),
        (
            "/d",
            {"Content_Disposition": 'attachment; filename="규정.hwp"'.encode("cp949").decode("latin-1")},
            "규정.hwp",
        ),
        ("/d.txt", {"Content_Disposition": 'attachment; filename="../../etc/passwd.txt"'}, "passwd.txt"),
        ("/d.txt", {"Content_Disposition": 'attachment; filename=".."'}, "d.txt"),
        ("/d.txt", {"Content_Disposition": 'attachment; filename="a%0d%0aX: y%e2%80%aegpj.txt"'}, "aX: ygpj.txt"),
    ],
)
def test_names(
    site: Site, settings: FetchSettings, target: Path, path: str, headers: dict[str, str], name: str
) -> None:
    assert fetch(site.page(path, b"x", 200, **headers), target, settings, 1).name == name


def test_redirects_are_followed_five_times(site: Site, settings: FetchSettings, target: Path) -> None:
    for number, status in enumerate((301, 302, 303, 307, 308)):
        site.page(
            f"/{number}", status=status, Location=f"{number + 1}?a=b" if number % 2 else f"{site.url}/{number + 1}"
        )
    site.page("/5", b"here")
    assert fetch(f"{site.url}/0", target, settings, 1).name == "5"
    assert target.read_bytes() == b"here"
    site.page("/5", status=302, Location="/6")
    site.page("/6", b"too far")
    assert "more than 5 times" in refused(f"{site.url}/0", target, settings).message
    assert "/6" not in site.paths


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_packed_bodies_are_unpacked(site: Site, settings: FetchSettings, target: Path, encoding: str) -> None:
    body = "연차휴가는 17일이다.\n".encode() * 20_000
    packed = gzip.compress(body[:99]) + gzip.compress(body[99:]) if encoding == "gzip" else zlib.compress(body)
    fetch(site.page("/a.txt", packed, Content_Encoding=encoding), target, settings, 1)
    assert target.read_bytes() == body
    error = refused(site.page("/b.txt", packed[:-20], Content_Encoding=encoding), target, settings)
    assert error.reason == "malformed"
    assert refused(site.page("/c.txt", packed, Content_Encoding="br"), target, settings).reason == "unsupported_type"


def test_what_is_too_large_is_cut_off(site: Site, settings: FetchSettings, target: Path) -> None:
    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while True:
            request.wfile.write(bytes(1 << 16))

    site.pages["/endless"] = endless
    assert refused(f"{site.url}/endless", target, settings).reason == "too_large"
    assert target.stat().st_size <= 1 << 20
    announced = site.page("/announced", b"x", Content_Length=str(2 << 20))
    assert refused(announced, target, settings).reason == "too_large"


def test_a_bomb_is_not_unpacked(site: Site, settings: FetchSettings, target: Path) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    assert len(bomb) < 1 << 18
    error = refused(site.page("/bomb", bomb, Content_Encoding="gzip"), target, settings)
    assert (error.reason, "more than 1 MiB" in error.message) == ("too_large", True)
    assert target.stat().st_size <= 1 << 20


@pytest.mark.parametrize("where", ["headers", "body"])
def test_the_time_is_over_however_slowly_bytes_drip(site: Site, target: Path, where: str) -> None:
    def drip(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if where == "body" else b""))
        for _ in range(100):
            request.wfile.write(b"x")
            request.wfile.flush()
            time.sleep(0.05)

    site.pages["/drip"] = drip
    settings = FetchSettings(private_hosts=("127.0.0.1",), timeout_s=0.5)
    start = time.monotonic()
    error = refused(f"{site.url}/drip?token=secret", target, settings)
    assert 0.4 < time.monotonic() - start < 2
    assert error.reason == "timeout"
    assert f"{site.url}/drip: the download took longer than 0.5 s" in error.message


def test_a_server_that_fails_is_tried_three_times(site: Site, settings: FetchSettings, target: Path) -> None:
    url = site.page("/down", status=503)
    error = refused(f"{url}?token=secret", target, settings)
    assert (len(site.seen), error.reason) == (3, "internal")
    assert f"{url}: the server answers with status 503; tried 3 times" in error.message
    assert "secret" not in error.message

    def recovers(request: BaseHTTPRequestHandler) -> None:
        request.send_response(429 if len(site.seen) == 4 else 200)
        request.end_headers()

    site.pages["/recovers"] = recovers
    assert fetch(f"{site.url}/recovers", target, settings, 1).name == "recovers"


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "login"), (403, "refuses"), (404, "check"), (410, "gone"), (451, "")]
)
def test_what_is_not_there_is_not_tried_again(
    site: Site, settings: FetchSettings, target: Path, status: int, advice: str
) -> None:
    error = refused(site.page("/x", status=status), target, settings)
    assert (len(site.seen), f"status {status}: " in error.message, advice in error.message) == (1, True, True)


def test_a_body_that_breaks_off_is_no_document(site: Site, settings: FetchSettings, target: Path) -> None:
    error = refused(site.page("/short", b"half", Content_Length="100"), target, settings)
    assert len(site.seen) == 3
    assert f"{site.url}/short" in error.message


def test_nobody_there(target: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = refused(f"http://127.0.0.1:{port}/a", target, FetchSettings(private_hosts=("127.0.0.1",)))
    assert "refused" in error.message.lower()
    unknown = refused("http://no-such-host.invalid/a", target, CLOSED)
    assert "http://no-such-host.invalid/a: " in unknown.message


def test_marks_tell_changes(site: Site, settings: FetchSettings) -> None:
    assert head(site.page("/a", b"x", ETag='"v1"', Last_Modified="today"), settings) == 'etag "v1"'
    assert head(site.page("/b", b"xyz", Last_Modified="today"), settings) == "modified today length 3"
    assert head(site.page("/c", b"x"), settings) is None
    assert head(site.page("/d", status=405), settings) is None
    assert head(site.page("/e", status=302, Location="/a"), settings) == 'etag "v1"'
    assert {method for method, *_ in site.seen} == {"HEAD"}
    with pytest.raises(InvalidInputError):
        head(site.page("/f", status=302, Location="http://10.0.0.1/"), settings)


def test_posts_go_once_and_nowhere_else(site: Site, settings: FetchSettings) -> None:
    url = site.page("/hook", status=202)
    assert post(url, b'{"a": 1}', {"Content-Type": "application/json", "X-Id": "7"}, settings, 5) == 202
    method, path, headers, body = site.seen[0]
    assert (method, path, headers["x-id"], body) == ("POST", "/hook", "7", b'{"a": 1}')
    assert post(site.page("/moved", status=307, Location="/hook"), b"x", {}, settings, 5) == 307
    assert len(site.seen) == 2
    with pytest.raises(InvalidInputError):
        post(url, b"x", {}, CLOSED, 5)
    site.pages["/slow"] = lambda request: time.sleep(1)
    with pytest.raises(DeadlineError):
        post(f"{site.url}/slow", b"x", {}, settings, 0.2)
    site.pages["/silent"] = lambda request: None
    with pytest.raises(UpstreamError):
        post(f"{site.url}/silent", b"x", {}, settings, 5)
