from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from command_line import run

from llmflow.schema import Scope
from llmflow.settings import TracingSettings
from llmflow.tracing import Tracer


@pytest.fixture(scope="module")
def ids(place: Path) -> dict[str, str]:
    """A trace each of two departments of the settings' tenant, and of another tenant."""
    scopes = {
        "ours": Scope("default", ("shared",)),
        "finance": Scope("default", ("재무",)),
        "theirs": Scope("남의회사", ("shared",)),
    }
    made = {}
    with closing(Tracer(TracingSettings(), place / "data" / "traces.db")) as tracer:
        for name, scope in scopes.items():
            with tracer.acting(scope), tracer.observe(name) as step:
                made[name] = str(step.trace_id)
    return made


def listed(*options: str) -> list[str]:
    return [trace["name"] for trace in run("traces", "--json", *options).json["traces"]]


def test_traces_are_those_of_the_tenant_and_departments(ids: dict[str, str]) -> None:
    assert listed() == ["ours"]
    assert listed("--department", "재무") == ["finance"]
    assert listed("--department", "재무", "--department", "shared") == ["finance", "ours"]
    assert listed("--tenant", "남의회사") == ["theirs"]
    assert listed("--tenant", "남의회사", "--department", "재무") == []


def test_a_trace_is_shown_only_within_them(ids: dict[str, str]) -> None:
    assert run("traces", ids["theirs"][:12], "--tenant", "남의회사").out.startswith(f"trace {ids['theirs']}")
    for foreign in (ids["theirs"], ids["finance"]):
        ran = run("traces", foreign)
        assert ran.code == 1
        assert ran.out == ""
        assert ran.err.startswith(f"error: no trace with the id '{foreign}'")
