"""From a training's settings to its cache: the same rows, the same teacher, and a manifest that says so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from distillm2 import __version__
from distillm2.errors import DistillationError
from distillm2.stage.data import load_pairs
from distillm2.stage.register import read_training_arguments
from distillm2.teacher.cache_format import FORMAT_VERSION, Manifest, Precision, tokenizer_hash
from distillm2.teacher.cache_rows import RankingRows
from distillm2.teacher.cache_writer import Progress, check_folder, write_cache
from distillm2.teacher.online import OnlineTeacher

# They concern the training alone, and would be checked or started here.
_TRAINING_ONLY = ("deepspeed", "do_eval", "do_predict", "plot_loss", "report_to", "resume_from_checkpoint")
_VOLATILE = ("_name_or_path", "transformers_version", "use_cache")


def cache_teacher(
    settings: Mapping[str, Any],
    output: Path | None,
    *,
    top_k: int,
    precision: Precision,
    batch_size: int,
    shard_bytes: int,
    progress: Progress,
) -> Path:
    """Write the cache of the teacher that a training's settings name, over the rows that the training reads.

    Args:
        settings: of the training, as from its YAML.
        output: folder of the cache; ``teacher_cache`` of the settings where it is None.

    Returns:
        The folder.

    Raises:
        DistillationError: no teacher or no folder is named, or the cache cannot be written.
    """
    from accelerate import Accelerator

    kept = {key: value for key, value in settings.items() if key not in _TRAINING_ONLY}
    arguments = read_training_arguments(kept | {"do_train": False, "report_to": "none"})
    model_args, data_args, training_args, finetuning_args, _ = arguments
    folder = output or finetuning_args.teacher_cache
    if not folder:
        raise DistillationError("No folder for the cache: give --output DIR, or set `teacher_cache` in the YAML.")
    if not (finetuning_args.teacher_model or finetuning_args.teacher_adapter):
        raise DistillationError("No teacher: set `teacher_model` (or `teacher_adapter`), in the YAML or as key=value.")
    if data_args.dataset is None:
        raise DistillationError("No data: set `dataset` to the ranking data of the training.")
    check_folder(Path(folder))
    pairs = load_pairs(model_args, data_args, training_args)
    tokenizer = pairs.tokenizer_module["tokenizer"]
    rows = RankingRows(pairs.datasets())
    teacher = OnlineTeacher.load(model_args, data_args, finetuning_args, tokenizer)
    accelerator = Accelerator(mixed_precision="bf16" if training_args.bf16 else "no", cpu=training_args.use_cpu)
    teacher.prepare(accelerator)
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        top_k=top_k,
        vocabulary=min(_student_vocabulary(model_args, tokenizer), teacher.vocabulary),
        temperature=1.0,
        precision=precision,
        tokenizer_hash=tokenizer_hash(tokenizer.get_vocab()),
        teacher=finetuning_args.teacher_model or model_args.model_name_or_path,
        teacher_adapter=finetuning_args.teacher_adapter,
        teacher_quantization_bit=finetuning_args.teacher_quantization_bit,
        teacher_hash=_fingerprint(teacher.model),
        compute_dtype="bfloat16" if training_args.bf16 else str(teacher.model.dtype).removeprefix("torch."),
        template=data_args.template,
        cutoff_len=data_args.cutoff_len,
        rows=0,
        tokens=0,
        created_by=f"distillm2 {__version__}",
    )
    try:
        write_cache(
            Path(folder),
            manifest,
            rows,
            teacher,
            device=accelerator.device,
            batch_size=batch_size,
            chunk_size=finetuning_args.distill_chunk_size,
            shard_bytes=shard_bytes,
            progress=progress,
        )
    except torch.OutOfMemoryError as error:
        raise DistillationError(
            f"{accelerator.device} has too little memory for {batch_size} rows of up to {int(rows.lengths.max())} "
            "tokens. Give a smaller --batch-size, or set teacher_quantization_bit; shards that are finished stay."
        ) from error
    return Path(folder)


def _student_vocabulary(model_args: Any, tokenizer: Any) -> int:
    """Rows that the student's head will have in training; its weights are not loaded."""
    from llamafactory.model import load_config

    rows = int(load_config(model_args).get_text_config().vocab_size)
    if model_args.resize_vocab and len(tokenizer) > rows:
        return -(-len(tokenizer) // 64) * 64  # as LLaMA-Factory pads it
    return rows


def _fingerprint(model: Any) -> str:
    """Hash of a model's configuration and of 64 elements of each of its weights."""
    config = {key: value for key, value in model.config.to_dict().items() if key not in _VOLATILE}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for name, weight in sorted(model.named_parameters()):
        flat = weight.detach().flatten()
        sample = flat[:: max(1, len(flat) // 64)][:64].contiguous().cpu()
        digest.update(name.encode())
        digest.update(sample.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
