"""The commands ``generate``, ``pairs`` and ``synthesize``: from prompts and passages to training pairs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from distillm2.cli.options import MAX_TOKENS, TEMPERATURE, TOP_P, Concurrency, KeyVariable, MaxTokens, Temperature, TopP
from distillm2.data.dataset_info import check_free, dataset_place
from distillm2.data.passages import Language, load_passages
from distillm2.errors import DistillationError

if TYPE_CHECKING:
    from distillm2.data.synthesize import SynthesisReport
    from distillm2.data.templates import TrainingTemplate

UNFINISHED = 1
console = Console(stderr=True, markup=False, emoji=False)

EndpointUrl = Annotated[str, typer.Option("--endpoint", help="OpenAI-compatible server: http://127.0.0.1:8000/v1")]
Model = Annotated[str, typer.Option(help="The model's name at the endpoint.")]
Seed = Annotated[int | None, typer.Option(help="Each request's seed is derived from it; omitted: the server's choice.")]
Timeout = Annotated[float, typer.Option(min=1.0, help="Seconds to wait for one response.")]
Restart = Annotated[
    bool, typer.Option("--restart", help="Begin again; what was answered is kept as <output>.old, .old.2 and so on.")
]
TemplateName = Annotated[str | None, typer.Option(help="LLaMA-Factory's template of the training, e.g. qwen3.")]
Tokenizer = Annotated[str | None, typer.Option(help="Folder or hub name of the student's tokenizer.")]
Thinking = Annotated[
    bool | None,
    typer.Option("--enable-thinking/--no-enable-thinking", help="The training's enable_thinking, if you set it there."),
]
DefaultSystem = Annotated[str | None, typer.Option(help="The training's default_system, if you set it there.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(generate)
    app.command()(pairs)
    app.command()(synthesize)


def generate(
    prompts: Annotated[str, typer.Argument(help="JSONL or JSON file; with --dataset-dir the name of a dataset in it.")],
    endpoint: EndpointUrl,
    model: Model,
    output: Annotated[Path, typer.Option(help="JSONL file of the responses; an existing one is gone on with.")],
    dataset_dir: Annotated[
        Path | None, typer.Option(help="LLaMA-Factory dataset folder with dataset_info.json.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Responses to each prompt.")] = 1,
    temperature: Temperature = TEMPERATURE,
    top_p: TopP = TOP_P,
    max_tokens: MaxTokens = MAX_TOKENS,
    seed: Seed = None,
    concurrency: Concurrency = 16,
    timeout: Timeout = 600.0,
    template: TemplateName = None,
    tokenizer: Tokenizer = None,
    check_template: Annotated[
        bool,
        typer.Option(
            "--check-template",
            help="Use chat completions, after comparing the tokenizer's chat template with the training template.",
        ),
    ] = False,
    enable_thinking: Thinking = None,
    default_system: DefaultSystem = None,
    api_key_env: KeyVariable = None,
    restart: Restart = False,
) -> None:
    """Write a model's responses to prompts, for the teacher and for the student.

    With --template and --tokenizer prompts are rendered by LLaMA-Factory and sent as token ids to /completions, so that
    responses come from the distribution that training sees; without them the server's chat template renders them.
    Start the same command again after a kill: what was answered is not asked again. Exit status 0: all answered.

    Example: distillm2 generate prompts.jsonl --endpoint http://127.0.0.1:8000/v1 --model student --output student.jsonl
    --template qwen3 --no-enable-thinking --tokenizer models/student
    """
    from distillm2.data.endpoint import Endpoint, Sampling, key_from_environment
    from distillm2.data.generate import Rendering
    from distillm2.data.generate import generate as generate_responses
    from distillm2.data.sources import load_prompts

    rendering = _rendering(template, tokenizer, enable_thinking, default_system)
    if check_template and rendering is None:
        raise DistillationError("--check-template needs --template and --tokenizer.")
    report = generate_responses(
        load_prompts(prompts, dataset_dir),
        Endpoint(endpoint, model, key_from_environment(api_key_env, "OPENAI_API_KEY"), timeout),
        output,
        sampling=Sampling(temperature, top_p, max_tokens, seed),
        samples=samples,
        concurrency=concurrency,
        rendering=Rendering(rendering, check_template) if rendering else None,
        thinking=enable_thinking,
        restart=restart,
        console=console,
    )
    _table(
        f"Responses of {model} in {output}",
        {
            "wanted": report.wanted,
            "answered before": report.done_before,
            "answered now": report.done - report.done_before,
            "failed, asked again at the next start": report.failed,
            "truncated at max-tokens": report.truncated,
            "empty": report.empty,
            "with thoughts given apart, not in the response": report.with_reasoning,
            "prompts that came twice, asked once": report.repeated_prompts,
            "torn last line removed": int(report.repaired),
            "tokens": report.tokens,
        },
    )
    if rendering is None:
        console.print("The server's chat template rendered the prompts, unchecked: see --template.")
    if not report.finished:
        raise typer.Exit(UNFINISHED)


def pairs(
    teacher: Annotated[Path, typer.Option(help="Responses of the teacher, written by generate.")],
    student: Annotated[Path, typer.Option(help="Responses of the student, written by generate.")],
    output: Annotated[Path, typer.Option(help="LLaMA-Factory dataset folder.")],
    name: Annotated[str, typer.Option(help="Name of the dataset; the held-out rows are NAME_validation.")],
    template: TemplateName = None,
    tokenizer: Tokenizer = None,
    enable_thinking: Thinking = None,
    default_system: DefaultSystem = None,
    cutoff_len: Annotated[int, typer.Option(min=2, help="Longest prompt with response, in tokens.")] = 1024,
    max_prompt: Annotated[int, typer.Option(min=1, help="Longest prompt, in tokens.")] = 512,
    validation: Annotated[float, typer.Option(help="Share of the prompts to hold out, 0 to below 1.")] = 0.05,
    near_duplicate: Annotated[
        float, typer.Option(help="Prompts whose letter trigrams overlap by this share stay in one split.")
    ] = 0.8,
    drop_identical: Annotated[
        bool, typer.Option("--drop-identical", help="Drop pairs of equal responses, which DPO learns nothing from.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Another seed holds out other prompts.")] = 42,
) -> None:
    """Join teacher's and student's responses to a ranking dataset that LLaMA-Factory can train on.

    Example: distillm2 pairs --teacher teacher.jsonl --student student.jsonl --output data --name my_pairs
    --template qwen3 --no-enable-thinking --tokenizer models/student
    """
    from distillm2.data.pairs import Limits, build_pairs

    rendering = _rendering(template, tokenizer, enable_thinking, default_system)
    with console.status("Joining, counting tokens and looking for near-duplicates"):
        report = build_pairs(
            teacher,
            student,
            output,
            name,
            template=rendering,
            limits=Limits(cutoff_len, max_prompt),
            validation=validation,
            near_duplicate=near_duplicate,
            drop_identical=drop_identical,
            seed=seed,
        )
    _table(
        f"Pairs in {output / 'dataset_info.json'}",
        {
            "in: teacher's responses": report.teacher_responses,
            "in: student's responses": report.student_responses,
            **{f"in: failed requests of the {side}": count for side, count in report.failed.items()},
            "joined": report.joined,
            **{f"dropped: {reason}": count for reason, count in report.dropped.items()},
            **{f"out: {split}": count for split, count in report.splits.items()},
            "of these with identical responses": report.identical_kept,
        },
    )
    for warning in report.warnings:
        console.print(warning, style="yellow")


def synthesize(
    passages: Annotated[Path, typer.Argument(help="JSONL with id, title and text, or a folder of .txt and .md files.")],
    endpoint: EndpointUrl,
    model: Model,
    output: Annotated[Path, typer.Option(help="JSONL file of the accepted pairs; <output>.journal is gone on with.")],
    judge_endpoint: Annotated[str | None, typer.Option(help="Server of the judge.", show_default="--endpoint")] = None,
    judge_model: Annotated[str | None, typer.Option(help="The judge.", show_default="--model")] = None,
    minimum: Annotated[float, typer.Option(min=0.0, max=10.0, help="Lowest score accepted, of 10.")] = 7.0,
    attempts: Annotated[int, typer.Option(min=1, help="How often one question is written at most.")] = 3,
    target: Annotated[int | None, typer.Option(min=1, help="Pairs wanted.", show_default="one a passage")] = None,
    per_passage: Annotated[int, typer.Option(min=1, help="Questions asked of one passage at most.")] = 5,
    language: Annotated[Language | None, typer.Option(show_default="that of each passage")] = None,
    register_as: Annotated[
        str | None, typer.Option("--register", metavar="DIR/NAME", help="Also write the alpaca dataset NAME to DIR.")
    ] = None,
    question_only: Annotated[
        bool, typer.Option("--question-only", help="Register questions without their passage as input.")
    ] = False,
    temperature: Temperature = TEMPERATURE,
    top_p: TopP = TOP_P,
    max_tokens: MaxTokens = MAX_TOKENS,
    seed: Seed = None,
    concurrency: Concurrency = 16,
    timeout: Timeout = 600.0,
    api_key_env: KeyVariable = None,
    judge_api_key_env: Annotated[
        str | None, typer.Option(help="Environment variable with the judge's key; needed with --judge-endpoint only.")
    ] = None,
    restart: Restart = False,
) -> None:
    """Make question-answer pairs from passages: a teacher writes them, a judge scores them, low ones are written anew.

    Exit status 0: as many pairs as wanted. Start the same command again to go on.

    Example: distillm2 synthesize docs/ --endpoint http://127.0.0.1:8000/v1 --model teacher --output qa.jsonl
    --target 1000 --register data/my_qa
    """
    from distillm2.data.endpoint import Endpoint, Sampling, key_from_environment
    from distillm2.data.synthesize import Quality, register_questions
    from distillm2.data.synthesize import synthesize as synthesize_questions

    teacher = Endpoint(endpoint, model, key_from_environment(api_key_env, "OPENAI_API_KEY"), timeout)
    # The teacher's key is never sent to another server.
    judge_key = key_from_environment(judge_api_key_env, "JUDGE_API_KEY") if judge_endpoint else teacher.api_key
    judge = Endpoint(judge_endpoint or endpoint, judge_model or model, judge_key, timeout)
    place = dataset_place(register_as) if register_as is not None else None
    if place is not None:
        check_free(*place)
    texts = load_passages(passages)
    report = synthesize_questions(
        texts,
        teacher,
        output,
        judge=judge,
        target=target,
        quality=Quality(minimum, attempts, per_passage, language),
        sampling=Sampling(temperature, top_p, max_tokens, seed),
        concurrency=concurrency,
        restart=restart,
        console=console,
    )
    _table(f"Questions in {output}", _synthesis_rows(report))
    if judge.model == teacher.model and not judge_endpoint:
        console.print("The teacher judged itself, which scores kindly: see --judge-model.", style="yellow")
    if place is not None:
        folder, name = place
        count = register_questions(output, texts, folder, name, with_passage=not question_only)
        console.print(f"{count} rows registered as {name} in {folder / 'dataset_info.json'}.")
    if not report.finished:
        raise typer.Exit(UNFINISHED)


def _rendering(
    template: str | None, tokenizer: str | None, thinking: bool | None, default_system: str | None
) -> TrainingTemplate | None:
    from distillm2.data.templates import load_template

    if (template is None) != (tokenizer is None):
        raise DistillationError("--template and --tokenizer go together: give both or neither.")
    if template is None or tokenizer is None:
        if default_system is not None:
            raise DistillationError("--default-system needs --template and --tokenizer.")
        return None
    with console.status("Loading LLaMA-Factory's templates"):
        return load_template(template, tokenizer, thinking=thinking, default_system=default_system)


def _synthesis_rows(report: SynthesisReport) -> dict[str, int | float | str]:
    from distillm2.data.questions import CRITERIA

    return {
        "wanted": report.target,
        "accepted": report.accepted,
        **{f"accepted at attempt {attempt}": count for attempt, count in report.accepted_at.items()},
        "given up after all attempts": report.given_up,
        "failed, asked again at the next start": report.failed,
        "attempts": report.attempts,
        "mean score of the accepted": "-" if report.mean_score is None else f"{report.mean_score:.2f}",
        **{
            f"judged {score}": f"{count} {'#' * -(-40 * count // report.attempts)}"
            for score, count in report.histogram.items()
        },
        **{
            f"rejected for {name}" if name not in CRITERIA else f"rejected, least {name}": count
            for name, count in report.rejected_for.items()
        },
    }


def _table(title: str, rows: Mapping[str, int | float | str]) -> None:
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column()
    table.add_column()
    for name, value in rows.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    Console(markup=False, emoji=False).print(table)
