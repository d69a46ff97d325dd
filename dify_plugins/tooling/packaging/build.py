"""Everything that is handed out, in one go."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from dify_plugins.tooling.packaging import bundle as bundles
from dify_plugins.tooling.packaging import package as packages
from dify_plugins.tooling.packaging.errors import PackagingError
from dify_plugins.tooling.packaging.offline import WheelSource, pack_offline
from dify_plugins.tooling.packaging.package import Package
from dify_plugins.tooling.packaging.packing import pack
from dify_plugins.tooling.packaging.signature import sign
from dify_plugins.tooling.validation import plugin_folders

BUNDLE = "bundle"
"""The folder beside the plugins that describes their bundle."""
SUMS = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class Product:
    """A file to hand out.

    Attributes:
        identity: of a package, as Dify reckons it; of a bundle, how many packages it has.
    """

    file: str
    data: bytes
    identity: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def build(plugins: Path, *, wheels: WheelSource | None, key: RSAPrivateKey | None) -> list[Product]:
    """The packages of all plugins below ``plugins``, their offline packages, and their bundle.

    Args:
        wheels: what offline packages are made from; without it there are none.
        key: signs every package.

    Raises:
        PackagingError: when one of them cannot be made.
    """
    folders = list(plugin_folders(plugins))
    if not folders:
        raise PackagingError(f"{plugins} has no folder with a manifest.yaml; name the folder that the plugins are in")
    made = [_signed(pack(folder), key) for folder in folders]
    products = [_product(package) for package in made]
    if wheels:
        alone = [_signed(pack_offline(folder, wheels), key) for folder in folders]
        products += [_product(package, "-offline") for package in alone]
    found = bundles.bundle(plugins / BUNDLE, made)
    return [*products, Product(found.name + bundles.SUFFIX, found.data, f"{len(made)} packages")]


def write(products: list[Product], out: Path) -> None:
    """Write the products and ``SHA256SUMS``, which ``sha256sum --check`` reads."""
    out.mkdir(parents=True, exist_ok=True)
    for product in products:
        (out / product.file).write_bytes(product.data)
    sums = sorted((product.file, product.sha256) for product in products)
    (out / SUMS).write_text("".join(f"{digest}  {file}\n" for file, digest in sums), encoding="utf-8")


def _signed(package: Package, key: RSAPrivateKey | None) -> Package:
    return sign(package, key) if key else package


def _product(package: Package, kind: str = "") -> Product:
    return Product(package.name + kind + packages.SUFFIX, package.data, package.identity)
