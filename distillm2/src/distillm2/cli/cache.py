"""``distillm2 cache`` and ``distillm2 cache-info``: the offline teacher is written and looked at."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from distillm2.teacher.cache_reader import CacheReader

MIB = 1 << 20


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("cache")(cache)
    app.command("cache-info")(cache_info)


def cache(
    config: Annotated[Path, typer.Argument(help="The training's YAML; its rows and its teacher are taken.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings to change.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the cache. Default: teacher_cache of the YAML.")
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Log-probabilities kept of each token.")] = 64,
    precision: Annotated[
        Literal["float16", "float32"],
        typer.Option(help="Of the log-probabilities on disk; see docs/offline_teacher.md."),
    ] = "float16",
    batch_size: Annotated[int, typer.Option(min=1, help="Rows the teacher reads at a time.")] = 8,
    shard_size: Annotated[int, typer.Option(min=1, help="MiB of a file, and of the memory it is gathered in.")] = 128,
) -> None:
    """Run the teacher once over every response and keep what it says, so that training needs no teacher in memory.

    Example: distillm2 cache x.yaml --output cache/qwen3-8b --top-k 64

    Then: distillm2 train x.yaml teacher_cache=cache/qwen3-8b

    Repeat the same command to go on after an interruption, or after rows were added to the data.
    """
    from rich.console import Console

    from distillm2.cli.settings import read_file
    from distillm2.data.progress import Counter, progress_bar
    from distillm2.teacher.cache_reader import CacheReader
    from distillm2.teacher.caching import cache_teacher

    settings = read_file(config, overrides or [])
    console = Console(stderr=True)
    bars: list[Counter] = []
    with ExitStack() as stack:

        def show(done: int, total: int) -> None:
            if bars:
                bars[0].progress.update(bars[0].task, completed=done)
                return
            if done:
                console.print(f"{done:,} of {total:,} response tokens are there already.")
            bars.append(stack.enter_context(progress_bar(console, "Response tokens", total, done)))

        folder = cache_teacher(
            settings,
            output,
            top_k=top_k,
            precision=precision,
            batch_size=batch_size,
            shard_bytes=shard_size * MIB,
            progress=show,
        )
    Console(markup=False, emoji=False).print(_table(folder, CacheReader(folder)))


def cache_info(folder: Annotated[Path, typer.Argument(help="Written by `distillm2 cache`.")]) -> None:
    """Show what a cache holds, who wrote it, and how large it is.

    Example: distillm2 cache-info cache/qwen3-8b
    """
    from rich.console import Console

    from distillm2.teacher.cache_reader import CacheReader

    Console(markup=False, emoji=False).print(_table(folder, CacheReader(folder)))


def _table(folder: Path, reader: CacheReader) -> Table:
    from rich.filesize import decimal
    from rich.table import Table

    manifest = reader.manifest
    bits = f", {manifest.teacher_quantization_bit} bits" if manifest.teacher_quantization_bit else ""
    adapter = f", adapter {manifest.teacher_adapter}" if manifest.teacher_adapter else ""
    complete = "complete" if reader.rows >= manifest.rows else "incomplete: run the same `distillm2 cache` again"
    size = decimal(reader.size)
    if reader.tokens:
        size += f", {reader.size / reader.tokens:,.0f} bytes a token"
    table = Table(title=str(folder), show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in (
        ("teacher", f"{manifest.teacher}{adapter}{bits}, computed in {manifest.compute_dtype}"),
        ("teacher's hash", manifest.teacher_hash[:12]),
        ("tokenizer's hash", manifest.tokenizer_hash[:12]),
        ("top k", f"{manifest.top_k:,} of {manifest.vocabulary:,} tokens, {manifest.precision}"),
        ("temperature", f"{manifest.temperature:g}"),
        ("template, cutoff_len", f"{manifest.template}, {manifest.cutoff_len:,}"),
        ("rows", f"{reader.rows:,} of {manifest.rows:,} ({complete})"),
        ("response tokens", f"{reader.tokens:,} of {manifest.tokens:,}"),
        ("size", size),
        ("mean tail mass", f"{reader.mean_tail_mass:.2%} of the probability is outside the top k"),
        ("format, written by", f"{manifest.format_version}, {manifest.created_by}"),
    ):
        table.add_row(name, value)
    return table
