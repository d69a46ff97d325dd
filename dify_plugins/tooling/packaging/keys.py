"""The RSA keys of signatures, in the one form that Dify reads: PKCS#1, as PEM."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from dify_plugins.tooling.packaging.errors import PackagingError

_BITS = 4096
_EXPONENT = 65537


def generate(private: Path, public: Path) -> None:
    """Write a new pair of keys, into folders made for them; the private one only its owner may read.

    Raises:
        PackagingError: when one of the files is there already.
    """
    for path in (private, public):
        if path.exists():
            raise PackagingError(f"{path} is there already; choose another name, or delete it if nothing relies on it")
        path.parent.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(_EXPONENT, _BITS)
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1),
    )


def load_private(path: Path) -> rsa.RSAPrivateKey:
    """The key to sign with.

    Raises:
        PackagingError: when the file holds none.
    """
    pem = _read(path, b"-----BEGIN RSA PRIVATE KEY-----")
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise PackagingError(f"{path} cannot be read as a key without a password: {error}") from error
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def load_public(path: Path) -> rsa.RSAPublicKey:
    """The key to verify with.

    Raises:
        PackagingError: when the file holds none, or not in the form that Dify reads.
    """
    pem = _read(path, b"-----BEGIN RSA PUBLIC KEY-----")
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError as error:
        raise PackagingError(f"{path} cannot be read as a public key: {error}") from error
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def _read(path: Path, first_line: bytes) -> bytes:
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise PackagingError(f"the key {path} cannot be read: {error.strerror}") from error
    if not pem.startswith(first_line):
        raise PackagingError(
            f"{path} does not begin with {first_line.decode()}, the one form that Dify reads; "
            "`python -m dify_plugins.tooling keygen` makes a pair of keys"
        )
    return pem
