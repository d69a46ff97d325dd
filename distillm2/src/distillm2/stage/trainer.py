"""The trainer: one student pass over all rows, targets from the teacher, the chunked loss, the schedules."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer

from distillm2.errors import DistillationError
from distillm2.heads import OutputHead, check_head, hidden_and_head
from distillm2.loss.chunked import LossTerms, distillation_loss, label_logprobs, target_logprobs
from distillm2.loss.objective import Objective
from distillm2.loss.schedules import AlphaSchedule, BetaSchedule, response_gap
from distillm2.loss.targets import HeadTarget, Target, TopKTarget
from distillm2.stage.batch import ResponseTokens
from distillm2.stage.callback import DistillLogCallback
from distillm2.stage.statistics import DistillState
from distillm2.teacher.source import TeacherSource


class DistillTrainer(Trainer):
    """Trains a student on pairs of a teacher's and a student's response (arXiv 2503.07067)."""

    optimizer: Any

    def __init__(
        self,
        teacher: TeacherSource,
        finetuning_args: Any,
        tokenizer: Any,
        processor: Any = None,
        previous: Path | None = None,
        **kwargs: Any,
    ) -> None:
        """``previous`` is the folder of the run before, when this one is a later part of the same distillation."""
        self.finetuning_args = finetuning_args
        self.objective = Objective(
            finetuning_args.distill_loss, finetuning_args.distill_temperature, finetuning_args.distill_sft_weight
        )
        self.alpha_schedule = AlphaSchedule(
            finetuning_args.distill_alpha_schedule if self.objective.adapts_alpha else "fixed",
            finetuning_args.distill_alpha,
            finetuning_args.distill_alpha_min,
        )
        self.beta_schedule = BetaSchedule(finetuning_args.distill_beta_schedule)
        self.distill_state = DistillState()
        self._evaluated: list[Tensor] = []
        super().__init__(processing_class=tokenizer, **kwargs)
        self.model_accepts_loss_kwargs = False  # the loss is a mean: accumulated micro-batches are averaged
        self.add_callback(DistillLogCallback)
        if processor is not None:
            from llamafactory.train.callbacks import SaveProcessorCallback

            self.add_callback(SaveProcessorCallback(processor))
        self.teacher = teacher
        teacher.prepare(self.accelerator)
        self.vocabulary = min(check_head(self.model, self.accelerator.autocast), teacher.vocabulary)
        if self.vocabulary < len(tokenizer):
            raise DistillationError(
                f"The smaller of both models' vocabularies has {self.vocabulary} rows, and the tokenizer "
                f"{len(tokenizer)} tokens: choose a teacher and a student that cover the tokenizer."
            )
        if previous is not None and self._is_adaptive:
            self.distill_state.load(previous, self.accelerator, required=True)
            self.distill_state.restart()

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Mapping[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, None]:
        """Mean over pairs of weighted divergences, each a mean over a response's tokens."""
        tokens, hidden, head, target = self._forward(model, inputs)
        alpha = self._choose_alpha(tokens, hidden, head, target)
        weights = self.beta_schedule(*self._position())
        weight = torch.where(tokens.written, weights.student, weights.teacher)
        terms = self._terms(tokens, hidden, head, target, alpha, weight, self.objective)
        self._record(tokens, terms, alpha, weights.beta)
        return (terms.loss, None) if return_outputs else terms.loss

    @torch.no_grad()
    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor, None, None]:
        """The loss with ``distill_alpha`` and both weights 1, so that it can be compared between epochs.

        Gathers beside it what depends on no setting of the loss: KL(p || q) and -log q on teacher responses and
        KL(q || p) on student responses, at temperature 1.
        """
        tokens, hidden, head, target = self._forward(model, self._prepare_inputs(inputs))
        ones = torch.ones(tokens.written.shape, device=hidden.device)
        terms = self._terms(tokens, hidden, head, target, ones * self.alpha_schedule.alpha, ones, self.objective)
        divergence = torch.zeros_like(terms.divergence)
        for written, objective in ((False, Objective("kl")), (True, Objective("rkl"))):
            chosen = (tokens.token_written == written).nonzero().squeeze(-1)
            divergence[chosen] = self._plain_divergence(objective, tokens, hidden, head, target, chosen)
        kl, rkl = tokens.mean(divergence).split(tokens.pairs)
        nll = -tokens.mean(terms.student_logp)[: tokens.pairs]
        loss = self.objective.of_pairs(sum(tokens.mean(terms.divergence).split(tokens.pairs)), nll)
        self._evaluated.append(self.accelerator.gather_for_metrics(torch.stack([loss, kl, rkl, nll], dim=1)))
        return loss.mean(), None, None

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> Any:
        """LLaMA-Factory's evaluation, with ``eval_kl``, ``eval_rkl`` and ``eval_nll`` beside ``eval_loss``.

        All four are means over pairs; transformers' own loss counts the pairs that fill the last batch of several
        processes.
        """
        self._evaluated = []
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        means = torch.cat(self._evaluated).mean(0).tolist()
        for name, value in zip(("loss", "kl", "rkl", "nll"), means, strict=True):
            output.metrics[f"{metric_key_prefix}_{name}"] = value
        return output

    def fix_anchor(self) -> dict[str, float]:
        """Averages since the last logging step, from which alpha's anchor is taken; every process must call it."""
        means = self.distill_state.means(self.accelerator)
        if self._is_adaptive:
            self.distill_state.fix_anchor(means)
        return means

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the averages since the last logging step; the first ones are alpha's anchor."""
        if "loss" in logs:
            means = self.fix_anchor()
            self.distill_state.restart()
            logs |= {f"distill/{name}": value for name, value in means.items()}
        super().log(logs, *args, **kwargs)

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """LLaMA-Factory's optimizers."""
        from llamafactory.train.trainer_utils import create_custom_optimizer

        if self.optimizer is None:
            self.optimizer = create_custom_optimizer(self.model, self.args, self.finetuning_args)
        return super().create_optimizer(*args, **kwargs)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The learning rate's schedule over the whole distillation, moved on to where this run begins."""
        from llamafactory.train.trainer_utils import create_custom_scheduler

        done, total = self._place(0, num_training_steps)
        create_custom_scheduler(self.args, total, optimizer)
        scheduler = super().create_scheduler(total, optimizer)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*before.*optimizer.step.*")
            for _ in range(done):
                scheduler.step()
        return scheduler

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        if self.finetuning_args.disable_shuffling:
            return torch.utils.data.SequentialSampler(self.train_dataset)
        return super()._get_train_sampler(*args, **kwargs)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        self.distill_state.save(Path(output_dir), self.accelerator)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.distill_state.load(Path(checkpoint), self.accelerator, required=self._is_adaptive)

    @property
    def _is_adaptive(self) -> bool:
        return self.alpha_schedule.name == "adaptive"

    def _forward(
        self, model: nn.Module, inputs: Mapping[str, Tensor]
    ) -> tuple[ResponseTokens, Tensor, OutputHead, Target]:
        """Response tokens, the student's hidden states [n, H] at them, its head, and the teacher's targets."""
        tokens = ResponseTokens.of(inputs["labels"])
        features = {name: value for name, value in inputs.items() if name != "labels"}
        target = self.teacher.targets(features, tokens.rows, tokens.columns)
        hidden, head = hidden_and_head(model, features)
        return tokens, hidden[tokens.rows, tokens.columns], head, target

    def _terms(
        self,
        tokens: ResponseTokens,
        hidden: Tensor,
        head: OutputHead,
        target: Target,
        alpha: Tensor,
        weight: Tensor,
        objective: Objective,
    ) -> LossTerms:
        """The loss with an alpha and a weight for each sequence [B]."""
        with self.accelerator.autocast():
            return distillation_loss(
                hidden,
                head,
                target,
                tokens.labels,
                tokens.token_written,
                alpha[tokens.rows],
                tokens.per_token(weight),
                tokens.per_token((~tokens.written).float()),
                objective,
                self.finetuning_args.distill_chunk_size,
                self.vocabulary,
                head.trainable(),
            )

    def _plain_divergence(
        self,
        objective: Objective,
        tokens: ResponseTokens,
        hidden: Tensor,
        head: OutputHead,
        target: Target,
        chosen: Tensor,
    ) -> Tensor:
        """The objective's divergence at some of the tokens."""
        part = (
            target.chunk(chosen) if isinstance(target, TopKTarget) else HeadTarget(target.hidden[chosen], target.head)
        )
        none = torch.zeros(len(chosen), device=hidden.device)
        with self.accelerator.autocast():
            return distillation_loss(
                hidden[chosen],
                head,
                part,
                tokens.labels[chosen],
                tokens.token_written[chosen],
                none + 0.5,
                none,
                none,
                objective,
                self.finetuning_args.distill_chunk_size,
                self.vocabulary,
                head.trainable(),
            ).divergence

    def _choose_alpha(self, tokens: ResponseTokens, hidden: Tensor, head: OutputHead, target: Target) -> Tensor:
        """Alpha of each sequence [B]; from the second epoch on it follows the gap, which takes a pass of its own."""
        epoch = self.finetuning_args.distill_first_epoch + int(self.state.epoch or 0)
        fixed = torch.full(tokens.written.shape, self.alpha_schedule.alpha, device=hidden.device)
        if not self._is_adaptive or epoch < 1:
            return fixed
        if self.distill_state.anchor is None:
            self.fix_anchor()
        if self.distill_state.anchor is None:
            return fixed
        chunk_size = self.finetuning_args.distill_chunk_size
        with torch.no_grad(), self.accelerator.autocast():
            student = label_logprobs(hidden, head, tokens.labels, self.vocabulary, chunk_size)
            teacher = target_logprobs(target, tokens.labels, self.vocabulary, chunk_size)
        gap = response_gap(tokens.mean(teacher), tokens.mean(student), tokens.written)
        halves = zip(gap.split(tokens.pairs), self.distill_state.anchor, strict=True)
        return torch.cat([self.alpha_schedule(half, anchor, epoch) for half, anchor in halves])

    def _record(self, tokens: ResponseTokens, terms: LossTerms, alpha: Tensor, beta: float) -> None:
        """Add this batch to the averages."""
        divergence = tokens.mean(terms.divergence)
        student = tokens.mean(terms.student_logp)
        gap = response_gap(tokens.mean(terms.teacher_logp), student, tokens.written)
        values = {"beta": torch.full((1,), beta, device=alpha.device)}
        for name, column in (("skl", divergence), ("gap_teacher", gap), ("alpha_teacher", alpha)):
            values[name] = column[: tokens.pairs]
        for name, column in (("srkl", divergence), ("gap_student", gap), ("alpha_student", alpha)):
            values[name] = column[tokens.pairs :]
        if not self.objective.reads_alpha:
            del values["alpha_teacher"], values["alpha_student"]
        if self.objective.sft_weight:
            values["sft"] = -student[: tokens.pairs]
        self.distill_state.add(values)

    def _position(self) -> tuple[int, int]:
        """The current optimizer step and their number, in the whole distillation."""
        return self._place(self.state.global_step, self.state.max_steps)

    def _place(self, step: int, steps: int) -> tuple[int, int]:
        """A step of this run's ``steps`` within all runs of the distillation."""
        total = self.finetuning_args.distill_total_epochs
        if not total:
            return step, steps
        per_epoch = steps / self.args.num_train_epochs
        return step + round(self.finetuning_args.distill_first_epoch * per_epoch), round(total * per_epoch)
