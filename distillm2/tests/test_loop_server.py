"""Serving an epoch's student: a command that is started and stopped, and a server that loads adapters."""

from __future__ import annotations

import contextlib
import http.server
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from distillm2.errors import DistillationError
from distillm2.experiments.loop_server import CommandServer, HotLoading, Student

SERVER = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"data": [{"id": sys.argv[2]}]}).encode()
        self.send_response(200); self.end_headers(); self.wfile.write(body)
print("arguments", sys.argv[1:], flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
TUNED = Student("run-epoch-2", "/models/base", ("/adapters/one",))
PLAIN = Student("run-epoch-1", "/models/base", ())


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "server.py"
    path.write_text(SERVER, encoding="utf-8")
    return f"{sys.executable} {path}"


def test_a_command_is_filled_in_started_and_stopped(program: str, tmp_path: Path) -> None:
    server = CommandServer(
        program + " {port} {name} --lora-modules '{name}={adapter}' --limit '{\"image\": 0}' {model}"
    )
    with server.serve(TUNED, tmp_path) as endpoint:
        assert endpoint.model == "run-epoch-2"
        assert httpx.get(f"{endpoint.url}/models", trust_env=False).json()["data"][0]["id"] == "run-epoch-2"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{endpoint.url}/models", trust_env=False)
    log = (tmp_path / "serve.log").read_text(encoding="utf-8")
    assert "'--lora-modules', 'run-epoch-2=/adapters/one', '--limit', '{\"image\": 0}', '/models/base'" in log


def test_a_server_that_ends_is_reported_with_its_log(tmp_path: Path) -> None:
    server = CommandServer(f"{sys.executable} -c \"raise SystemExit('no memory for {{port}}')\"")
    with (
        pytest.raises(DistillationError, match=r"ended with status 1 .*\n.*no memory for \d+"),
        server.serve(PLAIN, tmp_path),
    ):
        pytest.fail("it never answered")


def test_a_server_of_another_name_is_refused(program: str, tmp_path: Path) -> None:
    server = CommandServer(program + " {port} gpt")
    with pytest.raises(DistillationError, match="serves gpt, and not run-epoch-1"), server.serve(PLAIN, tmp_path):
        pytest.fail("it has another name")


def test_commands_that_cannot_work_are_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(DistillationError, match=r"has no \{port\}"):
        CommandServer("vllm serve {model}").check(PLAIN)
    with pytest.raises(DistillationError, match="the first epoch has none"):
        CommandServer("vllm serve {model} --lora-modules {name}={adapter} --port {port}").check(PLAIN)
    with pytest.raises(DistillationError, match="has 2 adapters"):
        HotLoading("http://127.0.0.1:1/v1").check(Student("x", "base", ("a", "b")))
    missing = CommandServer("no-such-program {port}")
    with pytest.raises(DistillationError, match="no-such-program cannot be started"), missing.serve(PLAIN, tmp_path):
        pytest.fail("there is no such program")


@dataclass
class AdapterServer:
    """What vLLM's routes for adapters do, with what they were asked."""

    url: str = ""
    loaded: dict[str, str] = field(default_factory=dict)
    authorised: list[str | None] = field(default_factory=list)


@pytest.fixture
def vllm() -> Iterator[AdapterServer]:
    state = AdapterServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, json.dumps({"data": [{"id": name} for name in ("/models/base", *state.loaded)]}))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.authorised.append(self.headers["Authorization"])
            name = body["lora_name"]
            if self.path == "/v1/load_lora_adapter" and name not in state.loaded:
                state.loaded[name] = body["lora_path"]
                self._answer(200, "Success")
            elif self.path == "/v1/unload_lora_adapter" and state.loaded.pop(name, None):
                self._answer(200, "Success")
            else:
                self._answer(400, f"{name}: already loaded, or not found")

        def _answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield state
        server.shutdown()
        thread.join()


def test_the_adapter_is_loaded_for_the_sampling_and_unloaded_after_it(vllm: AdapterServer, tmp_path: Path) -> None:
    (tmp_path / "trained").mkdir()
    student = Student("run-epoch-2", "/models/base", (str(tmp_path / "trained"),))
    vllm.loaded["run-epoch-2"] = "/left/by/a/killed/run"
    with HotLoading(vllm.url, "secret").serve(student, tmp_path) as endpoint:
        assert vllm.loaded == {"run-epoch-2": str(tmp_path / "trained")}
        assert (endpoint.model, endpoint.api_key) == ("run-epoch-2", "secret")
    assert vllm.loaded == {}
    assert set(vllm.authorised) == {"Bearer secret"}


def test_the_adapter_is_unloaded_when_the_sampling_fails(vllm: AdapterServer, tmp_path: Path) -> None:
    with contextlib.suppress(RuntimeError), HotLoading(vllm.url).serve(TUNED, tmp_path):
        raise RuntimeError("the sampling fails")
    assert vllm.loaded == {}


def test_without_an_adapter_the_base_is_sampled(vllm: AdapterServer, tmp_path: Path) -> None:
    with HotLoading(vllm.url).serve(PLAIN, tmp_path) as endpoint:
        assert endpoint.model == "/models/base"
    vllm.loaded["another"] = "/path"
    other = HotLoading(vllm.url).serve(Student("run-epoch-1", "/models/other", ()), tmp_path)
    with pytest.raises(DistillationError, match="serves /models/base, another; which one is /models/other"), other:
        pytest.fail("it is not served")


def test_a_server_that_cannot_load_adapters_is_named(program: str, tmp_path: Path) -> None:
    with (
        CommandServer(program + " {port} {name}").serve(PLAIN, tmp_path) as endpoint,
        pytest.raises(DistillationError, match=r"(?s)load_lora_adapter answered 501.*VLLM_ALLOW_RUNTIME_LORA_UPDATING"),
        HotLoading(endpoint.url).serve(TUNED, tmp_path),
    ):
        pytest.fail("it has no such route")
