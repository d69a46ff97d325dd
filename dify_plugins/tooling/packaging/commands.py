"""``pack``, ``sign``, ``verify``, ``keygen``, ``bundle``, ``pin`` and ``build``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from dify_plugins.tooling.packaging import bundle as bundles
from dify_plugins.tooling.packaging import keys
from dify_plugins.tooling.packaging import package as packages
from dify_plugins.tooling.packaging.build import BUNDLE, SUMS, write
from dify_plugins.tooling.packaging.build import build as build_all
from dify_plugins.tooling.packaging.errors import PackagingError
from dify_plugins.tooling.packaging.offline import WheelSource, pack_offline
from dify_plugins.tooling.packaging.package import Package
from dify_plugins.tooling.packaging.packing import pack as pack_plugin
from dify_plugins.tooling.packaging.pins import read_pins, write_pins
from dify_plugins.tooling.packaging.resolving import resolve
from dify_plugins.tooling.packaging.signature import sign as sign_package
from dify_plugins.tooling.packaging.signature import verify as verify_package

_PLUGINS = Path(__file__).resolve().parents[2]
_PINS = _PLUGINS.parent / "requirements" / "dify-wheels.txt"
_WHEELS = _PLUGINS.parent / "build" / "wheels"

Out = Annotated[Path, typer.Option(help="Folder to write to.")]
PackageFile = Annotated[Path, typer.Argument(help="A .difypkg file.", exists=True, dir_okay=False)]
Folder = Annotated[Path, typer.Argument(help="The folder of a plugin.", exists=True, file_okay=False)]

app = typer.Typer()


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except (PackagingError, OSError) as error:
        said = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
        typer.echo(f"error: {said}", err=True)
        raise typer.Exit(1) from None


def _wheels() -> WheelSource:
    return WheelSource(read_pins(_PINS), _WHEELS)


def _write(path: Path, data: bytes, said: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    _say(path, data, said)


def _say(path: Path, data: bytes, said: str) -> None:
    typer.echo(f"{path} ({len(data):,} bytes): {said}")


@app.command()
def pack(
    plugin: Folder,
    out: Out = Path("dist"),
    offline: Annotated[
        bool,
        typer.Option("--offline", help="With wheels for Linux on amd64 and arm64: no network is needed."),
    ] = False,
) -> None:
    """Check a plugin and make its package."""
    with _reported():
        made = pack_offline(plugin, _wheels()) if offline else pack_plugin(plugin)
        _write(out / f"{made.name}{'-offline' if offline else ''}{packages.SUFFIX}", made.data, made.identity)


@app.command()
def keygen(
    name: Annotated[str, typer.Argument(help="Beginning of both file names, e.g. keys/llmflow.")],
) -> None:
    """Make a pair of keys: NAME.private.pem to sign with, NAME.public.pem for the administrator of Dify."""
    private, public = Path(f"{name}.private.pem"), Path(f"{name}.public.pem")
    with _reported():
        keys.generate(private, public)
    typer.echo(f"{private}: keep it secret\n{public}: give it to the administrator of Dify")


@app.command()
def sign(
    package: PackageFile,
    key: Annotated[Path, typer.Option(help="The private key, as keygen makes it.")],
) -> None:
    """Sign a package, as Dify checks it and over the names of its files; the signed one is written beside it."""
    with _reported():
        signed = sign_package(Package(package.read_bytes()), keys.load_private(key))
        _write(package.with_name(f"{package.stem}.signed{packages.SUFFIX}"), signed.data, signed.identity)


@app.command()
def verify(
    package: PackageFile,
    key: Annotated[Path, typer.Option(help="The public key, as keygen makes it.")],
) -> None:
    """Check that a package is what the owner of a key signed: contents and names of its files.

    Dify's own signature covers the contents alone; `sign` adds one over the names, which Dify passes over.
    """
    with _reported():
        read = Package(package.read_bytes())
        verify_package(read, keys.load_public(key))
        typer.echo(f"{package}: signed with {key}, contents and names of its files: {read.identity}")


@app.command()
def bundle(
    package: Annotated[list[Path], typer.Argument(help="The .difypkg files in it.", exists=True, dir_okay=False)],
    folder: Annotated[Path, typer.Option(help="Folder with the bundle's manifest.yaml.")] = _PLUGINS / BUNDLE,
    out: Out = Path("dist"),
) -> None:
    """Make one file of several packages, which Dify installs at once."""
    with _reported():
        made = bundles.bundle(folder, [Package(path.read_bytes()) for path in package])
        _write(out / f"{made.name}{bundles.SUFFIX}", made.data, f"{len(package)} packages")


@app.command()
def pin(
    python: Annotated[str, typer.Option(help="A Python 3.12 with pip.")] = ".venv-dify-py312/bin/python",
) -> None:
    """Choose the newest versions for the offline packages and write requirements/dify-wheels.txt."""
    with _reported():
        pins = resolve(sorted(_PLUGINS.glob("*/requirements.txt")), python)
        write_pins(_PINS, pins)
        typer.echo(f"{_PINS}: {len(pins)} versions")


@app.command()
def build(
    out: Out = Path("dist"),
    offline: Annotated[bool, typer.Option("--offline", help="The offline packages as well.")] = False,
    key: Annotated[Path | None, typer.Option(help="A private key: sign every package.")] = None,
) -> None:
    """Make the packages of all plugins, and their bundle."""
    with _reported():
        signer = keys.load_private(key) if key else None
        products = build_all(_PLUGINS, wheels=_wheels() if offline else None, key=signer)
        write(products, out)
    for product in products:
        _say(out / product.file, product.data, product.identity)
    typer.echo(f"{out / SUMS}: their SHA-256, for sha256sum --check")
