"""Downloads from real servers on this machine, and addresses that must never be called."""

from __future__ import annotations

import gzip
import ipaddress
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from llmflow.errors import DeadlineError, DocumentError, InvalidInputError, UpstreamError
from llmflow.ingestion import guarding
from llmflow.ingestion.fetch import Fetched, fetch, head, post
from llmflow.ingestion.guarding import check_url
from llmflow.settings import FetchSettings

CLOSED = FetchSettings()
Answer = Callable[[BaseHTTPRequestHandler], None]


class Site:
    """A server whose pages are functions; ``seen`` are the requests it got."""

    def __init__(self) -> None:
        site = self
        self.pages: dict[str, Answer] = {}
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                site.seen.append((self.command, self.path, headers, self.rfile.read(length)))
                with suppress(BrokenPipeError, ConnectionResetError):  # the client had enough
                    site.pages[self.path.partition("?")[0]](self)

            do_HEAD = do_POST = do_GET  # noqa: N815

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def page(self, path: str, body: bytes = b"", status: int = 200, **headers: str) -> str:
        """Serve a page; its URL. ``content_type`` stands for Content-Type."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            for name, value in headers.items():
                request.send_header(name.replace("_", "-"), value)
            if "Content_Length" not in headers:
                request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            if request.command != "HEAD":
                request.wfile.write(body)

        self.pages[path] = answer
        return self.url + path

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _, _ in self.seen]


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture
def settings(site: Site) -> FetchSettings:
    return FetchSettings(private_hosts=(f"127.0.0.1:{site.port}",), timeout_s=5)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmflow.ingestion.fetch._PAUSES_S", (0.01, 0.02))


def refused(url: str, target: Path, settings: FetchSettings, max_mb: int = 1) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        fetch(url, target, settings, max_mb)
    return caught.value


# -- what comes down ---------------------------------------------------------------------------


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


# -- limits ------------------------------------------------------------------------------------


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


# -- failures ----------------------------------------------------------------------------------


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


# -- addresses that are not called -------------------------------------------------------------

PRIVATE = (
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0.0.0.0/",
    "http://10.1.2.3/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[::1]/",
    "http://[::]/",
    "http://[fe80::1]/",
    "http://[fc00::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:a9fe:a9fe::]/",
    "http://localhost/",
    "http://LOCALHOST:8080/",
    "http://db.localhost/",
    "http://127。0。0。1/",
)


@pytest.mark.parametrize("url", PRIVATE)
def test_private_addresses_are_refused_at_once_and_when_called(url: str, target: Path) -> None:
    with pytest.raises(InvalidInputError, match="not at a public address"):
        check_url(url, CLOSED)
    assert "not at a public address" in refused(url, target, CLOSED).message


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a",
        "file:///etc/passwd",
        "gopher://x/",
        "//example.com/a",
        "example.com",
        "http://",
        "",
        "http://[",
        "http://[fe80::1%25eth0]/",
        "http://0177.0.0.1/",
        "http://１２７.0.0.1/",
    ],
)
def test_only_web_addresses(url: str, target: Path) -> None:
    with pytest.raises(InvalidInputError):
        check_url(url, CLOSED)
    assert refused(url, target, CLOSED).reason == "internal"


def test_credentials_are_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidInputError, match="user name or password") as caught:
        check_url("https://kim:hunter2@example.com/a?key=s3cret", CLOSED)
    assert "hunter2" not in caught.value.message
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize(
    "url", ["https://example.com/a", "http://1.1.1.1/", "http://[2606:4700::1111]/", "https://예시.한국/가"]
)
def test_public_addresses_pass(url: str) -> None:
    assert check_url(url, CLOSED).scheme in ("http", "https")


@pytest.mark.parametrize(
    ("allowed", "is_allowed"),
    [("127.0.0.1", True), ("127.0.0.1:8080", True), ("127.0.0.1:80", False), ("127.0.0", False), ("localhost", False)],
)
def test_private_hosts_are_allowed_by_name_and_port(allowed: str, is_allowed: bool) -> None:
    settings = FetchSettings(private_hosts=(allowed,))
    if is_allowed:
        check_url("http://127.0.0.1:8080/", settings)
    else:
        with pytest.raises(InvalidInputError):
            check_url("http://127.0.0.1:8080/", settings)


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest",
        "http://127.0.0.1:1/",
        "//localhost/",
        "file:///etc/passwd",
        "http://a:b@example.com/",
    ],
)
def test_a_redirect_leads_nowhere_else(site: Site, settings: FetchSettings, target: Path, location: str) -> None:
    error = refused(site.page("/out", status=302, Location=location), target, settings)
    assert f"{site.url}/out: " in error.message
    assert len(site.seen) == 1


def answering(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Have the resolver give these addresses, one answer a call; what it was asked for."""
    asked: list[str] = []
    left = iter(answers)
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *_: int, flags: int = 0, **__: int) -> list[Any]:
        if host[0].isdigit() or ":" in host:
            return real(host, port, type=socket.SOCK_STREAM)
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "no literal")
        asked.append(host)
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in next(left)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch, target: Path) -> None:
    asked = answering(monkeypatch, ["93.184.216.34", "127.0.0.1"])
    assert "not at a public address" in refused("http://mixed.example/", target, CLOSED).message
    assert asked == ["mixed.example"]


def test_a_name_that_changes_its_address_gains_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, target: Path
) -> None:
    """The first answer, the only one asked for, is both what is checked and what is connected to."""
    url = f"http://rebinding.example:{site.port}/"
    site.page("/", b"internal")
    reached: list[str] = []

    def connect(self: Any, host: str, port: int, *args: Any, **options: Any) -> Any:
        reached.append(host)
        raise httpcore.ConnectError("unreachable from here")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    monkeypatch.setattr("llmflow.ingestion.fetch._PAUSES_S", ())
    asked = answering(monkeypatch, ["93.184.216.34", "2606:4700::1111"], ["127.0.0.1"], ["127.0.0.1"])
    refused(url, target, CLOSED)
    assert (asked, reached, site.seen) == (["rebinding.example"], ["93.184.216.34", "2606:4700::1111"], [])
    assert "not at a public address" in refused(url, target, CLOSED).message
    assert len(reached) == 2


def test_proxies_of_the_environment_are_not_used(
    site: Site, settings: FetchSettings, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetch(site.page("/a", b"x"), target, settings, 1).name == "a"


def test_certificates_are_those_of_the_name(
    site: Site, monkeypatch: pytest.MonkeyPatch, target: Path, tmp_path: Path
) -> None:
    """The connection goes to an address, the certificate and SNI are the name's."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "docs.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("docs.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "site.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    told: list[str] = []
    context.sni_callback = lambda _socket, server_name, _context: told.append(server_name)
    site.server.socket = context.wrap_socket(site.server.socket, server_side=True)
    site.page("/a", b"x")
    monkeypatch.setattr(guarding, "_certificates", lambda: ssl.create_default_context(cafile=str(pem)))
    monkeypatch.setattr("llmflow.ingestion.fetch._PAUSES_S", ())
    settings = FetchSettings(private_hosts=("docs.example", "other.example"), timeout_s=5)
    answering(monkeypatch, ["127.0.0.1"], ["127.0.0.1"])
    assert fetch(f"https://docs.example:{site.port}/a", target, settings, 1).name == "a"
    assert told == ["docs.example"]
    assert "certificate" in refused(f"https://other.example:{site.port}/a", target, settings).message.lower()


# -- changes and calls -------------------------------------------------------------------------


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


def test_every_special_network_is_refused() -> None:
    for network in ("192.0.2.0/24", "198.18.0.0/15", "203.0.113.0/24", "240.0.0.0/4", "2001:db8::/32", "100::/64"):
        address = ipaddress.ip_network(network)[1]
        host = f"[{address}]" if address.version == 6 else str(address)
        with pytest.raises(InvalidInputError):
            check_url(f"http://{host}/", CLOSED)
