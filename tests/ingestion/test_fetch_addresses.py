"""Addresses that must never be called, and names that lead to them."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fetching import CLOSED, Site, refused

from llmflow.errors import InvalidInputError
from llmflow.ingestion import guarding
from llmflow.ingestion.fetch import fetch
from llmflow.ingestion.guarding import check_url
from llmflow.settings import FetchSettings

pytestmark = pytest.mark.usefixtures("no_pauses")


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


def test_every_special_network_is_refused() -> None:
    for network in ("192.0.2.0/24", "198.18.0.0/15", "203.0.113.0/24", "240.0.0.0/4", "2001:db8::/32", "100::/64"):
        address = ipaddress.ip_network(network)[1]
        host = f"[{address}]" if address.version == 6 else str(address)
        with pytest.raises(InvalidInputError):
            check_url(f"http://{host}/", CLOSED)
