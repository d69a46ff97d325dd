"""What ``stage: distillm2`` runs: data, student, teacher, training, evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distillm2.errors import DistillationError
from distillm2.stage.data import Pairs, load_pairs, stage_logger
from distillm2.stage.trainer import DistillTrainer
from distillm2.teacher.online import OnlineTeacher, can_share_base
from distillm2.teacher.source import TeacherSource

PLOTTED = ("skl", "srkl", "alpha_teacher", "alpha_student", "beta", "gap_teacher", "gap_student")


def run_distillm2(
    model_args: Any, data_args: Any, training_args: Any, finetuning_args: Any, callbacks: list[Any]
) -> None:
    """Train and evaluate as the settings say; the outputs are those of LLaMA-Factory's stages."""
    if not (training_args.do_train or training_args.do_eval):
        raise DistillationError("nothing to do: set do_train: true")
    from llamafactory.data import PairwiseDataCollatorWithPadding
    from llamafactory.extras.constants import IGNORE_INDEX
    from llamafactory.model import load_model
    from llamafactory.train.trainer_utils import create_modelcard_and_push

    pairs = load_pairs(model_args, data_args, training_args)
    tokenizer = pairs.tokenizer_module["tokenizer"]
    student = load_model(tokenizer, model_args, finetuning_args, training_args.do_train)
    _keep_gradients(student)
    teacher = load_teacher(model_args, data_args, finetuning_args, pairs, student)
    stage_logger().info_rank0(f"Distilling {model_args.model_name_or_path} from {teacher.describe()}.")
    trainer = DistillTrainer(
        teacher=teacher,
        finetuning_args=finetuning_args,
        previous=_previous_run(model_args, finetuning_args),
        model=student,
        args=training_args,
        data_collator=PairwiseDataCollatorWithPadding(
            template=pairs.template,
            model=student,
            pad_to_multiple_of=8,
            label_pad_token_id=IGNORE_INDEX,
            **pairs.tokenizer_module,
        ),
        callbacks=callbacks + _tracking_callbacks(model_args, data_args, training_args, finetuning_args),
        **pairs.dataset_module,
        **pairs.tokenizer_module,
    )
    if training_args.do_train:
        _train(trainer, training_args, finetuning_args, pairs)
    if training_args.do_eval:
        metrics = trainer.evaluate(metric_key_prefix="eval")
        trainer.log_metrics("eval", metrics)
        trainer.save_metrics("eval", metrics)
    create_modelcard_and_push(trainer, model_args, data_args, training_args, finetuning_args)


def load_teacher(model_args: Any, data_args: Any, finetuning_args: Any, pairs: Pairs, student: Any) -> TeacherSource:
    """The cache where one is named; else the teacher's LoRA on the student's base; else a model of its own."""
    tokenizer = pairs.tokenizer_module["tokenizer"]
    if finetuning_args.teacher_cache:
        from distillm2.teacher.cached import CachedTeacher

        if finetuning_args.teacher_model:
            stage_logger().info_rank0("teacher_cache is set: teacher_model is not loaded.")
        return CachedTeacher(
            finetuning_args.teacher_cache,
            tokenizer=tokenizer,
            vocabulary=student.get_output_embeddings().weight.shape[0],
            temperature=finetuning_args.distill_temperature,
            template=data_args.template,
            cutoff_len=data_args.cutoff_len,
            datasets=pairs.datasets(),
        )
    if finetuning_args.teacher_model is None and can_share_base(student, model_args, finetuning_args):
        return OnlineTeacher.on_student(student, finetuning_args)
    return OnlineTeacher.load(model_args, data_args, finetuning_args, tokenizer)


def _train(trainer: DistillTrainer, training_args: Any, finetuning_args: Any, pairs: Pairs) -> None:
    from llamafactory.extras.misc import calculate_tps
    from llamafactory.extras.ploting import plot_loss

    result = trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint)
    trainer.save_model()
    trainer.fix_anchor()  # of a run that ended before its first logging step
    trainer.distill_state.save(Path(training_args.output_dir), trainer.accelerator)
    if finetuning_args.include_effective_tokens_per_second:
        result.metrics["effective_tokens_per_sec"] = calculate_tps(
            pairs.dataset_module["train_dataset"], result.metrics, stage="rm"
        )
    trainer.log_metrics("train", result.metrics)
    trainer.save_metrics("train", result.metrics)
    trainer.save_state()
    if trainer.is_world_process_zero() and finetuning_args.plot_loss:
        evaluated = pairs.dataset_module.get("eval_dataset")
        names = [f"eval_{name}_loss" for name in evaluated] if isinstance(evaluated, dict) else ["eval_loss"]
        sft = ["distill/sft"] if finetuning_args.distill_sft_weight else []
        plotted = [name for name in PLOTTED if trainer.objective.reads_alpha or not name.startswith("alpha")]
        plot_loss(
            training_args.output_dir,
            keys=["loss", *(f"distill/{name}" for name in plotted), *sft, *(names if evaluated is not None else [])],
        )


def _keep_gradients(student: Any) -> None:
    """On some CPUs bitsandbytes repacks 4-bit weights in evaluation, for a kernel without gradients: not here."""
    for module in student.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _previous_run(model_args: Any, finetuning_args: Any) -> Path | None:
    """The folder that this run goes on from, when it is a later part of the same distillation."""
    if not finetuning_args.distill_first_epoch:
        return None
    adapters = model_args.adapter_name_or_path
    return Path(adapters[-1] if adapters else model_args.model_name_or_path)


def _tracking_callbacks(model_args: Any, data_args: Any, training_args: Any, finetuning_args: Any) -> list[Any]:
    """MLflow does not see the stage's settings by itself."""
    if "mlflow" not in training_args.report_to:
        return []
    from distillm2.experiments.tracking_callback import RunParameters

    return [RunParameters(model_args, data_args, finetuning_args)]
