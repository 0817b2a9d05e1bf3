"""The header of a round and the row of its verdicts."""

from __future__ import annotations

import re

from jetbox.engine.events import RED, ProbeEnded, RoundEnded
from jetbox.engine.safety.terminal import safe_text
from jetbox.ui import words
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.rounds import LLM_PHASES
from jetbox.ui.text.rows import BLANK, Piece, Row, cells, flow, lines, one_line, row
from jetbox.ui.transcript.blocks import INDENT, Block, Look, Shape, more_row
from jetbox.ui.verdicts import cache_sign, came_by

_PADDING = re.compile(r" {8,}")
SHOWN_NS = 500_000
"""A phase below this is not named."""
OUTPUT_LINES = 8
EXPANDED_LINES = 400


class RoundHeader(Block):
    """`◆ 3  698 ms  llm 676 · tools 3 · probe 16`, in the colour of how long it felt."""

    def __init__(self, number: int, started: int, model: str = "") -> None:
        """`model` is named where it is not the one of the round before."""
        self.number = number
        self.started = started
        self.model = model
        self.ended: RoundEnded | None = None
        self.probed = ""
        """Cache state of its probes."""
        self.broken_off = -1
        """When it ended without a word, ns; negative where it did not."""

    @property
    def moving(self) -> bool:
        return self.ended is None and self.broken_off < 0

    def break_off(self, t: int) -> None:
        """It ended, and its figures were never told."""
        self.broken_off = t

    def end(self, event: RoundEnded) -> None:
        """The round's figures are known."""
        self.ended = event

    def layout(self, width: int, look: Look) -> list[Row]:
        glyphs = look.glyphs
        if self.broken_off >= 0 and self.ended is None:
            style, wall = "dim", words.duration(self.broken_off - self.started)
            detail: list[Piece] = [("broken off", "dim")]
        elif self.ended is None:
            style, wall = "tier.running", words.elapsed(max(0, look.now - self.started))
            detail = [(glyphs.more, "dim")]
        else:
            style, wall = f"tier.{self.ended.tier or 'slow'}", words.duration(self.ended.wall_ns)
            detail = self._detail(self.ended, glyphs)
        if self.model:
            detail = [*detail, (f"   {self.model}", "dim")]
        head: tuple[Piece, ...] = ((f"{glyphs.round} {self.number}", style), ("   ", ""), (f"{wall:<9}", style))
        hang = (" " * min(sum(cells(text) for text, _ in head), width // 3), "")
        return [BLANK, *flow(detail, width, first=head, rest=(hang,))]

    def _detail(self, ended: RoundEnded, glyphs: Glyphs) -> list[Piece]:
        phases = ended.phases
        shown: list[tuple[str, int]] = [("llm", sum(phases.get(name, 0) for name in LLM_PHASES))]
        shown += [(name, phases.get(name, 0)) for name in ("tools", "probe", "waiting for you", "context", "other")]
        out: list[Piece] = []
        hidden = sum(s.end - s.start for s in ended.spans if s.phase == "probe") - phases.get("probe", 0)
        for name, ns in shown:
            beside = hidden if name == "probe" else 0
            if ns < SHOWN_NS and beside < SHOWN_NS:
                continue
            sign = f"{cache_sign(self.probed, glyphs)} " if name == "probe" and self.probed else ""
            text = f"{name} {sign}{words.milliseconds(ns)}"
            if beside >= SHOWN_NS:
                text += f" ({words.milliseconds(beside)} beside it)"
            if out:
                out.append((f" {glyphs.dot} ", "faint"))
            out.append((text, "dim"))
        return out

    def shape(self) -> Shape:
        return 2, 0


def remarks(probe: ProbeEnded) -> list[str]:
    """What else has to be said of a verdict, where its summary does not."""
    out = [f"{len(probe.known)} known"] if probe.known and "known" not in probe.summary else []
    return [*out, *(["unproven"] if probe.unproven else []), *(["before the first change"] if probe.baseline else [])]


def state_sign(state: str, glyphs: Glyphs) -> tuple[str, str]:
    """Sign and style of a verdict; skipped and cancelled never look like passed."""
    if state == "passed":
        return glyphs.ok, "ok"
    if state in RED:
        return glyphs.failed, "failed"
    return (glyphs.skipped, "dim") if state == "skipped" else (glyphs.cancelled, "dim")


class Verdicts(Block):
    """`⚡ ruff ✓ 11 ms   ⚡ pytest ✗ 1 of 14 failed 64 ms`, and the output of what is red."""

    expandable = True

    def __init__(self) -> None:
        self.running: dict[str, int] = {}
        self.ended: dict[str, ProbeEnded] = {}
        self.late = False
        """Its round is over, and has no row where it could stand: it says of which round it is."""

    @property
    def moving(self) -> bool:
        return bool(self.running)

    def takes(self, name: str) -> bool:
        """Whether a verdict of this name belongs here; a second one stands in a row of its own."""
        return name not in self.ended

    def start(self, name: str, t: int) -> None:
        """The probe runs."""
        self.running[name] = t

    def end(self, event: ProbeEnded) -> None:
        """The probe has a verdict."""
        self.running.pop(event.name, None)
        self.ended[event.name] = event

    def source(self) -> str:
        said = (f"{each.name} {each.state} {each.summary}\n{safe_text(each.output)}" for each in self.ended.values())
        return "\n".join(each.strip() for each in said)

    def layout(self, width: int, look: Look) -> list[Row]:
        glyphs = look.glyphs
        groups = [self._verdict(probe, glyphs) for probe in self.ended.values()]
        for name, since in self.running.items():
            took = words.elapsed(max(0, look.now - since))
            groups.append(((f"{cache_sign('ran', glyphs)} ", "warning"), (name, ""), (f" {glyphs.more} {took}", "dim")))
        out = _rows_of_groups(groups, width)
        for probe in self.ended.values():
            if probe.state in RED and probe.output.strip():
                out += output_rows(probe.output, width, look, self.open(look))
        return out

    def _verdict(self, probe: ProbeEnded, glyphs: Glyphs) -> tuple[Piece, ...]:
        sign, style = state_sign(probe.state, glyphs)
        name, summary = one_line(probe.name), one_line(probe.summary)
        if probe.state == "skipped":
            return ((f"{sign} {name} skipped" + (f": {summary}" if summary else ""), "dim"),)
        said = summary or ("" if probe.state == "passed" else probe.state)
        figures = words.duration(probe.duration_ns)
        if probe.cache in ("hit", "partial"):
            figures += f", saved {words.duration(probe.saved_ns)}" if probe.saved_ns else ""
        figures = ", ".join([figures, *remarks(probe)])
        late = f" of round {probe.of_round}" if self.late else ""
        how = came_by(probe)
        return (
            (
                f"{cache_sign(how, glyphs)} ",
                "failed" if how == "error" else "hit" if how in ("hit", "partial") else "warning",
            ),
            (name, ""),
            (late, "dim"),
            ("" if how == "error" else f" {sign}", style),
            (f" {said}" if said else "", style if probe.state in RED else ""),
            (f" {figures}", "dim"),
        )


def _rows_of_groups(groups: list[tuple[Piece, ...]], width: int) -> list[Row]:
    """Groups side by side, as many as fit into a row."""
    out: list[Row] = []
    line: list[Piece] = []
    used = 0
    for group in groups:
        wide = sum(cells(text) for text, _ in group)
        if line and used + 3 + wide > width - len(INDENT):
            out.append(row(INDENT, *line))
            line, used = [], 0
        if line:
            line.append(("   ", ""))
            used += 3
        if wide > width - len(INDENT):
            out += flow(group, width, first=((INDENT, ""),), rest=((INDENT * 2, ""),))
            continue
        line += group
        used += wide
    if line:
        out.append(row(INDENT, *line))
    return out


def output_rows(
    text: str,
    width: int,
    look: Look,
    unfolded: bool,
    style: str = "dim",
    *,
    tail: bool = False,
    most: int = OUTPUT_LINES,
    unfolds_to: int = EXPANDED_LINES,
    prose: bool = False,
) -> list[Row]:
    """Output in a bounded number of lines, head or tail, with a word about what is left out."""
    most = unfolds_to if unfolded else most
    source = safe_text(text).strip("\n").split("\n")
    kept = source[-most:] if tail else source[:most]
    indent = f"{INDENT * 2}"
    out: list[Row] = []
    for line in kept:
        # Padding made for a wider terminal, such as pytest's, would only break the line.
        fitted = line if cells(line) <= width - len(indent) else _PADDING.sub("   ", line)
        out += lines(fitted[: width * 4], style, width, indent=indent, words=prose)
    left = len(source) - len(kept)
    if left:
        note = more_row(look, words.plural(left, "more line"), unfolded, indent)
        out = [note, *out] if tail else [*out, note]
    return out
