from __future__ import annotations

import math
import threading
from collections.abc import Callable

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

import llmflow
from llmflow.errors import UpstreamError
from llmflow.generation.answer import Finished
from llmflow.schema import Answer, Degradation, JobStatus, Query, RetrievalResult
from llmflow.server.metrics import MAX_VALUES, Metrics


def families(metrics: Metrics) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(metrics.render().decode())}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    samples = [sample for family in families(metrics).values() for sample in family.samples]
    found = [sample.value for sample in samples if sample.name == name and sample.labels == labels]
    assert len(found) <= 1
    return found[0] if found else None


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_requests_by_method_route_and_status(metrics: Metrics) -> None:
    for seconds in (0.03, 0.2, 7.0):
        metrics.request("POST", "/v1/answer", 200, seconds)
    metrics.request("POST", "/v1/answer", 429, 0.001)
    metrics.request("GET", None, 404, 0.001)
    metrics.request("PROPFIND", None, 405, 0.001)
    answered = {"method": "POST", "route": "/v1/answer", "status": "200"}
    assert value(metrics, "llmflow_request_seconds_count", **answered) == 3
    assert value(metrics, "llmflow_request_seconds_sum", **answered) == pytest.approx(7.23)
    assert value(metrics, "llmflow_request_seconds_bucket", **answered, le="0.2") == 2
    for method, route, status in (
        ("POST", "/v1/answer", "429"),
        ("GET", "unmatched", "404"),
        ("other", "unmatched", "405"),
    ):
        assert value(metrics, "llmflow_request_seconds_count", method=method, route=route, status=status) == 1


def test_stages_and_degradations_of_retrieval_and_answer(metrics: Metrics) -> None:
    dense = Degradation("dense", "홍길동의 질문에서 실패")
    result = RetrievalResult(Query("질문", "ko"), (), {"bm25": 12.0, "total": 20.0}, (dense,))
    answer = Answer(
        "없음", (), "abstained", retrieval=result, degradations=(Degradation("llm", "x"),), timings_ms={"total": 900.0}
    )
    metrics.observe(result.timings_ms, result.degradations)
    metrics.observe_answer(Finished(answer))
    assert value(metrics, "llmflow_stage_seconds_count", stage="retrieve.bm25") == 2
    assert value(metrics, "llmflow_stage_seconds_sum", stage="retrieve.total") == pytest.approx(0.04)
    assert value(metrics, "llmflow_stage_seconds_sum", stage="answer.total") == pytest.approx(0.9)
    assert value(metrics, "llmflow_degradations_total", stage="retrieve.dense") == 2
    assert value(metrics, "llmflow_degradations_total", stage="answer.llm") == 1
    assert "홍길동" not in metrics.render().decode()


def test_counters(metrics: Metrics) -> None:
    assert value(metrics, "llmflow_cache_total", result="hit") == 0
    assert value(metrics, "llmflow_jobs_total", status="failed") == 0
    metrics.cache("hit")
    metrics.rate_limited()
    metrics.unlimited.inc()
    metrics.error("not_found")
    metrics.job(JobStatus.FAILED)
    assert value(metrics, "llmflow_cache_total", result="hit") == 1
    assert value(metrics, "llmflow_rate_limited_total") == 1
    assert value(metrics, "llmflow_unlimited_total") == 1
    assert value(metrics, "llmflow_errors_total", code="not_found") == 1
    assert value(metrics, "llmflow_jobs_total", status="failed") == 1


def test_requests_in_flight(metrics: Metrics) -> None:
    with metrics.in_flight():
        with metrics.in_flight():
            assert value(metrics, "llmflow_requests_in_flight") == 2
        with pytest.raises(ValueError, match="boom"), metrics.in_flight():
            raise ValueError("boom")
        assert value(metrics, "llmflow_requests_in_flight") == 1
    assert value(metrics, "llmflow_requests_in_flight") == 0


def test_the_queue_is_asked_at_each_reading(caplog: pytest.LogCaptureFixture) -> None:
    def gone() -> int:
        raise UpstreamError("the database server does not answer")

    asked: list[Callable[[], int]] = [lambda: 3, lambda: 0, gone]
    metrics = Metrics(lambda: asked.pop(0)())
    assert value(metrics, "llmflow_queue_depth") == 3
    assert value(metrics, "llmflow_queue_depth") == 0
    metrics.cache("miss")
    found = families(metrics)
    assert math.isnan(found["llmflow_queue_depth"].samples[0].value)
    assert found["llmflow_cache"].samples
    assert "the queue does not tell its depth: the database server does not answer" in caplog.text


def test_what_runs(metrics: Metrics) -> None:
    (build,) = [sample for sample in families(metrics)["llmflow_build_info"].samples if sample.value == 1]
    assert build.labels["version"] == llmflow.__version__
    assert value(metrics, "process_resident_memory_bytes") > 0  # type: ignore[operator]


def test_each_application_has_its_own() -> None:
    first, second = Metrics(), Metrics()
    first.rate_limited()
    assert value(second, "llmflow_rate_limited_total") == 0


def test_labels_do_not_grow_without_end(metrics: Metrics) -> None:
    for number in range(MAX_VALUES * 3):
        metrics.request("GET", f"/v1/documents/{number}", 200, 0.01)
        metrics.error(f"code {number}")
        metrics.observe({f"stage {number}": 1.0})
    other = 2 * MAX_VALUES
    assert value(metrics, "llmflow_errors_total", code="other") == other
    assert value(metrics, "llmflow_stage_seconds_count", stage="other") == other
    assert value(metrics, "llmflow_request_seconds_count", method="GET", route="other", status="200") == other
    assert len(families(metrics)["llmflow_errors"].samples) == MAX_VALUES + 1


def test_threads_count_together(metrics: Metrics) -> None:
    def many() -> None:
        for _ in range(500):
            metrics.cache("hit")
            metrics.request("GET", "/", 200, 0.001)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value(metrics, "llmflow_cache_total", result="hit") == 2000
    assert value(metrics, "llmflow_request_seconds_count", method="GET", route="/", status="200") == 2000
