"""Signatures as Dify's daemon checks them when ``THIRD_PARTY_SIGNATURE_VERIFICATION_ENABLED`` is set.

The comment of the archive is JSON: ``signature`` is RSA (PKCS#1 v1.5, SHA-256) over the SHA-256 of each
file in the order of the archive and over ``time``, in decimal. That covers what the files hold, not
their names: whoever has such a package can rename them. So `sign` adds ``identity_signature``, over the
identity, in which the names are reckoned. It is ours: Dify passes over it, `verify` wants it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from dify_plugins.tooling.packaging.archive import Archive
from dify_plugins.tooling.packaging.errors import PackagingError
from dify_plugins.tooling.packaging.package import MAX_BYTES, Package

CATEGORY_FILE = ".verification.dify.json"
CATEGORY = b'{"authorized_category":"community"}'
"""Whom Dify shows the package to be from. Without this file it would say Dify's own makers."""


def sign(package: Package, key: RSAPrivateKey) -> Package:
    """The package with a signature; signed at the time its manifest says, so that the bytes repeat themselves."""
    unsigned = Package.of({**package.archive.files, CATEGORY_FILE: CATEGORY})
    time = int(package.created_at.timestamp())
    comment = {
        "identity_signature": _signature(key, unsigned.identity.encode()),
        "signature": _signature(key, _signed_by_dify(unsigned.archive, time)),
        "time": time,
    }
    return Package.of(unsigned.archive.files, _written(comment))


def verify(package: Package, key: RSAPublicKey) -> None:
    """Check that the package is what the owner of the key signed, byte for byte.

    Raises:
        PackagingError: when it is not.
    """
    archive, identity = package.archive, package.identity
    comment = _comment(archive)
    _check(key, comment.get("signature"), _signed_by_dify(archive, comment.get("time")))
    if "identity_signature" not in comment:
        raise PackagingError(
            "the package carries Dify's own signature only, which is one by this key: it covers what the files hold, "
            "not their names, so files may have been renamed since. Dify takes the package; to have the names "
            "covered, get it from its maker signed with `python -m dify_plugins.tooling sign`"
        )
    _check(key, comment["identity_signature"], identity.encode())
    if archive.to_bytes(MAX_BYTES) != package.data:
        raise PackagingError("the archive holds bytes that its packer did not write; do not trust it")


def _signed_by_dify(archive: Archive, time: object) -> bytes:
    return b"".join(hashlib.sha256(content).digest() for content in archive.files.values()) + str(time).encode()


def _signature(key: RSAPrivateKey, data: bytes) -> str:
    return base64.b64encode(key.sign(data, PKCS1v15(), SHA256())).decode()


def _written(comment: Mapping[str, Any]) -> bytes:
    return json.dumps(comment, separators=(",", ":"), sort_keys=True).encode()


def _comment(archive: Archive) -> Mapping[str, Any]:
    if not archive.comment:
        raise PackagingError("the package is not signed; sign it with `python -m dify_plugins.tooling sign`")
    try:
        comment = json.loads(archive.comment)
    except ValueError:
        comment = None
    if not isinstance(comment, dict) or _written(comment) != archive.comment:
        raise PackagingError("the comment of the archive is not one that `sign` writes; do not trust it")
    return comment


def _check(key: RSAPublicKey, signature: object, data: bytes) -> None:
    try:
        decoded = base64.b64decode(str(signature), validate=True)
        key.verify(decoded, data, PKCS1v15(), SHA256())
        if base64.b64encode(decoded).decode() != signature:
            raise InvalidSignature
    except (InvalidSignature, ValueError):
        raise PackagingError(
            "the signature is not one by this key over these files; the package was changed or signed with "
            "another key; do not trust it"
        ) from None
