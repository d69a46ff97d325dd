"""What every command that works on documents starts with: settings, scope and runtime."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from llmflow.runtime import Runtime
    from llmflow.schema import Scope
    from llmflow.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Write JSON to standard output, and nothing else there.")]
Tenant = Annotated[str | None, typer.Option(help="Tenant to act for.", show_default="setting tenant")]
Department = Annotated[
    str | None, typer.Option(help="Department the documents belong to.", show_default="setting department")
]
Departments = Annotated[
    list[str] | None,
    typer.Option("--department", help="Department to read; can be repeated.", show_default="setting department"),
]
Explain = Annotated[bool, typer.Option("--explain", help="Show rank and score of every hit in every stage, and times.")]
TopK = Annotated[int | None, typer.Option(help="Hits at most.", show_default="setting retrieval.top_k")]


class Session:
    """Settings and scope of one command.

    Raises:
        ConfigurationError: a setting is unknown or malformed.
    """

    def __init__(self, tenant: str | None = None, departments: Sequence[str | None] | None = None) -> None:
        self._tenant = tenant
        self._departments = tuple(name for name in departments or () if name)

    @cached_property
    def settings(self) -> Settings:
        """From file and environment."""
        from llmflow.settings import load_settings

        return load_settings()

    @cached_property
    def scope(self) -> Scope:
        """What the command may touch; the settings fill in what the options leave open."""
        from llmflow.schema import Scope

        return Scope(self._tenant or self.settings.tenant, self._departments or (self.settings.department,))

    def runtime(self) -> Runtime:
        """A runtime of the settings, to be used as a context manager.

        Where a server holds the stores, one that goes through it, and a notice that says so.
        """
        from llmflow.cli.output import notices
        from llmflow.cli.remote import RemoteRuntime
        from llmflow.runtime import Runtime
        from llmflow.stores.ownership import owner_of

        owner = owner_of(self.settings.data_dir)
        if owner is None or owner.url is None:
            return Runtime(self.settings)
        notices().print(f"the stores are held by the server at {owner.url} (process {owner.pid}); going through it")
        return RemoteRuntime(self.settings, owner.url, self.scope)


def load(runtime: Runtime) -> None:
    """Load what a question needs, so that the times of its stages are their own; a server has done so."""
    if not runtime.owner:
        return
    from llmflow.korean import tagger

    tagger()
    runtime.masker.mask("연차휴가")
    assert runtime.retriever
