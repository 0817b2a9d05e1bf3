"""What `jetbox-tui models list` and `show` print."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import click
import msgspec

from jetbox.cli.plain import plain
from jetbox.engine.errors import ExitCode, ModelNotFound
from jetbox.engine.models.address import bare
from jetbox.engine.models.figures import Figures, median
from jetbox.engine.models.standing import Standing, best_at
from jetbox.engine.sizes import size
from jetbox.engine.times import stretch

if TYPE_CHECKING:
    from jetbox.cli.options import Invocation
    from jetbox.engine.models.base import ChatModel
    from jetbox.engine.models.catalog import Entry, Listing

_HEAD = (
    "model",
    "size",
    "window",
    "can",
    "loaded",
    "load",
    "reads",
    "writes",
    "first token",
    "calls",
    "green",
    "best at",
)


def show_all(asked: Invocation, as_json: bool) -> int:
    """Print every model of the server.

    Raises:
        ModelError: the server does not answer.
    """
    listing, figures = asyncio.run(look(asked))
    rows = list(zip(listing.entries, figures, strict=True))
    words = best_at([_standing(*row) for row in rows])
    if as_json:
        _print_json(
            {
                "host": bare(asked.settings.model.host),
                "loading": listing.loading,
                "models": [{**_json(*row), "best_at": word} for row, word in zip(rows, words, strict=True)],
            }
        )
        return ExitCode.DONE
    if not rows:
        click.echo("the server has no model yet: jetbox-tui models pull NAME")
        return ExitCode.DONE
    table = [_HEAD, *((*_row(*row), word) for row, word in zip(rows, words, strict=True))]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEAD))]
    for row in table:
        click.echo(plain("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()))
    if listing.loading:
        click.echo("the server loads or unloads a model: what is loaded was not told")
    return ExitCode.DONE


def show_one(asked: Invocation, name: str, as_json: bool) -> int:
    """Print all that is known of one model.

    Raises:
        ModelError: the server does not answer, or does not have it.
    """
    listing, figures = asyncio.run(look(asked))
    entry = require(listing, name)
    known = figures[listing.entries.index(entry)]
    if as_json:
        _print_json(_json(entry, known))
        return ExitCode.DONE
    for label, words in _lines(entry, known):
        click.echo(plain(f"{label:<14}  {words}"))
    return ExitCode.DONE


def require(listing: Listing, name: str) -> Entry:
    """The model of that name.

    Raises:
        ModelNotFound: the server does not have it.
    """
    entry = listing.find(name)
    if entry is None:
        there = ", ".join(e.info.name for e in listing.entries) or "nothing yet"
        hint = f"jetbox-tui models pull {name}" if listing.fetches else "name one of those"
        raise ModelNotFound(f"the server does not have {name}; it has: {there}", hint)
    return entry


async def look(asked: Invocation) -> tuple[Listing, list[Figures]]:
    """What the server has, and what was measured of each."""
    from jetbox.engine.models.connect import connected

    model = await connected(asked.settings.model, os.environ)
    try:
        return await look_at(model)
    finally:
        await model.close()


async def look_at(model: ChatModel) -> tuple[Listing, list[Figures]]:
    """The same of a server that is connected already."""
    from jetbox.engine.models.catalog import Catalog
    from jetbox.record.figures import FiguresStore

    listing = await Catalog(model).look()
    store = FiguresStore()
    names = [(entry.info.name, entry.info.digest) for entry in listing.entries]
    return listing, [store.read(model.host, *name, digests=model.manages) for name in names]


def _row(entry: Entry, known: Figures) -> tuple[str, ...]:
    info = entry.info
    can = ", ".join(word for word in info.capabilities if word not in ("completion",)) or (
        "?" if not info.capabilities else ""
    )
    return (
        info.name + (" (remote)" if info.remote else ""),
        size(info.size) if info.size else "-",
        f"{info.max_ctx:,}" if info.max_ctx else "-",
        f"{can} ({entry.lacks})".strip() if entry.lacks else can,
        _loaded(entry),
        _seconds(known.load),
        _rate(known, known.prefill),
        _rate(known, known.decode),
        _ms(known.ttft_warm),
        _share(known),
        f"{len(known.rounds_to_green)} of {known.goals}" if known.goals else "-",
    )


def _standing(entry: Entry, known: Figures) -> Standing:
    return Standing(
        usable=not entry.lacks,
        decode=median(known.decode),
        calls=known.calls + known.garbled,
        calls_ok=known.calls_ok,
        goals=known.goals,
        green=len(known.rounds_to_green),
    )


def _lines(entry: Entry, known: Figures) -> list[tuple[str, str]]:
    info = entry.info
    lines = [
        ("model", " ".join(filter(None, [info.name, info.family, info.parameters, info.quantisation]))),
        ("digest", info.digest or "not told"),
        ("size", size(info.size) if info.size else "not told"),
        ("window", f"at most {info.max_ctx:,} tokens" if info.max_ctx else "not told"),
        ("can", ", ".join(info.capabilities) or "not told"),
        ("loaded", _loaded(entry)),
    ]
    if info.remote:
        lines.insert(1, ("runs at", f"{info.remote}: what it is sent leaves this machine"))
    if entry.lacks:
        lines.append(("as an agent", f"cannot be used: it {entry.lacks}"))
    if known.empty:
        return [*lines, ("measured here", f"nothing yet: jetbox-tui models measure {info.name}")]
    goals = f"{known.goals} goal{'s' * (known.goals != 1)}, {len(known.rounds_to_green)} green"
    rounds = f", after {median(known.rounds_to_green):g} rounds" if known.rounds_to_green else ""
    return [
        *lines,
        ("load", f"{_seconds(known.load)}{_n(known.load)}"),
        ("reads", f"{_rate(known, known.prefill)}{_n(known.prefill)}, not counting what was cached"),
        ("writes", f"{_rate(known, known.decode)}{_n(known.decode)}"),
        (
            "first token",
            f"{_ms(known.ttft_warm)}{_n(known.ttft_warm)}; "
            f"with a long prompt that is new {_ms(known.ttft_new)}{_n(known.ttft_new)}; "
            f"after a load {_ms(known.ttft_cold)}{_n(known.ttft_cold)}",
        ),
        ("calls", f"{_share(known)}, {known.recovered} recovered from text, {known.garbled} unreadable"),
        ("goals", goals + rounds),
    ]


def placed(share: float) -> str:
    """Where a model lies, by its share on the GPU."""
    return "GPU" if share >= 0.99 else f"{1 - share:.0%} on CPU"


def _loaded(entry: Entry) -> str:
    held = entry.loaded
    if held is None:
        return "-"
    share = entry.on_gpu
    parts = [size(held.size) if held.size else "yes"]
    if share is not None:
        parts.append(placed(share))
    if held.window:
        parts.append(f"{held.window:,} tokens")
    if left := _left(held.expires_at):
        parts.append(left)
    if held.name != entry.info.name:
        parts.append(f"as {held.name}")
    return ", ".join(parts)


def _left(expires_at: str) -> str:
    """How long it stays."""
    from jetbox.engine.models.until import FOR_EVER_S, seconds_until

    seconds = seconds_until(expires_at)
    if seconds is None:
        return ""
    return "for ever" if seconds > FOR_EVER_S else f"for {stretch(seconds)}"


def _n(samples: list[Any]) -> str:
    return f" (n {len(samples)})" if samples else ""


def _seconds(samples: list[int]) -> str:
    return f"{median(samples) / 1e9:.1f} s" if samples else "-"


def _ms(samples: list[int]) -> str:
    return f"{median(samples) / 1e6:.0f} ms" if samples else "-"


def _rate(known: Figures, samples: list[float]) -> str:
    return f"{'~' if known.clocked else ''}{median(samples):,.0f} tok/s" if samples else "-"


def _share(known: Figures) -> str:
    share = known.call_success
    return "-" if share is None else f"{share:.0%} of {known.calls + known.garbled}"


def summary(known: Figures) -> dict[str, Any]:
    """Medians with their n; what was not measured is null."""

    def told(samples: list[Any], unit: float, digits: int) -> dict[str, Any] | None:
        return {"median": round(median(samples) / unit, digits), "n": len(samples)} if samples else None

    return {
        "load_s": told(known.load, 1e9, 3),
        "prefill_tokens_per_s": told(known.prefill, 1, 1),
        "decode_tokens_per_s": told(known.decode, 1, 1),
        "clocked": known.clocked,
        "ttft_cold_ms": told(known.ttft_cold, 1e6, 1),
        "ttft_new_ms": told(known.ttft_new, 1e6, 1),
        "ttft_warm_ms": told(known.ttft_warm, 1e6, 1),
        "calls": known.calls,
        "calls_ok": known.calls_ok,
        "recovered": known.recovered,
        "garbled": known.garbled,
        "goals": known.goals,
        "rounds_to_green": told(known.rounds_to_green, 1, 1),
    }


def _json(entry: Entry, known: Figures) -> dict[str, Any]:
    return {
        **msgspec.structs.asdict(entry.info),
        "loaded": entry.loaded,
        "on_gpu": entry.on_gpu,
        "lacks": entry.lacks,
        "measured": None if known.empty else summary(known),
    }


def _print_json(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))
