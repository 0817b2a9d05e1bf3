"""A model of the server in words: as a row of a table, in full, and as far as it is in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from jetbox.engine import events as e
from jetbox.engine import sizes
from jetbox.ui import words
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.text.rows import Piece, Row, cells, fit, flow, one_line, row

LOADING = "the server loads or unloads a model, and does not say what is in memory"
LEAST_NAME, MOST_NAME = 14, 34
"""Cells of a name in the table."""
ON_GPU = 0.99
"""From this share on, all of it is."""
LABEL = 8


class Column(NamedTuple):
    """A column of the table; the first ones have room on the narrowest screen."""

    title: str
    width: int
    text: Callable[[e.ListedModel, int], str]
    left: bool = False


def _share(model: e.ListedModel, now: int) -> str:
    if not model.loaded:
        return ""
    gpu = f"{model.memory_gpu / model.memory:.0%} " if model.memory else "yes "
    return (gpu + _left(model, now)).strip()


def _left(model: e.ListedModel, now: int) -> str:
    if not model.expires:
        return ""
    return "kept" if model.expires < 0 else words.countdown(max(0, model.expires - now))


def _cost(model: e.ListedModel, now: int) -> str:
    if model.lacks:
        return ""
    return words.duration(model.cost.total_ns) if model.cost.total_ns >= 0 else "?"


def _can(model: e.ListedModel) -> str:
    return ", ".join(one_line(c) for c in model.capabilities if c != "completion")


def _reads(model: e.ListedModel) -> str:
    return f"{'~' * model.clocked}{words.count(round(model.prefill))}"


def _writes(model: e.ListedModel) -> str:
    return f"{'~' * model.clocked}{model.decode:.0f}"


COLUMNS = (
    Column("size", 8, lambda m, now: sizes.size(m.size) if m.size else ""),
    Column("weights", 8, lambda m, now: one_line(m.quantisation)),
    Column("GPU, until", 10, _share),
    Column("switch", 7, _cost),
    Column("ttft", 7, lambda m, now: words.duration(m.ttft_ns) if m.ttft_ns else ""),
    Column("reads/s", 7, lambda m, now: _reads(m) if m.prefill else ""),
    Column("writes/s", 8, lambda m, now: _writes(m) if m.decode else ""),
    Column("calls", 6, lambda m, now: f"{m.calls_ok / m.calls:.0%}" if m.calls else ""),
    Column("can", 24, lambda m, now: m.lacks or _can(m), left=True),
    Column("best at", 25, lambda m, now: m.best, left=True),
)


class Table:
    """Names and columns, as many as fit a width."""

    def __init__(self, models: Sequence[e.ListedModel], glyphs: Glyphs) -> None:
        self._glyphs = glyphs
        self._name = max(LEAST_NAME, min(MOST_NAME, max((cells(one_line(m.name)) for m in models), default=0)))

    def _fitting(self, width: int) -> list[Column]:
        shown, used = [], 2 + self._name
        for column in COLUMNS:
            used += column.width + 2
            if used > width:
                break
            shown.append(column)
        return shown

    def head(self, width: int) -> list[Piece]:
        """The titles."""
        titles = "".join(f"  {_set(c.title, c)}" for c in self._fitting(width))
        return [(f"  {'model':<{self._name}}{titles}", "faint")]

    def row(self, model: e.ListedModel, width: int, now: int, *, present: bool, loading: bool = False) -> list[Piece]:
        """One model; `present`: it is in use, `loading`: its request waits until it is loaded."""
        sign = self._glyphs.loaded if model.loaded else self._glyphs.unloaded
        name = "".join(text for text, _ in fit([(one_line(model.name), "")], self._name))
        style = "faint" if model.lacks else "accent" if present else ""
        out: list[Piece] = [(f"{sign} ", "ok" if model.loaded else "dim")]
        out.append((name + " " * (self._name - cells(name)), style))
        for column in self._fitting(width):
            text = "in use" if present and column.title == "switch" else column.text(model, now)
            text = "loading" if loading and not model.loaded and column.text is _share else text
            warns = column.title == "can" and bool(model.lacks)
            out.append((f"  {_set(text, column)}", "warning" if warns else "accent" if text == "in use" else "dim"))
        return out


def _set(text: str, column: Column) -> str:
    text = "".join(part for part, _ in fit([(text, "")], column.width))
    gap = " " * (column.width - cells(text))
    return text + gap if column.left else gap + text


def in_memory(model: e.ListedModel, now: int) -> list[str]:
    """What it takes, where, how large its window is, and when it is unloaded."""
    parts = [sizes.size(model.memory)] if model.memory else []
    if model.memory and model.memory_gpu < ON_GPU * model.memory:
        parts.append(f"{1 - model.memory_gpu / model.memory:.0%} on CPU")
    if model.window:
        parts.append(f"window {words.count(model.window)}")
    if model.expires:
        parts.append("kept" if model.expires < 0 else f"unloads in {_left(model, now)}")
    if model.loaded_as:
        parts.append(f"as {one_line(model.loaded_as)}")
    return parts or ["loaded"]


def in_full(model: e.ListedModel, width: int, now: int, *, present: bool) -> list[Row]:
    """Everything that is known of it, what a switch to it would cost first."""
    of = ", ".join(one_line(part) for part in (model.parameters, model.quantisation) if part)
    size = f"  {sizes.size(model.size)}" if model.size else ""
    used: tuple[Piece, ...] = (("  in use", "accent"),) if present else ()
    out = [row((one_line(model.name), "bold"), (f"  {of}" if of else "", "dim"), (size, "dim"), *used)]
    if model.remote:
        out += flow(((f"runs at {one_line(model.remote)}: code leaves this machine", "warning"),), width)
    if model.lacks:
        out += flow(((f"cannot be used here: it {one_line(model.lacks)}", "warning"),), width)
    elif not present:
        out += _fact("switch", words.switch_cost(model.cost), width)
    if model.loaded:
        out += _fact("memory", ", ".join(in_memory(model, now)), width)
    can = [_can(model) or "chat alone"] if model.capabilities else []
    can += [f"window to {words.count(model.max_ctx)}"] if model.max_ctx else []
    if can:
        out += _fact("can", ", ".join(can), width)
    out += _fact("here", _measured(model), width)
    return out + _fact("best at", model.best, width) if model.best else out


def _measured(model: e.ListedModel) -> str:
    parts = []
    if model.load_ns:
        parts.append(f"load {words.duration(model.load_ns)}")
    if model.ttft_ns:
        parts.append(f"first token {words.duration(model.ttft_ns)}")
    if model.prefill:
        parts.append(f"reads {_reads(model)} tok/s")
    if model.decode:
        parts.append(f"writes {_writes(model)} tok/s")
    if model.calls:
        took = f" in {words.duration(model.call_ns)}" if model.call_ns else ""
        parts.append(f"calls {model.calls_ok / model.calls:.0%} of {model.calls}{took}")
    if model.goals:
        parts.append(f"{model.green} of {model.goals} goals green")
    if not (model.prefill or model.decode or model.ttft_ns):
        parts.append(f"not measured: jetbox-tui models measure {one_line(model.name)}")
    return ", ".join(parts)


def _fact(name: str, text: str, width: int) -> list[Row]:
    return flow(((text, ""),), width, first=((f"{name:<{LABEL}}", "dim"),), rest=((" " * LABEL, ""),))


def fetching(name: str, pulled: e.ModelPulled | None, glyphs: Glyphs) -> list[Piece]:
    """A model that the server may fetch, or how far it is."""
    name = one_line(name)
    if pulled is None or pulled.name != name:
        return [("+ ", "key"), (f"fetch {name}", "")]
    if pulled.state != "running":
        said = one_line(pulled.status) or pulled.state
        return [("+ ", "key"), (f"fetch {name}", ""), (f"  {said}", "failed")]
    if not pulled.total:
        return [("+ ", "accent"), (f"fetching {name}  {one_line(pulled.status)}", "")]
    share = pulled.completed / pulled.total
    full = min(10, round(share * 10))
    bar: list[Piece] = [(glyphs.full * full, "key"), (glyphs.empty * (10 - full), "track")]
    return [("+ ", "accent"), (f"fetching {name}  ", ""), *bar, (f"  {share:.0%} of {sizes.size(pulled.total)}", "dim")]
