"""MLflow without any set-up: a local store, an experiment, and sweeps as one parent run with a run per trial."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from distillm2.errors import DistillationError

EXPERIMENT = "distillm2"
STORE = "mlflow.db"


def wanted(settings: Mapping[str, Any]) -> bool:
    """Whether the settings' ``report_to`` names MLflow."""
    report_to = settings.get("report_to") or []
    names = report_to.split(",") if isinstance(report_to, str) else report_to
    return "mlflow" in [str(name).strip() for name in names]


def prepare(settings: Mapping[str, Any]) -> None:
    """Set what MLflow reads from the environment where the user has not: store, experiment and GPU metrics.

    The store is ``mlflow.db`` (SQLite) in the working directory: MLflow 3.17 refuses folders of files. Processes
    started from here (torchrun's workers, trials) inherit it. Nothing is done unless ``report_to`` names mlflow.
    """
    if not wanted(settings):
        return
    if find_spec("mlflow") is None:
        raise DistillationError(
            "report_to: mlflow needs MLflow, which is not installed: pip install 'llamafactory-distillm2[mlflow]', "
            "or set report_to: none"
        )
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{Path(STORE).resolve()}")
    os.environ.setdefault("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    if shutil.which("nvidia-smi") and "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING" not in os.environ:
        if find_spec("pynvml") is None:
            print("MLflow will not show the GPU's use: pip install nvidia-ml-py", file=sys.stderr)
        else:
            os.environ["MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"] = "true"


def start_parent(name: str, parameters: Mapping[str, Any]) -> str:
    """Create the run that a sweep's trials or a loop's epochs belong to; returns its id."""
    from mlflow import MlflowClient

    client = MlflowClient()
    title = os.environ["MLFLOW_EXPERIMENT_NAME"]
    experiment = client.get_experiment_by_name(title)
    identifier = experiment.experiment_id if experiment else client.create_experiment(title)
    run_id: str = client.create_run(identifier, run_name=name).info.run_id
    for key, value in parameters.items():
        client.log_param(run_id, key, value)
    return run_id


def child_environment(parent: str, **tags: str) -> dict[str, str]:
    """The environment that makes a training's run a child of ``parent``, with further tags."""
    given = json.loads(os.environ.get("MLFLOW_TAGS") or "{}")
    return {"MLFLOW_TAGS": json.dumps({**given, "mlflow.parentRunId": parent, **tags})}


def finish_parent(run_id: str, metrics: Mapping[str, float], parameters: Mapping[str, Any]) -> None:
    """Write the outcome into the parent run and close it; tags hold the parameters, so that they can be renewed."""
    from mlflow import MlflowClient

    client = MlflowClient()
    for key, value in metrics.items():
        client.log_metric(run_id, key, value)
    for key, value in parameters.items():
        client.set_tag(run_id, key, value)
    client.set_terminated(run_id)
