"""What transformers' MLflow callback leaves out: the stage's own parameters, a name, and the final evaluation."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

LONGEST_VALUE = 250


class RunParameters(TrainerCallback):
    """Adds to the MLflow run what the trainer's own arguments do not hold.

    transformers logs the trainer's arguments and the model's configuration. This adds LLaMA-Factory's (adapter,
    data set, teacher, ``distill_*``) that are set, names the run after ``output_dir``, and opens the run again
    after the training so that a final evaluation is not written into a second one.
    """

    def __init__(self, *arguments: Any) -> None:
        self.parameters = {key: value for part in arguments for key, value in asdict(part).items() if _is_set(value)}
        self.run_id: str | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Name the run and log the parameters; transformers' callback, which comes first, has started it."""
        if not state.is_world_process_zero:
            return
        import mlflow

        run = mlflow.active_run()
        if run is None:
            return
        self.run_id = run.info.run_id
        if args.run_name in (None, args.output_dir):
            mlflow.set_tag("mlflow.runName", Path(args.output_dir).name)
        logged = mlflow.get_run(self.run_id).data.params
        mlflow.log_params({key: str(value) for key, value in self.parameters.items() if key not in logged})

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Open the run again; it is closed when the process ends."""
        if self.run_id is not None:
            import mlflow

            mlflow.start_run(run_id=self.run_id)


def _is_set(value: object) -> bool:
    return value not in (None, False, "", [], {}) and len(str(value)) <= LONGEST_VALUE
