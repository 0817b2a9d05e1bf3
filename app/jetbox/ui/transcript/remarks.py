"""What the transcript says of events that are no block of their own: a line, or a notice with a hint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from jetbox.engine import events as e
from jetbox.ui import words
from jetbox.ui.glyphs import Glyphs, plain
from jetbox.ui.text.inline import asked_bare
from jetbox.ui.text.rows import Piece, one_line
from jetbox.ui.transcript.blocks import INDENT

OUTCOMES: dict[str, tuple[str, str]] = {
    "done": ("done", "ok"),
    "unverified": ("done, unverified", "warning"),
    "answered": ("answered", "ok"),
    "red": ("ended with probes red", "failed"),
    "limit": ("stopped at a limit", "warning"),
    "guard": ("stopped by a guard", "warning"),
    "denied": ("not allowed", "warning"),
    "failed": ("failed", "failed"),
    "interrupted": ("interrupted", "warning"),
}
"""Words and style of how a goal ended."""

LEVELS = {"info": "dim", "warning": "warning", "error": "failed"}
"""Styles of notices."""
Paragraph = tuple[tuple[Piece, ...], tuple[Piece, ...]]
"""What stands before a paragraph, and its words."""


class Remark(NamedTuple):
    """A line, or, where it has a level, a notice."""

    text: str
    style: str = "dim"
    gap: bool = False
    level: str = ""
    hint: str = ""


def remarks(event: e.AnyEvent) -> Iterator[Remark]:
    """What is to be said of an event."""
    match event:
        case e.SessionResumed():
            yield Remark(f"session goes on, {event.created[:16].replace('T', ' ')}", gap=True)
        case e.SessionClosed() if event.reason:
            yield Remark(f"session closed: {event.reason}", gap=True)
        case e.ModelSwitched() | e.SwitchPaid() | e.ModelMissing() | e.ModelPulled() | e.ModelWarmed() | e.Routed():
            yield from _of_models(event)
        case e.PrefixReused() if event.miss and not event.miss.startswith(
            "the switch from "
        ):  # it tells its cost itself
            yield Remark(words.read_again(event))
        case e.Compacted():
            # A mark where the model's memory of the session becomes another one.
            yield Remark(words.compacted(event), "accent")
            if event.summary:
                yield Remark(f"summary: {event.summary}")
        case e.ModeChanged():
            yield Remark(f"mode: {event.mode}", f"mode.{event.mode}")
        case e.SandboxChosen() if event.off or event.cannot or event.name == "none":
            yield _sandbox(event)
        case e.OptionChanged():
            yield Remark(f"{event.option} = {event.value}, from the next goal on", "accent")
        case e.SessionLabelled():
            yield Remark(f"label: {event.label}", "accent")
        case e.Undone():
            yield from _undone(event)
        case e.GuardTripped():
            did = "told the model" if event.action == "warn" else "stopped"
            yield Remark(f"guard: {event.detail}", level="warning", hint=did)
        case e.Notice():
            yield Remark(event.text, level=event.level, hint=event.hint)
        case _:
            pass


def _of_models(
    event: e.ModelSwitched | e.SwitchPaid | e.ModelMissing | e.ModelPulled | e.ModelWarmed | e.Routed,
) -> Iterator[Remark]:
    match event:
        case e.ModelSwitched():
            why = "" if event.reason == "user" else f" ({event.reason}{': ' if event.why else ''}{event.why})"
            yield Remark(f"model: {event.old} to {event.new}{why}", "accent")
            if event.expected.tokens:
                yield Remark(f"expected {words.switch_cost(event.expected)}")
        case e.SwitchPaid():
            # What it did cost, beside what was expected.
            cost, expected = event.cost.total_ns, event.expected.total_ns
            said = f"the switch took {words.switch_cost(event.cost).removeprefix('about ')}"
            beside = f", expected {words.duration(expected)}" if cost >= 0 and expected >= 0 else ""
            yield Remark(said + beside)
        case e.ModelMissing():
            can = [f"p fetches {event.pull}"] if event.pull else []
            can += ["/model NAME uses another"] if event.there else []
            yield Remark(event.why, level="warning", hint=", ".join(can))
        case e.ModelPulled() if event.state in ("done", "cancelled"):
            yield Remark(f"{event.name} was fetched" if event.state == "done" else f"{event.name}: not fetched")
        case e.ModelWarmed() if event.miss:
            yield Remark(f"the prompt was read anew: {event.miss}")
        case e.Routed():
            yield Remark(f"routing by {event.rule}: {event.model}, {event.why}")
        case _:
            pass


def _undone(event: e.Undone) -> Iterator[Remark]:
    """What went back, and what did not."""
    parts = [f"{words.plural(len(event.files), 'file')} put back"] if event.files else []
    parts += [f"{words.plural(event.messages, 'message')} out of the prompt"] if event.messages else []
    yield Remark(f"back to before round {event.round}: {', '.join(parts) or 'nothing changed'}", "accent", gap=True)
    for file in event.left:
        yield Remark(f"{file.path} stays as it is: {file.why}", level="warning")


def _sandbox(event: e.SandboxChosen) -> Remark:
    if event.off:
        return Remark("the sandbox is off: commands run with your rights", level="warning")
    if event.name == "none":
        return Remark("no sandbox works here: each command asks", level="warning", hint="; ".join(event.cannot))
    return Remark(f"sandbox {event.name}, which cannot: {'; '.join(event.cannot)}", level="info")


def noticed(level: str, text: str, hint: str, glyphs: Glyphs) -> Paragraph:
    """A word to the user, with what can be done."""
    style = LEVELS[level]
    sign = glyphs.failed if level == "error" else glyphs.bang if level == "warning" else ""
    pieces: tuple[Piece, ...] = ((one_line(text), style),)
    if hint:
        pieces = (*pieces, (plain(f" — {one_line(hint)}", glyphs), "dim"))
    return ((f"{sign} " if sign else INDENT, style),), pieces


def answered(
    event: e.PermissionAnswered | e.QuestionAnswered,
    asked: e.PermissionAsked | e.QuestionAsked | None,
    glyphs: Glyphs,
) -> tuple[str, str, str]:
    """What the user said to what was asked: a sign, the words, their style."""
    title = asked.title if asked is not None else event.id
    if isinstance(event, e.QuestionAnswered):
        title = asked_bare(title)
        if event.text:
            chosen = isinstance(asked, e.QuestionAsked) and event.text in asked.choices
            return glyphs.ok, f"{title} — you: {asked_bare(event.text) if chosen else event.text}", ""
        return glyphs.denied, f"{title} — no answer" + (", interrupted" if event.by == "limit" else ""), "warning"
    by = "you" if event.by == "user" else event.by
    if event.answer == "no":
        return (
            glyphs.denied,
            f"{title} — not allowed by {by}" + (f": {event.reason}" if event.reason else ""),
            "warning",
        )
    how = {"once": "once", "session": "for this session", "always": "always"}[event.answer]
    return glyphs.ok, f"{title} — allowed {how} by {by}", "dim"


def ending(event: e.GoalEnded, glyphs: Glyphs) -> list[Paragraph]:
    """How a goal ended, in how much time, and what can be done."""
    said, style = OUTCOMES[event.outcome]
    sign = {"ok": glyphs.ok, "failed": glyphs.failed}.get(style, glyphs.bang)
    head = words.ended(said, one_line(event.reason))
    paragraphs: list[Paragraph] = [(((f"{sign} ", style),), ((head, style),))]
    if event.rounds:
        figures = f"{words.plural(event.rounds, 'round')}, {words.duration(event.wall_ns)}"
        paragraphs.append((((INDENT, ""),), ((figures, "dim"),)))
    if event.hint:
        paragraphs.append((((INDENT, ""),), ((one_line(event.hint), "dim"),)))
    return paragraphs
