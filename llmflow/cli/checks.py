"""What ``llmflow doctor`` looks at, each component by using it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from llmflow.cli.render import size
from llmflow.cli.session import Session
from llmflow.errors import ConfigurationError, LLMFlowError, StoreHeldError
from llmflow.runtime import Runtime
from llmflow.schema import Scope

_PYTHON = (3, 11)
_LOW_DISK = 2 << 30
_FULL_DISK = 100 << 20
_TIMEOUT_S = 5.0
_TEXT = "연차휴가는 1년에 15일입니다. Annual leave is 15 days."
_PERSONAL = "연락처는 hong@example.com입니다."
_QUESTION = "연차휴가는 며칠인가요?"
_OTHER_TEXT = "출장비는 7일 안에 정산합니다."
_REPORT = "this is a fault of LLMFlow or of a library; please report it"

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of a component, and what to do about it."""

    name: str
    status: Status
    detail: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A check without its name."""

    status: Status
    detail: str
    hint: str | None = None


def run_checks(session: Session) -> Iterator[Check]:
    """Every check in turn; what cannot be checked without settings is left out where they are wrong."""
    yield _run("python", _python)
    settings = _run("settings", lambda: _settings(session))
    yield settings
    if settings.status == "fail":
        return
    folder = _run("data_dir", lambda: _data_dir(session.settings.data_dir))
    yield folder
    if folder.status == "fail":
        return
    with session.runtime() as runtime:
        scope = session.scope
        for name, check in (
            ("database", lambda: _database(runtime, scope)),
            ("objects", lambda: _objects(runtime, scope)),
            ("vectors", lambda: _vectors(runtime)),
            ("embedder", lambda: _embedder(runtime)),
            ("kiwi", _kiwi),
            ("masking", lambda: _masking(runtime)),
            ("parsers", lambda: _parsers(runtime)),
            ("ocr", lambda: _ocr(runtime)),
            ("graph", lambda: _graph(runtime, scope)),
            ("llm", lambda: _llm(runtime)),
            ("rerankers", lambda: _rerankers(runtime, scope)),
            ("traces", lambda: _traces(runtime)),
        ):
            yield _run(name, check)


def _run(name: str, check: Callable[[], Finding]) -> Check:
    try:
        found = check()
    except StoreHeldError as error:
        found = Finding("warn", "held by another process", error.message)
    except LLMFlowError as error:
        found = Finding("fail", error.message)
    except Exception as error:  # a doctor has to name every illness
        found = Finding("fail", f"{type(error).__name__}: {error}", _REPORT)
    return Check(name, found.status, found.detail, found.hint)


def _python() -> Finding:
    version = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < _PYTHON:
        return Finding("fail", version, "install Python 3.11 or newer")
    return Finding("ok", version)


def _settings(session: Session) -> Finding:
    from llmflow.settings import CONFIG_FILE_VARIABLE, config_file

    assert session.settings
    file = config_file().absolute()
    variables = sorted(name for name in os.environ if name.startswith("LLMFLOW_") and name != CONFIG_FILE_VARIABLE)
    source = str(file) if file.is_file() else f"defaults ({file} does not exist)"
    return Finding("ok", ", ".join([source, *variables]))


def _data_dir(folder: Path) -> Finding:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding(
            "fail", f"{folder.absolute()} cannot be written: {error.strerror}", "correct its owner, or set data_dir"
        )
    free = shutil.disk_usage(folder).free
    detail = f"{folder.absolute()} can be written, {size(free)} free"
    if free < _FULL_DISK:
        return Finding("fail", detail, "make room, or set data_dir to a larger disk")
    return Finding("warn", detail, "make room before ingesting more") if free < _LOW_DISK else Finding("ok", detail)


def _database(runtime: Runtime, scope: Scope) -> Finding:
    from alembic.runtime.migration import MigrationContext

    with runtime.database.engine.connect() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
    counts = {status.value: count for status, count in runtime.database.counts(scope).items() if count}
    documents = ", ".join(f"{count:,} {status}" for status, count in counts.items()) or "no documents"
    where = f"{scope.tenant}/{','.join(scope.departments)}"
    address = runtime.database.engine.url.render_as_string(hide_password=True)
    return Finding("ok", f"{address}, migration {revision}; in {where}: {documents}")


def _objects(runtime: Runtime, scope: Scope) -> Finding:
    key = "doctor/probe"
    runtime.objects.put(scope, key, _TEXT.encode())
    try:
        with runtime.objects.open(scope, key) as stream:
            if stream.read() != _TEXT.encode():
                return Finding("fail", "an object came back changed", "check the disk")
    finally:
        runtime.objects.delete(scope, key)
    return Finding("ok", f"{runtime.settings.objects_root}, written, read and deleted")


def _vectors(runtime: Runtime) -> Finding:
    from importlib.metadata import version

    lite = "" if "://" in runtime.vectors.uri else f"Milvus Lite {version('milvus-lite')}, "
    chunks = runtime.indexer.index.count()
    return Finding(
        "ok", f"{runtime.vectors.uri}, {lite}pymilvus {version('pymilvus')}, {chunks:,} chunks of all tenants"
    )


def _embedder(runtime: Runtime) -> Finding:
    from llmflow.models.static_embedder import StaticEmbedder

    settings = runtime.settings.embedder
    if settings.provider == "none":
        return Finding("ok", "switched off (embedder.provider); search is lexical")
    embedder = runtime.indexer.embedder
    if embedder is not None and not isinstance(embedder, StaticEmbedder):
        terms = ", learned term weights" if embedder.learns_terms else ""
        return Finding("ok", f"{embedder.version}, {embedder.dimensions} dimensions{terms}")
    if runtime.embedder_due():
        detail = "none yet" if embedder is None else f"{embedder.version}, trained on {embedder.trained_on:,} chunks"
        return Finding("warn", f"{detail}; the documents have outgrown it", "run `llmflow train-embedder`")
    if embedder is None:
        return Finding(
            "ok", f"none; it is trained from {settings.training.min_chunks:,} chunks on (embedder.training.min_chunks)"
        )
    return Finding("ok", f"{embedder.version}, trained on {embedder.trained_on:,} chunks")


def _kiwi() -> Finding:
    from importlib.metadata import version

    from llmflow.korean import analyze

    words = [word for sentence in next(analyze([_TEXT])) for word in sentence.words]
    detail = f"kiwipiepy {version('kiwipiepy')}: {' '.join(words)}"
    if "휴가" not in words or "leav" not in words:
        return Finding("fail", detail, "pip install --force-reinstall kiwipiepy kiwipiepy_model snowballstemmer")
    return Finding("ok", detail)


def _masking(runtime: Runtime) -> Finding:
    if not runtime.settings.pii.enabled:
        return Finding("warn", "personal data is not masked", "set pii.enabled to true")
    detail = f"{_PERSONAL} → {runtime.masker.mask(_PERSONAL).text}"
    if not runtime.masker.find(_PERSONAL):
        return Finding("fail", detail, "pip install --force-reinstall presidio-analyzer")
    return Finding("ok", detail)


def _parsers(runtime: Runtime) -> Finding:
    from llmflow.ingestion.sandbox import parse_measured

    with tempfile.TemporaryDirectory(prefix="llmflow-") as folder:
        file = Path(folder, "doctor.md")
        file.write_text(f"# 점검\n\n{_TEXT}\n", encoding="utf-8")
        parsed, usage = parse_measured(file, runtime.settings.parsing)
    detail = f"a Markdown file became {len(parsed.elements)} elements in {usage.seconds * 1000:.0f} ms"
    return Finding("ok" if any(_TEXT in element.text for element in parsed.elements) else "fail", detail)


def _ocr(runtime: Runtime) -> Finding:
    from llmflow.ingestion.parsers.ocr import Ocr

    settings = runtime.settings.parsing
    if settings.ocr == "off":
        return Finding("ok", "switched off (parsing.ocr); scans end as needs_ocr")
    ocr = Ocr(settings)
    if ocr.remedy:
        return Finding("warn", "scans and pictures cannot be read", ocr.remedy)
    if ocr.warning:
        return Finding("warn", "tesseract lacks a language", ocr.warning)
    return Finding("ok", f"tesseract with {settings.ocr_languages}")


def _graph(runtime: Runtime, scope: Scope) -> Finding:
    if runtime.graph is None:
        return Finding("ok", "switched off (graph.enabled)")
    counts = ", ".join(f"{count:,} {kind}" for kind, count in runtime.graph.counts(scope).items())
    detail = f"{runtime.settings.graph.uri or runtime.settings.data_dir}: {counts or 'no entities'}"
    missing = len(runtime.indexer.counts(scope).keys() - runtime.graph.all_documents().keys())
    if missing:
        return Finding("warn", f"{detail}; {missing:,} documents are not in it", "run `llmflow graph rebuild`")
    return Finding("ok", detail)


def _rerankers(runtime: Runtime, scope: Scope) -> Finding:
    settings = runtime.settings
    chosen = [name for name in (settings.cross_encoder.provider, settings.reranker.method) if name != "none"]
    if not chosen:
        return Finding("ok", "none (cross_encoder.provider, reranker.method); passages keep the order of the fusion")
    ranking = runtime.rank(scope, _QUESTION, [_TEXT, _OTHER_TEXT])
    if ranking.degradations:
        failed = "; ".join(f"{each.stage}: {each.reason}" for each in ranking.degradations)
        return Finding("fail", failed, "until it answers, passages keep the order of the fusion")
    return Finding("ok", " and ".join(chosen))


def _llm(runtime: Runtime) -> Finding:
    settings = runtime.settings.llm
    if not settings.base_url:
        return Finding("ok", "none (llm.base_url is not set); answers are quoted from the documents")
    headers = {"Authorization": f"Bearer {settings.api_key.get_secret_value()}"} if settings.api_key else {}
    answer = _get(settings.base_url.rstrip("/") + "/models", headers)
    if isinstance(answer, Finding):
        return answer
    if answer.status_code != 200:
        hint = "check llm.api_key" if answer.status_code in (401, 403) else "llm.base_url usually ends in /v1"
        return Finding("fail", f"{settings.base_url}/models answered HTTP {answer.status_code}", hint)
    try:
        models = [str(model["id"]) for model in answer.json()["data"]]
    except (ValueError, KeyError, TypeError):
        return Finding("fail", f"{settings.base_url}/models is no list of models", "llm.base_url usually ends in /v1")
    if settings.model not in models:
        listed = ", ".join(models[:10]) or "none"
        return Finding(
            "warn", f"{settings.base_url} does not list the model {settings.model}", f"set llm.model: {listed}"
        )
    return Finding("ok", f"{settings.base_url} serves {settings.model}")


def _traces(runtime: Runtime) -> Finding:
    settings = runtime.settings.tracing
    if not settings.enabled:
        return Finding("ok", "switched off (tracing.enabled)")
    if (settings.public_key is None) != (settings.secret_key is None):
        raise ConfigurationError("tracing.public_key and tracing.secret_key go together; set both, or neither")
    newest = runtime.traces.recent(Scope(runtime.settings.tenant, (runtime.settings.department,)), 1)
    local = f"in {runtime.settings.traces_path}" + (f", newest {newest[0].start:%Y-%m-%d %H:%M} UTC" if newest else "")
    if settings.public_key is None:
        return Finding("ok", f"{local}; no Langfuse keys are set")
    answer = _get(settings.base_url.rstrip("/") + "/api/public/health")
    if isinstance(answer, Finding):
        return Finding("warn", f"{local}; {answer.detail}", "check tracing.base_url; traces are kept locally meanwhile")
    if answer.status_code != 200:
        return Finding("warn", f"{local}; Langfuse answered HTTP {answer.status_code}", "check tracing.base_url")
    return Finding("ok", f"{local}, and at {settings.base_url}")


def _get(url: str, headers: dict[str, str] | None = None) -> httpx.Response | Finding:
    try:
        return httpx.get(url, headers=headers, timeout=_TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Finding(
            "fail", f"{url}: {str(error) or type(error).__name__}", "check that the server runs and its address"
        )
