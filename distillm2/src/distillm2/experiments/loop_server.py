"""An epoch's student behind an OpenAI-compatible endpoint: a server that is started, or one that loads adapters."""

from __future__ import annotations

import shlex
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import httpx

from distillm2.data.endpoint import Endpoint
from distillm2.errors import DistillationError
from distillm2.experiments.training_process import DISTILLM2, start, stop, tail, write_settings

START_SECONDS = 1800.0
API_SETTINGS = (
    *("template", "finetuning_type", "trust_remote_code", "quantization_bit", "quantization_method"),
    *("quantization_type", "double_quantization", "flash_attn", "rope_scaling", "enable_thinking", "default_system"),
)


@dataclass(frozen=True)
class Student:
    """The model of an epoch: a base and adapters on it, the last of which is trained; it is served as ``name``.

    ``trained_model``: the base itself is what an earlier epoch has trained.
    """

    name: str
    model: str
    adapters: tuple[str, ...]
    trained_model: bool = False

    def only_adapter(self) -> str:
        """Its adapter, for servers that put one on the base."""
        if len(self.adapters) > 1:
            raise DistillationError(
                f"adapter_name_or_path has {len(self.adapters)} adapters, and this server takes one: merge the others "
                "into the base first (distillm2 export)"
            )
        return self.adapters[0] if self.adapters else ""


class StudentServer(Protocol):
    """A way to serve a student while its responses are sampled."""

    token_ids: ClassVar[bool]
    """Whether it takes prompts as token ids; otherwise it renders conversations with the training template itself."""

    def check(self, student: Student) -> None:
        """Refuse a student that it could not serve."""

    def serve(self, student: Student, folder: Path) -> AbstractContextManager[Endpoint]:
        """A context whose value is the endpoint; logs go to ``folder``."""


@dataclass(frozen=True)
class ApiServer:
    """``distillm2 api``: LLaMA-Factory's own server; one answer at a time, any hardware, nothing to install."""

    settings: Mapping[str, Any]
    token_ids: ClassVar[bool] = False

    def check(self, student: Student) -> None:
        """It serves whatever can be trained."""

    @contextmanager
    def serve(self, student: Student, folder: Path) -> Iterator[Endpoint]:
        """Start it, and stop it in the end, so that the training has the memory for itself."""
        port = free_port()
        settings = {key: self.settings[key] for key in API_SETTINGS if key in self.settings}
        settings |= {"model_name_or_path": student.model, "top_k": 0}  # LLaMA-Factory's own default is 50
        if student.adapters:
            settings["adapter_name_or_path"] = ",".join(student.adapters)
        write_settings(folder / "serve.yaml", settings)
        environment = {"API_HOST": "127.0.0.1", "API_PORT": str(port), "API_MODEL_NAME": student.name, "API_KEY": ""}
        command = [*DISTILLM2, "api", str(folder / "serve.yaml")]
        with _running(command, folder / "serve.log", environment, port, student.name) as endpoint:
            yield endpoint


@dataclass(frozen=True)
class CommandServer:
    """A server started by a command in which {model}, {adapter}, {name} and {port} are filled in."""

    command: str
    token_ids: ClassVar[bool] = True

    def check(self, student: Student) -> None:
        """The command must name the port, and an adapter must be there if it asks for one."""
        if "{port}" not in self.command:
            raise DistillationError(f"--serve-command has no {{port}}: {self.command!r}")
        if "{adapter}" in self.command and not student.only_adapter():
            raise DistillationError(
                "--serve-command has {adapter}, and the first epoch has none: start from the adapter of a supervised "
                "fine-tuning (adapter_name_or_path in the YAML), which is the recipe's first step anyway"
            )

    @contextmanager
    def serve(self, student: Student, folder: Path) -> Iterator[Endpoint]:
        """Start it, and stop it in the end, so that one GPU is enough."""
        port = free_port()
        known = {
            "{model}": student.model,
            "{adapter}": student.only_adapter(),
            "{name}": student.name,
            "{port}": str(port),
        }
        command = [_filled(part, known) for part in shlex.split(self.command)]
        with _running(command, folder / "serve.log", {}, port, student.name) as endpoint:
            yield endpoint


@dataclass(frozen=True)
class HotLoading:
    """A running vLLM that loads each epoch's adapter: its own GPU, no start between epochs.

    It must have been started with ``--enable-lora --generation-config vllm`` (otherwise it samples with the model's own
    top-k) and ``VLLM_ALLOW_RUNTIME_LORA_UPDATING=True``, and must see the adapter's folder under the same path.
    """

    url: str
    api_key: str | None = None
    token_ids: ClassVar[bool] = True

    def check(self, student: Student) -> None:
        """It takes one adapter on the base that it was started with."""
        student.only_adapter()
        if student.trained_model:
            raise DistillationError(
                "--endpoint loads adapters, and this is full fine-tuning: "
                "use --serve-command with {model}, or train a LoRA"
            )

    @contextmanager
    def serve(self, student: Student, folder: Path) -> Iterator[Endpoint]:
        """Load the adapter under the student's name, and unload it in the end; without one, the base is used."""
        adapter = student.only_adapter()
        if not adapter:
            yield Endpoint(self.url, self._base(student.model), self.api_key)
            return
        endpoint = Endpoint(self.url, student.name, self.api_key)
        # One of this name may be left from a run that was killed, and may be of other weights.
        self._post(endpoint, "unload_lora_adapter", {"lora_name": student.name})
        path = str(Path(adapter).resolve()) if Path(adapter).exists() else adapter
        answer = self._post(endpoint, "load_lora_adapter", {"lora_name": student.name, "lora_path": path})
        if answer.status_code != 200:
            raise DistillationError(
                f"{endpoint.url}/load_lora_adapter answered {answer.status_code}: {answer.text[:500]}. vLLM must be "
                "started with --enable-lora --max-lora-rank <rank> --generation-config vllm and "
                "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
            )
        try:
            yield endpoint
        finally:
            self._post(endpoint, "unload_lora_adapter", {"lora_name": student.name})

    def _base(self, model: str) -> str:
        names = _served_models(Endpoint(self.url, "", self.api_key), self.api_key)
        if model not in names and len(names) != 1:
            raise DistillationError(
                f"{self.url} serves {', '.join(names)}; which one is {model}? Serve it under that name"
            )
        return model if model in names else names[0]

    def _post(self, endpoint: Endpoint, path: str, body: Mapping[str, str]) -> httpx.Response:
        try:
            return httpx.post(
                f"{endpoint.url}/{path}",
                json=dict(body),
                headers=_headers(self.api_key),
                timeout=START_SECONDS,
                trust_env=not endpoint.loopback,
            )
        except httpx.HTTPError as error:
            raise DistillationError(f"{endpoint.url} does not answer: {error}. Is the server running?") from error


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def _running(command: list[str], log: Path, environment: Mapping[str, str], port: int, name: str) -> Iterator[Endpoint]:
    log.unlink(missing_ok=True)
    process = start(command, log, environment)
    try:
        endpoint = Endpoint(f"http://127.0.0.1:{port}/v1", name)
        _wait(process, endpoint, log)
        yield endpoint
    finally:
        stop(process)


def _wait(process: subprocess.Popen[bytes], endpoint: Endpoint, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DistillationError(f"the server ended with status {process.returncode} ({log}):\n{tail(log)}")
        try:
            names = _served_models(endpoint, None)
        except DistillationError:
            time.sleep(0.5)
            continue
        if endpoint.model not in names:
            raise DistillationError(
                f"the server serves {', '.join(names)}, and not {endpoint.model}: give it its name in the command "
                "(vLLM: --lora-modules {name}={adapter}, or --served-model-name {name})"
            )
        return
    raise DistillationError(f"the server did not answer within {START_SECONDS:.0f} s ({log}):\n{tail(log)}")


def _served_models(endpoint: Endpoint, api_key: str | None) -> list[str]:
    try:
        answer = httpx.get(
            f"{endpoint.url}/models", headers=_headers(api_key), timeout=10.0, trust_env=not endpoint.loopback
        )
        answer.raise_for_status()
        return [str(model["id"]) for model in answer.json()["data"]]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise DistillationError(f"{endpoint.url}/models does not answer: {error}") from error


def _headers(api_key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


def _filled(part: str, known: Mapping[str, str]) -> str:
    for placeholder, value in known.items():
        part = part.replace(placeholder, value)
    return part
