"""A signature is the one Dify checks, and no byte or name of a signed package can be changed."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import stat
import zipfile
from pathlib import Path

import pytest
import small_plugin
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from typer.testing import CliRunner

from dify_plugins.tooling.__main__ import app
from dify_plugins.tooling.packaging.archive import Archive
from dify_plugins.tooling.packaging.errors import PackagingError
from dify_plugins.tooling.packaging.keys import load_private, load_public
from dify_plugins.tooling.packaging.package import MAX_BYTES, Package
from dify_plugins.tooling.packaging.packing import pack
from dify_plugins.tooling.packaging.signature import sign, verify

KEY = rsa.generate_private_key(65537, 2048)
CREATED = 1795219200
"""2026-11-21T00:00:00Z, the created_at of the small plugin."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return pack(small_plugin.write(tmp_path_factory.mktemp("small")))


@pytest.fixture(scope="module")
def signed(package: Package) -> Package:
    return sign(package, KEY)


def test_the_signature_is_over_what_dify_hashes(signed: Package) -> None:
    with zipfile.ZipFile(io.BytesIO(signed.data)) as zipped:
        comment = json.loads(zipped.comment)
        hashes = [hashlib.sha256(zipped.read(info)).digest() for info in zipped.infolist()]
        category = json.loads(zipped.read(".verification.dify.json"))
    assert (comment["time"], category) == (CREATED, {"authorized_category": "community"})
    message = b"".join(hashes) + str(CREATED).encode()
    KEY.public_key().verify(base64.b64decode(comment["signature"]), message, PKCS1v15(), SHA256())


def test_signing_again_gives_the_same_bytes(package: Package, signed: Package) -> None:
    assert sign(package, KEY).data == sign(signed, KEY).data == signed.data


def test_what_was_signed_is_verified(signed: Package) -> None:
    verify(Package(signed.data), KEY.public_key())


def test_no_byte_can_be_changed(signed: Package) -> None:
    accepted = []
    for position in range(0, len(signed.data), 3):
        data = bytearray(signed.data)
        data[position] ^= 1
        try:
            verify(Package(bytes(data)), KEY.public_key())
        except PackagingError:
            continue
        accepted.append(position)
    assert accepted == []


def test_no_file_can_be_changed_added_left_out_or_renamed(signed: Package) -> None:
    files = dict(signed.archive.files)
    source = files.pop("tools/say.py")
    changes = [
        {**files, "tools/say.py": source + b"\n"},
        {**files, "tools/say.py": source, "tools/more.py": b""},
        files,
        {**files, "tools/say.pz": source},
    ]
    for changed in changes:
        with pytest.raises(PackagingError, match="not one by this key over these files"):
            verify(Package.of(changed, signed.archive.comment), KEY.public_key())


def test_another_key_is_refused(signed: Package) -> None:
    with pytest.raises(PackagingError, match="not one by this key"):
        verify(signed, rsa.generate_private_key(65537, 2048).public_key())


def test_an_unsigned_package_is_refused(package: Package) -> None:
    with pytest.raises(PackagingError, match="is not signed"):
        verify(package, KEY.public_key())


def test_a_bundle_is_no_package() -> None:
    bundle = Archive({"manifest.yaml": b"type: bundle\n"})
    with pytest.raises(PackagingError, match=r"manifest\.yaml is not that of a plugin"):
        verify(Package(bundle.to_bytes(MAX_BYTES)), KEY.public_key())


def test_bytes_outside_the_files_are_refused(signed: Package) -> None:
    with pytest.raises(PackagingError, match="bytes that its packer did not write"):
        verify(Package(b"before" + signed.data), KEY.public_key())


def test_a_package_signed_by_the_tools_of_dify_is_said_to_be_so(package: Package) -> None:
    data = signed_as_dify_does(package)
    with pytest.raises(PackagingError, match=r"Dify's own signature only, .* not their names"):
        verify(Package(data), KEY.public_key())
    with pytest.raises(PackagingError, match=r"not one by this key over these files; .* do not trust it"):
        verify(Package(data), rsa.generate_private_key(65537, 2048).public_key())


def test_one_signed_by_the_tools_of_dify_can_be_signed_again(package: Package, signed: Package) -> None:
    assert sign(Package(signed_as_dify_does(package)), KEY).data == signed.data


def signed_as_dify_does(package: Package) -> bytes:
    """Deflated, the file of the category last, and a signature over the contents in this order."""
    files = {**package.archive.files, ".verification.dify.json": b'{"authorized_category":"community"}'}
    hashes = b"".join(hashlib.sha256(content).digest() for content in files.values())
    signature = base64.b64encode(KEY.sign(hashes + b"1763700000", PKCS1v15(), SHA256())).decode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path, content in files.items():
            zipped.writestr(path, content)
        zipped.comment = json.dumps({"signature": signature, "time": 1763700000}, separators=(",", ":")).encode()
    return buffer.getvalue()


def test_keygen_sign_and_verify_as_commands(package: Package, tmp_path: Path) -> None:
    runner, name = CliRunner(), tmp_path / "keys" / "llmflow"
    private, public = Path(f"{name}.private.pem"), Path(f"{name}.public.pem")
    assert runner.invoke(app, ["keygen", str(name)]).exit_code == 0
    assert private.read_text().startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    assert public.read_text().startswith("-----BEGIN RSA PUBLIC KEY-----\n")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    loaded = load_pem_public_key(public.read_bytes())
    assert isinstance(loaded, rsa.RSAPublicKey)
    assert loaded.key_size == 4096

    again = runner.invoke(app, ["keygen", str(name)])
    assert (again.exit_code, "is there already" in again.stderr) == (1, True)

    (tmp_path / "small.difypkg").write_bytes(package.data)
    done = runner.invoke(app, ["sign", str(tmp_path / "small.difypkg"), "--key", str(private)])
    assert done.exit_code == 0
    signed = tmp_path / "small.signed.difypkg"
    done = runner.invoke(app, ["verify", str(signed), "--key", str(public)])
    assert (done.exit_code, Package(signed.read_bytes()).identity in done.stdout) == (0, True)

    unsigned = runner.invoke(app, ["verify", str(tmp_path / "small.difypkg"), "--key", str(public)])
    assert (unsigned.exit_code, unsigned.stderr.startswith("error: the package is not signed")) == (1, True)


def test_keys_in_a_form_that_dify_does_not_read_are_refused(tmp_path: Path) -> None:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(PackagingError, match="does not begin with -----BEGIN RSA PRIVATE KEY-----"):
        load_private(private)
    with pytest.raises(PackagingError, match="does not begin with -----BEGIN RSA PUBLIC KEY-----"):
        load_public(public)
    with pytest.raises(PackagingError, match=r"nowhere\.pem cannot be read: No such file"):
        load_public(tmp_path / "nowhere.pem")
