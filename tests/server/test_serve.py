"""`llmflow serve` and the commands beside it, as processes: started, gone through, stopped and killed."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from processes import Process, command, environment, running


def write(folder: Path, number: int) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{number:02}.md"
    text = f"# {number}동 규정\n\n기숙사 {number}동의 통금은 {number % 24}시이고 식대는 {number}천원이다.\n"
    path.write_text(text, encoding="utf-8")
    return path


def key_of(env: dict[str, str], cwd: Path, role: str = "editor") -> dict[str, str]:
    made = command(env, cwd, "keys", "create", "--role", role, "--json")
    assert made.returncode == 0, made.stderr
    return {"Authorization": f"Bearer {json.loads(made.stdout)['key']}"}


def upload(http: httpx.Client, path: Path) -> dict[str, str]:
    response = http.post("/v1/documents", files={"files": (path.name, path.read_bytes(), "text/markdown")})
    assert response.status_code == 202, response.text
    (job,) = response.json()["jobs"]
    return dict(job)


def wait_ready(http: httpx.Client, document_ids: list[str], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    left = list(document_ids)
    while left:
        assert time.monotonic() < deadline, f"{len(left)} of {len(document_ids)} documents are not ready"
        document = http.get(f"/v1/documents/{left[-1]}").json()["document"]
        if document["status"] == "ready":
            left.pop()
        else:
            assert document["status"] in ("pending", "processing"), document
            time.sleep(0.1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def env(place: Path) -> dict[str, str]:
    return environment(place / "data")


@pytest.fixture(scope="module")
def server(place: Path, env: dict[str, str]) -> Iterator[Process]:
    with running(env, place, "serve") as process:
        process.url()
        yield process


def test_commands_go_through_the_server_that_holds_the_stores(
    place: Path, env: dict[str, str], server: Process
) -> None:
    url = server.url()
    assert any("there is no key yet" in line for line in server.lines)
    folder = place / "documents"
    for number in range(3):
        write(folder, number)
    notice = f"the stores are held by the server at {url} (process {server.process.pid}); going through it"

    ingested = command(env, place, "ingest", str(folder), "--json")
    assert notice in ingested.stderr
    assert [document["status"] for document in json.loads(ingested.stdout)["documents"]] == ["ready"] * 3
    again = command(env, place, "ingest", str(folder), "--json")
    assert [document["unchanged"] for document in json.loads(again.stdout)["documents"]] == [True] * 3

    found = command(env, place, "search", "기숙사 2동 통금", "--json")
    assert notice in found.stderr
    first = json.loads(found.stdout)["candidates"][0]
    assert (first["chunk"]["document_name"], first["chunk"]["tenant"]) == ("02.md", "default")
    answered = command(env, place, "ask", "기숙사 2동의 통금은 몇 시인가요?", "--json")
    answer = json.loads(answered.stdout)
    assert (answer["mode"], answer["citations"][0]["document_name"]) == ("extractive", "02.md")

    id_ = json.loads(ingested.stdout)["documents"][0]["id"]
    deleted = command(env, place, "delete", id_, "--yes")
    assert (deleted.returncode, notice in deleted.stderr) == (0, True)
    assert json.loads(command(env, place, "documents", "--json").stdout)["total"] == 2
    refused = command(env, place, "train-embedder")
    assert refused.returncode == 1
    assert "trains the embedder by itself" in refused.stderr
    refused = command(env, place, "reindex")
    assert refused.returncode == 1
    assert "to reindex, stop the server" in refused.stderr
    keys = json.loads(command(env, place, "keys", "list", "--json").stdout)["keys"]
    assert keys
    assert all(key["revoked_at"] for key in keys), "the keys of the commands are revoked when they end"


def test_a_second_server_is_refused_by_name(place: Path, env: dict[str, str], server: Process) -> None:
    second = command(env, place, "serve")
    assert second.returncode == 1
    assert f"held by process {server.process.pid}, a server at {server.url()}" in second.stderr


def test_an_address_that_is_taken_is_told_at_once(tmp_path: Path, server: Process) -> None:
    port = server.url().rpartition(":")[2]
    refused = command(environment(tmp_path / "data"), tmp_path, "serve", "--port", port)
    assert refused.returncode == 2
    assert "cannot listen on 127.0.0.1:" in refused.stderr


def test_wrong_settings_stop_the_start(tmp_path: Path) -> None:
    for settings, says in (
        ({"AUTH__ISSUER": "no address"}, "auth.issuer"),
        ({"KEYVALUE__URL": "memcached://x"}, "key-value"),
        ({"COLLECTIONS": '[{"name":"a","cron":"99 * * * *","tenant":"t","department":"d","folder":"/x"}]'}, "schedule"),
        ({"TRACING__PUBLIC_KEY": "x"}, "tracing"),
    ):
        refused = command(environment(tmp_path / "data", **settings), tmp_path, "serve")
        assert refused.returncode == 2, (settings, refused.stderr)
        assert says in refused.stderr


def test_a_server_killed_at_any_moment_loses_nothing_it_took(tmp_path: Path) -> None:
    env = environment(tmp_path / "data")
    headers = key_of(env, tmp_path)
    taken: list[dict[str, str]] = []
    chance = random.Random()
    for turn in range(2):
        with (
            running(env, tmp_path, "serve") as server,
            httpx.Client(base_url=server.url(), headers=headers, timeout=30) as http,
        ):
            killer = threading.Timer(0.3 + chance.random(), server.kill)
            killer.start()
            try:
                for number in range(turn * 100, turn * 100 + 100):
                    taken.append(upload(http, write(tmp_path / "documents", number)))
            except httpx.TransportError:
                pass
            killer.join()
    assert taken
    with (
        running(env, tmp_path, "serve") as server,
        httpx.Client(base_url=server.url(), headers=headers, timeout=30) as http,
    ):
        wait_ready(http, [job["document_id"] for job in taken], seconds=90)
        for job in chance.sample(taken, min(5, len(taken))):
            name = http.get(f"/v1/documents/{job['document_id']}").json()["document"]["name"]
            number = int(name.removesuffix(".md"))
            hits = http.post("/v1/retrieve", json={"query": f"기숙사 {number}동의 통금", "threshold": 0}).json()
            assert [hit["chunk"]["document_id"] for hit in hits["candidates"]].count(job["document_id"]) == 1
        assert server.stop() == 0


def test_stopping_lets_a_request_end(tmp_path: Path) -> None:
    env = environment(tmp_path / "data")
    headers = key_of(env, tmp_path)
    with (
        running(env, tmp_path, "serve") as server,
        httpx.Client(base_url=server.url(), headers=headers, timeout=30) as http,
    ):
        job = upload(http, write(tmp_path / "documents", 7))
        wait_ready(http, [job["document_id"]])
        with http.stream("POST", "/v1/answer", json={"question": "기숙사 7동의 통금은?", "stream": True}) as response:
            lines = response.iter_lines()
            next(lines)
            stopping = threading.Thread(target=server.stop)
            stopping.start()
            assert any("finished" in line for line in lines)
        stopping.join(30)
        assert server.process.returncode == 0
