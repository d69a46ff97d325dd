"""What is told of a completion that is passed through: its trace, with personal data masked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from passing_requests import STREAM, complete
from processes import environment, running
from scripted_endpoint import DONE, Endpoint, Reply, event
from served import serving

from llmflow.pii.masker import Masker
from llmflow.runtime import Runtime
from llmflow.schema import Role
from llmflow.server.app import create_app
from llmflow.settings import Settings


def steps_of(client: httpx.Client) -> dict[str, Any]:
    """The only step of the newest trace."""
    newest = client.get("/v1/traces", params={"limit": 1}).json()["traces"][0]
    (root,) = client.get(f"/v1/traces/{newest['trace_id']}").json()["roots"]
    found: dict[str, Any] = root
    return found


def test_a_completion_is_traced_with_personal_data_masked(passing: httpx.Client, endpoint: Endpoint) -> None:
    complete(passing)
    whole = steps_of(passing)
    assert (whole["name"], whole["kind"], whole["level"]) == ("complete", "generation", "DEFAULT")
    assert whole["input"] == "[PERSON]([PHONE_NUMBER])의 연차는?"
    assert whole["metadata"] == {"model.name": "student", "usage_details": {"input": 11, "output": 5}}
    usage = event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}})
    endpoint.replies["/v1/chat/completions"] = Reply(events=[*STREAM[:-1], usage, DONE])
    complete(passing, stream=True)
    assert steps_of(passing)["metadata"]["usage_details"] == {"input": 9, "output": 2}
    endpoint.replies["/v1/chat/completions"] = Reply(events=STREAM[:1], trouble="cut")
    complete(passing, stream=True)
    assert steps_of(passing)["level"] == "WARNING"
    endpoint.replies["/v1/chat/completions"] = Reply({"error": {"message": "engine is dead"}}, status=500)
    complete(passing)
    assert (steps_of(passing)["level"], "engine is dead" in steps_of(passing)["message"]) == ("ERROR", True)


def test_what_errors_quote_is_masked_in_traces(passing: httpx.Client, endpoint: Endpoint) -> None:
    quoted = {"error": {"message": "bad prompt: 김민준(010-2345-6789)"}}
    for reply in (
        Reply(quoted, status=400),
        Reply(quoted, status=500),
        Reply(b"010-2345-6789", headers={"content-type": "text/html"}),
        Reply(events=[STREAM[0], event(quoted), DONE]),
    ):
        endpoint.replies["/v1/chat/completions"] = reply
        complete(passing, stream=True)
        step = steps_of(passing)
        assert "[PHONE_NUMBER]" in step["message"]
        assert "2345" not in str(step)
        assert step["metadata"]["model.name"] == "student"
    complete(passing, model="김민준(010-2345-6789)")
    assert steps_of(passing)["level"] == "ERROR"
    assert "2345" not in str(steps_of(passing))


def test_without_traces_nothing_is_masked(
    scripted: tuple[Endpoint, str], endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(masker: Masker, text: str) -> None:
        raise AssertionError("nobody keeps it")

    llm = {"base_url": f"{scripted[1]}/v1"}
    settings = Settings.model_validate({"data_dir": tmp_path, "llm": llm, "tracing": {"enabled": False}})
    with Runtime(settings) as runtime, serving(create_app(runtime)) as url:
        monkeypatch.setattr(Masker, "mask", refuse)
        key = runtime.keys.create("acme", ("hr",), Role.READER)[0]
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}) as client:
            assert complete(client).status_code == 200


def test_requests_on_one_connection_have_traces_of_their_own(
    scripted: tuple[Endpoint, str], endpoint: Endpoint, tmp_path: Path
) -> None:
    """A long request, which uvicorn reads in pieces, must not leave its step to the connection's next one."""
    with Runtime(Settings.model_validate({"data_dir": tmp_path / "data"})) as runtime:
        keys = {tenant: runtime.keys.create(tenant, ("hr",), Role.READER)[0] for tenant in ("acme", "beta")}
    env = environment(tmp_path / "data", TRACING__ENABLED="true", LLM__BASE_URL=f"{scripted[1]}/v1")
    with (
        running(env, tmp_path, "serve") as process,
        httpx.Client(base_url=process.url(), timeout=30, limits=httpx.Limits(max_connections=1)) as client,
    ):
        said = {"acme": "x" * 400_000, "beta": "short"}
        for tenant in ("acme", "beta", "acme", "beta"):
            client.headers["Authorization"] = f"Bearer {keys[tenant]}"
            assert complete(client, messages=[{"role": "user", "content": said[tenant]}]).status_code == 200
        ids = []
        for tenant in keys:
            client.headers["Authorization"] = f"Bearer {keys[tenant]}"
            traces = client.get("/v1/traces").json()["traces"]
            assert [trace["observations"] for trace in traces] == [1, 1]
            ids += [trace["trace_id"] for trace in traces]
        assert len(set(ids)) == 4
