"""A real ``vllm serve`` process on the CPU, out of .venv-vllm, and the programs of that environment.

    .venv/bin/python tests/vllm/vllm_server.py FOLDER [--hidden 64] [--layers 2] [--port 8000]

serves a tiny model and the adapters of ``tiny_model.py`` out of FOLDER until it is interrupted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venv-vllm"
HERE = Path(__file__).resolve().parent
BASE = "base"
START_S = 300
STOP_S = 30
VARIABLES = {
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "TORCHDYNAMO_DISABLE": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}


def run_program(name: str, *words: str, text: str | None = None) -> str:
    """What a program of this folder writes to standard output when .venv-vllm's Python runs it on ``text``."""
    done = subprocess.run(
        [ENVIRONMENT / "bin" / "python", HERE / name, *words],
        input=text,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert done.returncode == 0, f"{name} ended with {done.returncode}:\n{done.stderr[-4000:]}"
    return done.stdout


def make_models(folder: Path, hidden: int = 64, layers: int = 2) -> Path:
    """``folder`` with the model and the adapters of ``tiny_model.py`` in it."""
    run_program("tiny_model.py", str(folder), "--hidden", str(hidden), "--layers", str(layers))
    return folder


def version_name(role: str, adapter: Path) -> str:
    """The name an adapter is served under: ``student-rerank@`` and the start of its weights' SHA-256."""
    weights = (adapter / "adapter_model.safetensors").read_bytes()
    return f"student-{role}@{hashlib.sha256(weights).hexdigest()[:8]}"


def reference(model: Path, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What Hugging Face and PEFT answer to ``requests``; their form is in ``reference.py``."""
    answer: list[dict[str, Any]] = json.loads(run_program("reference.py", str(model), text=json.dumps(list(requests))))
    return answer


class VllmServer:
    """A running server of the base model ``base``; ``url`` ends before ``/v1``."""

    def __init__(self, models: Path, log: Path, port: int) -> None:
        self.models = models
        self.log = log
        self.url = f"http://127.0.0.1:{port}"
        words = {
            "--served-model-name": BASE,
            "--host": "127.0.0.1",
            "--port": str(port),
            "--dtype": "float32",
            "--max-model-len": "8192",
            "--max-num-seqs": "32",
            "--max-loras": "2",
            "--max-lora-rank": "8",
            "--tool-call-parser": "hermes",
        }
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [
                    ENVIRONMENT / "bin" / "vllm",
                    "serve",
                    models / "base",
                    "--enforce-eager",
                    "--enable-lora",
                    "--enable-auto-tool-choice",
                    *(word for pair in words.items() for word in pair),
                ],
                env={**os.environ, **VARIABLES},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # its engine is a process of its own, and goes with the group
            )

    def wait(self) -> None:
        """Return when it answers; AssertionError with the end of its log when it does not."""
        deadline = time.monotonic() + START_S
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/health", timeout=5).is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.5)
        raise AssertionError(f"vLLM did not start:\n{self.log_end()}")

    def log_end(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-60:])

    def load(self, role: str, adapter: str) -> str:
        """Load the adapter in the folder ``adapter`` of the models; the versioned name it is served under."""
        folder = self.models / adapter
        name = version_name(role, folder)
        body = {"lora_name": name, "lora_path": str(folder)}
        response = httpx.post(f"{self.url}/v1/load_lora_adapter", json=body, timeout=60)
        assert response.is_success, response.text
        return name

    def unload(self, name: str) -> None:
        """Unload an adapter."""
        response = httpx.post(f"{self.url}/v1/unload_lora_adapter", json={"lora_name": name}, timeout=60)
        assert response.is_success, response.text

    def stop(self) -> None:
        """End it and its engine."""
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(STOP_S)


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(models: Path, log: Path, port: int = 0) -> Iterator[VllmServer]:
    """A server that answers; its log goes to ``log``."""
    server = VllmServer(models, log, port or free_port())
    try:
        server.wait()
        yield server
    finally:
        server.stop()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    models = make_models(arguments.folder.resolve(), arguments.hidden, arguments.layers)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with running(models, models / "vllm.log", arguments.port) as server:
        names = [server.load(role, role) for role in ("rerank", "answer")]
        print(f"{server.url} serves {', '.join([BASE, *names])}", flush=True)
        with suppress(KeyboardInterrupt):
            server.process.wait()


if __name__ == "__main__":
    main()
