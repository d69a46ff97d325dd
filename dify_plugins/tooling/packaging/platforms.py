"""The machines that offline packages are made for: Linux with Python 3.12, as in the image of Dify's daemon."""

from __future__ import annotations

from dataclasses import dataclass

_OLDEST_GLIBC, _NEWEST_GLIBC = 5, 28
"""Second number of the glibc versions whose wheels are taken. 2.28 is that of Debian 10."""


@dataclass(frozen=True, slots=True)
class Platform:
    """One kind of machine.

    Attributes:
        name: as Dify calls it.
        machine: as Python and wheels call it.
    """

    name: str
    machine: str

    @property
    def pip_options(self) -> list[str]:
        """What makes pip choose wheels for this machine instead of the one it runs on."""
        tags = ["manylinux2014", *(f"manylinux_2_{minor}" for minor in range(_OLDEST_GLIBC, _NEWEST_GLIBC + 1))]
        platforms = [option for tag in tags for option in ("--platform", f"{tag}_{self.machine}")]
        return [*platforms, "--python-version", "3.12", "--implementation", "cp", "--only-binary", ":all:"]

    @property
    def markers(self) -> dict[str, str]:
        """The environment that the markers of requirements ask about."""
        return {
            "implementation_name": "cpython",
            "implementation_version": "3.12.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": "3.12.0",
            "python_version": "3.12",
            "sys_platform": "linux",
        }


PLATFORMS = (Platform("amd64", "x86_64"), Platform("arm64", "aarch64"))
