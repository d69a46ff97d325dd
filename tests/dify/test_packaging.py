"""Packages are the same bytes each time, hold what Dify's packer takes, and nothing that leads astray."""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from pathlib import Path

import pytest
import small_plugin
from typer.testing import CliRunner

from dify_plugins.tooling.__main__ import app
from dify_plugins.tooling.packaging.archive import Archive
from dify_plugins.tooling.packaging.errors import PackagingError
from dify_plugins.tooling.packaging.package import MAX_BYTES, Package
from dify_plugins.tooling.packaging.packing import pack

IDENTITY = "llmflow/small:0.1.0@26f5589a9734f4d0f3bc0d3e94df2c70f113a61fadd1e2638d204d92dc270dfa"
"""Of the small plugin, as the packer and the decoder of Dify's daemon reckon it."""
SHA256 = "2f34b6210ccb3a990cbf08c2abbed8d19a0d13ef2f98226e501e3f0017fe6b62"


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    return small_plugin.write(tmp_path / "small")


def test_a_package_is_the_same_bytes_on_every_machine(plugin: Path) -> None:
    for path in plugin.rglob("*"):
        path.chmod(0o700)
        os.utime(path, (0, 1_000_000_000))
    assert hashlib.sha256(pack(plugin).data).hexdigest() == SHA256


def test_its_identity_is_the_one_that_dify_reckons(plugin: Path) -> None:
    assert pack(plugin).identity == IDENTITY


def test_it_holds_the_files_but_for_those_that_are_ignored(plugin: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(pack(plugin).data)) as zipped:
        held = {info.filename: zipped.read(info).decode() for info in zipped.infolist()}
    assert held == small_plugin.FILES
    assert list(held) == sorted(held)


def test_the_command_writes_it_and_prints_its_identity(plugin: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["pack", str(plugin), "--out", str(tmp_path / "new" / "dist")])
    assert (done.exit_code, IDENTITY in done.stdout) == (0, True)
    assert hashlib.sha256((tmp_path / "new" / "dist" / "small-0.1.0.difypkg").read_bytes()).hexdigest() == SHA256


def test_a_plugin_with_a_problem_is_not_packed(plugin: Path, tmp_path: Path) -> None:
    manifest = plugin / "manifest.yaml"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("privacy:", "privacies:"), encoding="utf-8")
    done = CliRunner().invoke(app, ["pack", str(plugin), "--out", str(tmp_path / "dist")])
    assert done.exit_code == 1
    assert re.search(r"small/manifest\.yaml:\d+:1: unknown key privacies", done.stderr)
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize("target", ["PRIVACY.md", "/etc/hostname"])
def test_links_are_refused(plugin: Path, target: str) -> None:
    (plugin / "link.md").symlink_to(target)
    with pytest.raises(PackagingError, match=r"link\.md is a link"):
        pack(plugin)


@pytest.mark.parametrize("name", ["requirements.txt", ".difyignore", "manifest.yaml"])
def test_texts_that_are_not_utf_8_are_refused(plugin: Path, name: str) -> None:
    (plugin / name).write_bytes("한국어\n".encode("cp949"))
    with pytest.raises(PackagingError, match=re.escape(name)):
        pack(plugin)


def test_secrets_are_refused(plugin: Path) -> None:
    (plugin / "signing.private.pem").write_text("secret")
    with pytest.raises(PackagingError, match=r"signing\.private\.pem may hold secrets"):
        pack(plugin)


@pytest.mark.parametrize(
    "path", ["../evil", "a/../../evil", "/etc/evil", "a//b", "./a", "a\\b", "C:/a", "a/", "a\nb", ""]
)
def test_paths_that_lead_out_of_the_folder_are_refused(path: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr(zipfile.ZipInfo(path), b"x")
    with pytest.raises(PackagingError, match="cannot be in a package"):
        Archive.read(buffer.getvalue(), MAX_BYTES)
    with pytest.raises(PackagingError, match="cannot be in a package"):
        Archive({path: b"x"})


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_path_are_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr("main.py", b"good")
        zipped.writestr("main.py", b"bad")
    with pytest.raises(PackagingError, match="two files of one path"):
        Archive.read(buffer.getvalue(), MAX_BYTES)


def test_a_package_over_the_limit_names_its_largest_files(plugin: Path) -> None:
    files = {**pack(plugin).archive.files, "wheels/large.whl": bytes(MAX_BYTES), "wheels/next.whl": bytes(1000)}
    with pytest.raises(
        PackagingError, match=r"Dify takes 52,428,800; .*wheels/large\.whl \(52,428,800 bytes\), wheels/next\.whl"
    ):
        Package.of(files)


def test_what_unpacks_to_more_than_the_limit_is_not_read() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("zeros.bin", bytes(MAX_BYTES + 1))
    assert len(buffer.getvalue()) < 100_000
    with pytest.raises(PackagingError, match=r"zeros\.bin \(52,428,801 bytes\)"):
        Archive.read(buffer.getvalue(), MAX_BYTES)


def test_a_damaged_archive_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("a", b"a" * 1000)
    data = bytearray(buffer.getvalue())
    data[31] = 0xFF
    with pytest.raises(PackagingError, match="no archive that can be read"):
        Archive.read(bytes(data), MAX_BYTES)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 not a zip", b"x" * 1000])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    with pytest.raises(PackagingError, match="no archive that can be read"):
        Archive.read(data, MAX_BYTES)
