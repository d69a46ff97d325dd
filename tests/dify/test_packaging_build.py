"""All that is handed out: packages, signed where there is a key, and the bundle that holds them."""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from pathlib import Path

import pytest
import small_plugin
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from typer.testing import CliRunner

from dify_plugins.tooling.__main__ import app
from dify_plugins.tooling.packaging.build import SUMS, Product, build, write
from dify_plugins.tooling.packaging.errors import PackagingError
from dify_plugins.tooling.packaging.package import Package
from dify_plugins.tooling.packaging.signature import verify

BUNDLE = Path(__file__).parents[2] / "dify_plugins" / "bundle"


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """Two plugins and the bundle of the repository."""
    folder = tmp_path / "plugins"
    small_plugin.write(folder / "one")
    other = small_plugin.write(folder / "two") / "manifest.yaml"
    other.write_text(other.read_text(encoding="utf-8").replace("name: small", "name: other"), encoding="utf-8")
    shutil.copytree(BUNDLE, folder / "bundle")
    return folder


def bundled(products: list[Product]) -> tuple[dict[str, object], list[Package]]:
    """The manifest of the bundle and its packages, found as Dify finds them."""
    with zipfile.ZipFile(io.BytesIO(products[-1].data)) as zipped:
        manifest = yaml.safe_load(zipped.read("manifest.yaml"))
        assert zipped.read(f"_assets/{manifest['icon']}") == (BUNDLE / "_assets" / "icon.svg").read_bytes()
        assert {"README.md", "README_ko_KR.md"} <= set(zipped.namelist())
        paths = [dependency["value"]["path"] for dependency in manifest.pop("dependencies")]
        return manifest, [Package(zipped.read(f"_assets/{path}")) for path in paths]


def test_packages_and_bundle_are_the_same_bytes_each_time(plugins: Path, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    for _ in range(2):
        products = build(plugins, wheels=None, key=None)
        write(products, out)
    again = build(plugins, wheels=None, key=None)
    assert [product.file for product in products] == [
        "small-0.1.0.difypkg",
        "other-0.1.0.difypkg",
        "llmflow_bundle-0.1.0.difybndl",
    ]
    assert again == products
    sums = dict(reversed(line.split("  ")) for line in (out / SUMS).read_text().splitlines())
    assert sums == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir() if path.name != SUMS
    }


def test_the_bundle_holds_the_packages_by_their_checksums(plugins: Path) -> None:
    products = build(plugins, wheels=None, key=None)
    manifest, packages = bundled(products)
    assert manifest == yaml.safe_load((BUNDLE / "manifest.yaml").read_bytes())
    assert [package.identity for package in packages] == [product.identity for product in products[:2]]


def test_with_a_key_every_package_is_signed(plugins: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    products = build(plugins, wheels=None, key=key)
    for data in [*(product.data for product in products[:2]), *(package.data for package in bundled(products)[1])]:
        verify(Package(data), key.public_key())


def test_a_bundle_is_made_of_given_packages(plugins: Path, tmp_path: Path) -> None:
    products = build(plugins, wheels=None, key=None)
    write(products[:2], tmp_path)
    packages = [str(tmp_path / product.file) for product in products[:2]]
    done = CliRunner().invoke(app, ["bundle", *packages, "--out", str(tmp_path / "dist")])
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "dist" / products[2].file).read_bytes() == products[2].data


def test_a_bundle_with_a_problem_names_the_place(plugins: Path) -> None:
    manifest = plugins / "bundle" / "manifest.yaml"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("labels:", "label:"), encoding="utf-8")
    with pytest.raises(PackagingError, match=r"bundle/manifest\.yaml:2:1: unknown key label"):
        build(plugins, wheels=None, key=None)


def test_a_bundle_without_its_icon_is_refused(plugins: Path) -> None:
    (plugins / "bundle" / "_assets" / "icon.svg").unlink()
    with pytest.raises(PackagingError, match=r"icon\.svg is missing"):
        build(plugins, wheels=None, key=None)


def test_a_bundle_holds_a_plugin_once(plugins: Path, tmp_path: Path) -> None:
    write(build(plugins, wheels=None, key=None), tmp_path)
    package = str(tmp_path / "small-0.1.0.difypkg")
    done = CliRunner().invoke(app, ["bundle", package, package, "--out", str(tmp_path / "dist")])
    assert (done.exit_code, "would hold llmflow/small twice" in done.stderr) == (1, True)


def test_a_folder_that_cannot_be_written_is_named(plugins: Path, tmp_path: Path) -> None:
    (tmp_path / "dist").write_text("a file")
    done = CliRunner().invoke(app, ["pack", str(plugins / "one"), "--out", str(tmp_path / "dist")])
    assert (done.exit_code, done.stderr) == (1, f"error: {tmp_path / 'dist'}: File exists\n")


def test_a_folder_without_plugins_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match=r"has no folder with a manifest\.yaml"):
        build(tmp_path, wheels=None, key=None)
