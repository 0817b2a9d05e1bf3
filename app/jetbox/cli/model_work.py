"""What `jetbox-tui models warm`, `unload`, `measure` and `pull` do."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import click
import msgspec

from jetbox.cli.model_lists import placed, require, summary
from jetbox.cli.plain import plain
from jetbox.engine.errors import ExitCode
from jetbox.engine.models import manage
from jetbox.engine.models.catalog import Catalog, Entry
from jetbox.engine.models.window import choose_window, too_small
from jetbox.engine.sizes import size

if TYPE_CHECKING:
    from jetbox.cli.options import Invocation
    from jetbox.engine.models.base import ChatModel
    from jetbox.engine.models.figures import Figures
    from jetbox.engine.models.measure import Taken


def warm(asked: Invocation, name: str) -> int:
    """Load a model.

    Raises:
        ModelError
    """

    async def work() -> None:
        async with _connected(asked) as model:
            entry = require(await Catalog(model).look(), name)
            info = await model.info(entry.info.name)
            window = await choose_window(model, info, asked.settings.context, os.environ)
            await manage.warm(model, entry.info.name, asked.settings.model, window.tokens)
            held = next((m for m in await model.running() if m.serves(entry.info.name)), None)
            lies = placed(held.size_vram / held.size) if held is not None and held.size else ""
            where = {"": "", "GPU": ", on the GPU"}.get(lies, f", {lies}")
            click.echo(
                plain(f"{entry.info.name} is loaded with a window of {held.window if held else window.tokens:,}{where}")
            )
            small, cure = too_small(model, info, window)
            for words in filter(None, (small or window.lowered, cure)):
                click.echo(plain(words), err=True)

    asyncio.run(work())
    return ExitCode.DONE


def unload(asked: Invocation, name: str) -> int:
    """Unload a model.

    Raises:
        ModelError
    """

    async def work() -> None:
        async with _connected(asked) as model:
            entry = require(await Catalog(model).look(), name)
            await manage.unload(model, entry.info.name, asked.settings.model)
            was = "is unloaded" if entry.loaded else "was not loaded"
            click.echo(plain(f"{entry.info.name} {was}"))

    asyncio.run(work())
    return ExitCode.DONE


def pull(asked: Invocation, name: str) -> int:
    """Fetch a model, with words about the progress.

    Raises:
        ModelError
    """

    async def work() -> None:
        async with _connected(asked) as model:
            told = ""
            async for step in model.pull(name):
                share = f" {step.completed / step.total:4.0%} of {size(step.total)}" if step.total else ""
                words = plain(step.status + share)
                if words != told:
                    told = words
                    _progress(words)
            _progress("", last=True)
            click.echo(plain(f"{name} is there"))

    asyncio.run(work())
    return ExitCode.DONE


def measure(asked: Invocation, names: tuple[str, ...], repeats: int, *, cold: bool, as_json: bool) -> int:
    """Send the standard set to each model, keep what it found, and print it.

    Raises:
        ModelError, StorageError
    """
    found: list[dict[str, Any]] = []

    async def work() -> None:
        async with _connected(asked) as model:
            for name in names or (await _own(model, asked),):
                found.append(await _measure(model, asked, name, repeats, cold=cold, quiet=as_json))

    asyncio.run(work())
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    return ExitCode.DONE


async def _own(model: ChatModel, asked: Invocation) -> str:
    from jetbox.engine.models.choose import choose_model

    return (await choose_model(model, asked.settings.model.name)).name


async def _measure(
    model: ChatModel, asked: Invocation, name: str, repeats: int, *, cold: bool, quiet: bool
) -> dict[str, Any]:
    from jetbox.engine.models.figures import Figures
    from jetbox.engine.models.measure import Asked, measure
    from jetbox.record.figures import FiguresStore

    entry: Entry = require(await Catalog(model).look(), name)
    info, settings = entry.info, asked.settings
    window = await _window(model, asked, info.name)
    figures = Figures()
    taken: list[Taken] = []
    if not quiet:
        click.echo(plain(f"{info.name}, window {window:,} tokens, {repeats} times each"))
    async for each in measure(model, Asked(info.name, info, settings.model, window, repeats, cold), figures):
        taken.append(each)
        if not quiet:
            click.echo(plain(_taken(each)))
    await asyncio.to_thread(FiguresStore().add, model.host, info.name, info.digest, figures)
    if not quiet:
        click.echo(plain(_result(figures)))
    return {"model": info.name, "digest": info.digest, "window": window, "measured": summary(figures), "taken": taken}


async def _window(model: ChatModel, asked: Invocation, name: str) -> int:
    """The window that a session would have: with another one the server would load the model again."""
    return (await choose_window(model, await model.info(name), asked.settings.context, os.environ)).tokens


def _taken(taken: Taken) -> str:
    metrics = taken.metrics
    words = [f"  {taken.what:<10} {taken.wall_ns / 1e9:7.2f} s"]
    if taken.ttft_ns >= 0:
        words.append(f"first token {taken.ttft_ns / 1e6:,.0f} ms")
    if metrics.get("prompt_eval_count"):
        cached = metrics.get("prompt_eval_cached_count")
        told = f", {cached:,} cached" if cached else ""
        words.append(f"prompt {metrics['prompt_eval_count']:,}{told}")
    if metrics.get("eval_count"):
        words.append(f"answer {metrics['eval_count']:,}")
    if taken.what == "call":
        words.append(taken.said or "called")
    elif taken.said:
        words.append(taken.said)
    return "  ".join(words)


def _result(figures: Figures) -> str:
    told = summary(figures)
    names = {"load_s": "load, s", "prefill_tokens_per_s": "reads, tok/s", "decode_tokens_per_s": "writes, tok/s"}
    about = "~" if figures.clocked else ""  # a load is not among what such a server has
    parts = [f"{words} {about}{told[name]['median']:,}" for name, words in names.items() if told[name]]
    if figures.calls or figures.garbled:
        parts.append(f"calls {figures.calls_ok} of {figures.calls + figures.garbled}")
    return "kept: " + "; ".join(parts) if parts else "nothing could be measured"


def _progress(words: str, *, last: bool = False) -> None:
    """One line that is written over on a terminal; elsewhere a line each."""
    if sys.stderr is None:
        return
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{words}")
    elif not last:
        sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


@asynccontextmanager
async def _connected(asked: Invocation) -> AsyncIterator[ChatModel]:
    from jetbox.engine.models.connect import connected

    model = await connected(asked.settings.model, os.environ)
    try:
        yield model
    finally:
        await model.close()
