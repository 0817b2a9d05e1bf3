"""A plan: its steps, what each waits for, and what became of it."""

from __future__ import annotations

from jetbox.engine.events import PlanEnded, PlanMade, StepBegun, StepEnded
from jetbox.ui import words
from jetbox.ui.text.rows import Piece, Row, flow, one_line
from jetbox.ui.transcript.blocks import INDENT, Look, Shape, Titled, more_words

STEPS_SHOWN = 12
"""Rows of steps while it runs; unfolded it shows them all."""


class PlanCard(Titled):
    """The steps in their order while they run; one line when all is done, and what went wrong where it is not."""

    expandable = True

    def __init__(self, made: PlanMade) -> None:
        self.made = made
        self._running: set[str] = set()
        self._ended: dict[str, StepEnded] = {}
        self._over: PlanEnded | None = None
        self._broken_off = False

    def take(self, event: StepBegun | StepEnded | PlanEnded) -> None:
        """A word on its progress."""
        match event:
            case StepBegun():
                self._running.add(event.step)
            case StepEnded():
                self._running.discard(event.step)
                self._ended[event.step] = event
            case PlanEnded():
                self._over = event
                self._running.clear()

    def break_off(self) -> None:
        """Its end was never told."""
        self._broken_off = self._over is None
        self._running.clear()

    def layout(self, width: int, look: Look) -> list[Row]:
        unfolded = self.open(look)
        out = [self._head(width, look)]
        if self._over is not None and self._over.why:
            out += flow(((one_line(self._over.why), "dim"),), width, first=((INDENT * 2, ""),))
        steps = self.made.steps
        if self._over is not None and not unfolded:
            steps = tuple(step for step in steps if self._state(step.id) not in ("ok", "waits"))
        shown = steps if unfolded else steps[:STEPS_SHOWN]
        for step in shown:
            before = f"  after {', '.join(step.after)}" if step.after and (unfolded or self._over is None) else ""
            left = (
                (INDENT * 2, ""),
                (f"{one_line(step.id)} ", "faint"),
                (one_line(step.title), "tool.argument"),
                (one_line(before), "faint"),
            )
            out.append(self.line(left, self._sign(step.id, look), width))
        if len(shown) < len(steps):
            more = more_words(look, words.plural(len(steps) - len(shown), "more step"), unfolded)
            out += flow(((more, "faint"),), width, first=((INDENT * 2, ""),))
        for note in self.made.notes:
            out += flow(((one_line(note), "faint"),), width, first=((INDENT * 2, ""),))
        return out

    def _head(self, width: int, look: Look) -> Row:
        over, glyphs = self._over, look.glyphs
        left: list[Piece] = [(INDENT, ""), ("plan", "tool"), (f" {words.plural(len(self.made.steps), 'step')}", "")]
        if over is None:
            said = f"broken off {glyphs.cancelled}" if self._broken_off else f"{len(self._ended)} done {glyphs.more}"
            return self.line(tuple(left), ((said, "dim"),), width)
        if over.outcome != "done":
            left.append((f", {over.done} done", "dim"))
        if over.together > 1:
            left.append((f", up to {over.together} at once", "dim"))
        alone = f" of {words.duration(over.alone_ns)} one by one" if over.together > 1 else ""
        sign, style = {
            "done": (glyphs.ok, "ok"),
            "broken": (glyphs.failed, "failed"),
            "cancelled": (glyphs.cancelled, "dim"),
            "refused": (glyphs.failed, "failed"),
        }[over.outcome]
        return self.line(tuple(left), ((f"{words.duration(over.wall_ns)}{alone}  ", "dim"), (sign, style)), width)

    def _state(self, step: str) -> str:
        if step in self._ended:
            return self._ended[step].state
        return "runs" if step in self._running else "waits"

    def _sign(self, step: str, look: Look) -> tuple[Piece, ...]:
        glyphs = look.glyphs
        signs: dict[str, Piece] = {
            "waits": (glyphs.waiting, "faint"),
            "runs": (glyphs.running, "accent"),
            "ok": (glyphs.ok, "ok"),
            "failed": (glyphs.failed, "failed"),
            "denied": (f"denied {glyphs.denied}", "warning"),
            "cancelled": (f"cancelled {glyphs.cancelled}", "dim"),
            "skipped": (f"not run {glyphs.cancelled}", "dim"),
        }
        return (signs[self._state(step)],)

    def shape(self) -> Shape:
        return 1 + (0 if self._over is not None else min(STEPS_SHOWN, len(self.made.steps))), 0
