"""An offline package installs from its own wheels, on both kinds of machines, and from nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import small_plugin

from dify_plugins.tooling.packaging.errors import PackagingError
from dify_plugins.tooling.packaging.offline import WheelSource, pack_offline
from dify_plugins.tooling.packaging.pins import Pin, Pins, read_pins, write_pins
from dify_plugins.tooling.packaging.platforms import PLATFORMS
from dify_plugins.tooling.packaging.resolving import resolve

X86, ARM = "py3-none-manylinux_2_17_x86_64", "py3-none-manylinux_2_17_aarch64"
WHEELS = [
    ("dify_plugin", "0.10.2", "py3-none-any", ["tiny[fast]>=1"]),
    ("dify_plugin", "0.11.0", "py3-none-any", []),
    ("tiny", "1.0", "py3-none-any", ['native ; extra == "fast"', 'windows_only ; sys_platform == "win32"']),
    ("native", "2.0", X86, []),
    ("native", "2.0", ARM, []),
    ("native", "3.0", "py3-none-win_amd64", []),
]
PINNED = [
    ("dify-plugin", "0.10.2", ["dify_plugin-0.10.2-py3-none-any.whl"]),
    ("native", "2.0", [f"native-2.0-{X86}.whl", f"native-2.0-{ARM}.whl"]),
    ("tiny", "1.0", ["tiny-1.0-py3-none-any.whl"]),
]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of small wheels, the only place where pip looks."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name, version, tag, requires in WHEELS:
        with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as zipped:
            info = f"{name}-{version}.dist-info"
            lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", "Provides-Extra: fast"]
            lines += [f"Requires-Dist: {line}" for line in requires]
            zipped.writestr(f"{name}.py", f"WHERE = {tag!r}\n")
            zipped.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
            zipped.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
            zipped.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    return small_plugin.write(tmp_path / "small")


@pytest.fixture
def pins(index: Path) -> Pins:
    return {
        name: Pin(name, version, frozenset(hashlib.sha256((index / file).read_bytes()).hexdigest() for file in files))
        for name, version, files in PINNED
    }


@pytest.fixture
def source(pins: Pins, index: Path, tmp_path: Path) -> WheelSource:
    """With a full cache."""
    for platform in PLATFORMS:
        held = tmp_path / "cache" / platform.name
        held.mkdir(parents=True)
        for wheel in [file for _, _, files in PINNED for file in files]:
            if wheel.endswith(("any.whl", f"{platform.machine}.whl")):
                shutil.copy(index / wheel, held)
    return WheelSource(pins, tmp_path / "cache")


def test_pins_are_the_newest_versions_that_both_machines_have(plugin: Path, pins: Pins, tmp_path: Path) -> None:
    write_pins(tmp_path / "pins.txt", resolve([plugin / "requirements.txt"], sys.executable))
    assert read_pins(tmp_path / "pins.txt") == pins


def test_the_package_holds_the_wheels_and_installs_from_them_alone(
    plugin: Path, source: WheelSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = pack_offline(plugin, source)
    held = {path for path in package.archive.files if path.startswith("wheels/")}
    assert held == {
        "wheels/dify_plugin-0.10.2-py3-none-any.whl",
        f"wheels/native-2.0-{X86}.whl",
        f"wheels/native-2.0-{ARM}.whl",
        "wheels/tiny-1.0-py3-none-any.whl",
    }
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    unpacked, installed = tmp_path / "unpacked", tmp_path / "installed"
    for path, content in package.archive.files.items():
        (unpacked / path).parent.mkdir(parents=True, exist_ok=True)
        (unpacked / path).write_bytes(content)
    command = [sys.executable, "-m", "pip", "install", "--target", str(installed), "-r", "requirements.txt"]
    done = subprocess.run(command, cwd=unpacked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in installed.glob("*.py")} == {"dify_plugin.py", "native.py", "tiny.py"}


def test_wheels_are_fetched_once(plugin: Path, pins: Pins, index: Path, tmp_path: Path) -> None:
    source = WheelSource(pins, tmp_path / "empty")
    first = pack_offline(plugin, source)
    for wheel in index.glob("*.whl"):
        wheel.unlink()
    assert pack_offline(plugin, source).data == first.data


def test_a_wheel_changed_since_it_was_pinned_is_refused(
    plugin: Path, source: WheelSource, index: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache" / "arm64" / f"native-2.0-{ARM}.whl").write_bytes(b"changed in the cache")
    with (index / f"native-2.0-{ARM}.whl").open("ab") as file:
        file.write(b"more")
    with pytest.raises(PackagingError, match=r"(?s)no complete set of wheels for arm64.*HASHES"):
        pack_offline(plugin, source)


def test_a_machine_without_a_wheel_is_named(plugin: Path, index: Path) -> None:
    (index / f"native-2.0-{ARM}.whl").unlink()
    with pytest.raises(PackagingError, match=r"(?s)no complete set of wheels for arm64.*native"):
        resolve([plugin / "requirements.txt"], sys.executable)


def test_a_requirement_that_is_not_pinned_is_named(plugin: Path, source: WheelSource) -> None:
    with (plugin / "requirements.txt").open("a") as file:
        file.write("httpx>=0.28,<1\n")
    with pytest.raises(PackagingError, match=r"httpx<1,>=0\.28 is wanted for amd64, the pinned list has none"):
        pack_offline(plugin, source)


def test_a_requirement_that_the_pinned_version_does_not_meet_is_named(plugin: Path, source: WheelSource) -> None:
    with (plugin / "requirements.txt").open("a") as file:
        file.write("tiny>=1.5\n")
    with pytest.raises(PackagingError, match=r"tiny>=1\.5 is wanted for amd64, the pinned list has 1\.0"):
        pack_offline(plugin, source)


def test_a_project_file_that_would_pass_the_wheels_by_is_refused(plugin: Path, source: WheelSource) -> None:
    (plugin / "pyproject.toml").write_text('[project]\nname = "small"\nversion = "0.1.0"\n')
    with pytest.raises(PackagingError, match=r"install by pyproject\.toml"):
        pack_offline(plugin, source)


def test_a_line_that_is_no_pin_is_named(tmp_path: Path) -> None:
    (tmp_path / "pins.txt").write_text("httpx>=0.28\n")
    with pytest.raises(PackagingError, match=r"'httpx>=0\.28' is no pin"):
        read_pins(tmp_path / "pins.txt")
