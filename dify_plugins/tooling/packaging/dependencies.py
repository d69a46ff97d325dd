"""Which wheels a plugin needs, out of those there are."""

from __future__ import annotations

from collections.abc import Mapping

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dify_plugins.tooling.packaging.errors import PackagingError
from dify_plugins.tooling.packaging.platforms import Platform
from dify_plugins.tooling.packaging.wheels import Wheel


def closure(requirements: list[Requirement], wheels: Mapping[str, Wheel], platform: Platform) -> set[str]:
    """The normalised names of all that ``requirements`` lead to on ``platform``.

    Raises:
        PackagingError: when ``wheels`` lacks one, or has it in a version that is not wanted.
    """
    seen: set[tuple[str, str]] = set()
    ahead = [(requirement, "") for requirement in requirements]
    while ahead:
        requirement, extra = ahead.pop()
        if requirement.marker and not requirement.marker.evaluate({**platform.markers, "extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        wheel = wheels.get(name)
        if wheel is None or not requirement.specifier.contains(wheel.version, prereleases=True):
            raise PackagingError(
                f"{requirement} is wanted for {platform.name}, the pinned list has "
                f"{wheel.version if wheel else 'none'}; write the list again with `python -m dify_plugins.tooling pin`"
            )
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                ahead += [(inner, wanted) for inner in wheel.requires]
    return {name for name, _ in seen}
