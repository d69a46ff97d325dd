"""``llmflow tune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmflow.cli.evaluating import not_installed
from llmflow.cli.output import print_json, progress_bar, results
from llmflow.cli.session import Json, Session

if TYPE_CHECKING:
    from evaluation.tuning import Tuned

app = typer.Typer(help="Fit LLMFlow to judged questions of your own.", no_args_is_help=True)


@app.callback()
def _tune() -> None: ...


@app.command()
def retrieval(
    folder: Annotated[
        Path, typer.Argument(help="A BEIR folder: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv (or .gz).")
    ],
    split: Annotated[str, typer.Option(help="Whose judged questions to fit to.")] = "train",
    learn: Annotated[
        bool,
        typer.Option("--learn", help="Train a learned fusion as well (extra learn); needs 300 judged questions."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Find the weights of retrieval on judged questions, and save them in the settings file.

    The set is indexed in a place of its own; your documents are not touched. A fifth of the
    questions is held back to compare what was found with the settings before; what is not better
    there is not saved.

    Examples:
      llmflow tune retrieval data/ours --split train
      llmflow tune retrieval data/ours --split train --learn
    """
    try:
        from evaluation.tuning import tune_retrieval
    except ModuleNotFoundError as error:
        raise not_installed(error) from None
    from llmflow.cli.settings_file import set_values
    from llmflow.settings import config_file

    settings = Session().settings
    with progress_bar() as show:
        tuned = tune_retrieval(folder, split, settings, show, learning=learn)
    values: dict[str, Any] = dict(tuned.weights)
    if values or tuned.fusion != settings.retrieval.fusion:
        values["fusion"] = tuned.fusion
    if tuned.model is not None:
        values["fusion_model"] = str(tuned.model.save(settings.data_dir.absolute() / "fusion"))
    file = config_file()
    if values:
        set_values(file, "retrieval", values)
    if as_json:
        print_json(
            {
                "questions": tuned.questions,
                "held_back": tuned.held_back,
                "ndcg@10": {"before": tuned.before, "convex": tuned.after, "learned": tuned.learned},
                "fusion": tuned.fusion,
                "saved": values,
                "file": str(file),
                "seconds": tuned.seconds,
            }
        )
    else:
        _print(tuned, values, file)


def _print(tuned: Tuned, values: dict[str, Any], file: Path) -> None:
    from rich.table import Table

    table = Table("nDCG@10", "", box=None, pad_edge=False)
    table.add_row("settings before", f"{tuned.before:.4f}")
    table.add_row("convex, weights found", f"{tuned.after:.4f}" if tuned.after > tuned.before else "no better")
    if tuned.learned is not None:
        table.add_row("learned", f"{tuned.learned:.4f}")
    console = results()
    console.print(f"{tuned.held_back} of {tuned.questions} judged questions were held back:")
    console.print(table)
    if tuned.learned is not None:
        console.print("the learned fusion wins and is used" if tuned.model else "the learned fusion does not win")
    if not values:
        console.print("nothing was better; the settings stay as they are")
        return
    console.print(f"saved in {file}, section retrieval:", soft_wrap=True)
    for key, value in values.items():
        console.print(f"  {key}: {value}", soft_wrap=True)
