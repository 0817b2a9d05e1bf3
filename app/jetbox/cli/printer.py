"""A session without a screen: progress in lines on standard error, the result on standard output.

A reader of events like the screen is; it knows nothing that is not in them.
"""

from __future__ import annotations

import msgspec

from jetbox.cli.output import LineOut
from jetbox.engine import events as e
from jetbox.engine.clock import figure
from jetbox.engine.errors import JetboxError
from jetbox.engine.safety.terminal import safe_text
from jetbox.engine.waiting import said_late
from jetbox.ui.glyphs import UNICODE
from jetbox.ui.verdicts import cache_sign, came_by
from jetbox.ui.words import compacted, read_again

ECHO_LINES = 5
ECHO_CHARS = 300
FILES_SHOWN = 3
READING_NS = 10_000_000_000
"""How far a long prompt is takes a line so often at most."""


class Summary(msgspec.Struct):
    """What a run came to, from its events."""

    session: str = ""
    workspace: str = ""
    model: str = ""
    goal: str = ""
    outcome: str = ""
    reason: str = ""
    hint: str = ""
    exit_code: int = 0
    rounds: int = 0
    wall_ms: float = 0.0
    said: list[str] = msgspec.field(name="text", default_factory=list)
    """The model's last words, in the pieces in which they came."""
    phases_ms: dict[str, float] = {}
    prompt_tokens: int = 0
    """Summed over the rounds, as the server counted."""
    cached_tokens: int = 0
    answer_tokens: int = 0
    probes: dict[str, dict[str, str]] = {}
    verdicts: int = 0
    """Given in all, skipped and cancelled ones and those on the state before the first change left out."""
    hits: int = 0
    unproven: int = 0
    """Of the hits, those that were served without a proof."""
    saved_ms: float = 0.0
    """What the runs that hits stand for took."""
    files: dict[str, str] = {}

    def failed(self, error: JetboxError) -> None:
        """The session ended with this error, which no event tells."""
        self.outcome, self.reason, self.hint = "failed", error.message, error.hint
        self.exit_code = error.exit_code

    def apply(self, stamped: e.Stamped) -> None:
        """Take an event."""
        event = stamped.event
        match event:
            case e.SessionOpened():
                self.session, self.workspace = event.id, event.workspace
            case e.ModelReady():
                self.model = event.name
            case e.GoalStarted():
                self.goal = event.text
            case e.RoundStarted() | e.RequestSent():
                self.said = []  # an attempt that broke off is no part of the answer
            case e.TextDelta():
                self.said.append(event.text)
            case e.ModelAnswered():
                self.prompt_tokens += event.metrics.get("prompt_eval_count", 0)
                self.cached_tokens += event.metrics.get("prompt_eval_cached_count", 0)
                self.answer_tokens += event.metrics.get("eval_count", 0)
            case e.ToolCalled() if event.name == "finish":
                self.said = self.said if any(self.said) else [_summary(event.arguments)]
            case e.ToolEnded():
                self.files.update((c.path, c.kind) for c in event.changes)
            case e.ProbeEnded():
                self._verdict(event)
            case e.RoundEnded():
                for name, ns in event.phases.items():
                    self.phases_ms[name] = round(self.phases_ms.get(name, 0.0) + ns / 1e6, 3)
            case e.GoalEnded():
                self.outcome, self.reason, self.hint = event.outcome, event.reason, event.hint
                self.exit_code, self.rounds, self.wall_ms = event.exit_code, event.rounds, event.wall_ns / 1e6
            case _:
                pass

    def _verdict(self, event: e.ProbeEnded) -> None:
        if event.baseline or event.state == "cancelled":
            return
        self.probes[event.name] = {"state": event.state, "summary": event.summary, "cache": event.cache}
        if event.state == "skipped":
            return
        self.verdicts += 1
        self.hits += event.cache == "hit"
        self.unproven += event.unproven
        self.saved_ms = round(self.saved_ms + event.saved_ns / 1e6, 3)

    @property
    def text(self) -> str:
        """The model's last words."""
        return "".join(self.said)

    @property
    def probing(self) -> str:
        """How many verdicts came from the cache, what that saved, and what the rounds waited for; in words."""
        if not self.verdicts:
            return ""
        words = [f"probes: {self.hits} of {self.verdicts} from the cache ({self.hits / self.verdicts:.0%})"]
        words += [f"{self.unproven} unproven"] if self.unproven else []
        words += [f"saved {self.saved_ms:.0f} ms"] if self.saved_ms else []
        return ", ".join([*words, f"waited for {self.phases_ms.get('probe', 0.0):.0f} ms"])

    def json(self) -> bytes:
        """The summary as one JSON object."""
        return msgspec.json.encode({**msgspec.to_builtins(self), "text": self.text})


def _summary(arguments: str) -> str:
    try:
        return str(msgspec.json.decode(arguments).get("summary", ""))
    except (msgspec.DecodeError, AttributeError):
        return ""


def shortened(text: str) -> str:
    """The head of what the user said: a goal can be a whole specification."""
    lines = text.strip().splitlines()
    shown = [line if len(line) <= ECHO_CHARS else line[: ECHO_CHARS - 1] + "…" for line in lines[:ECHO_LINES]]
    left = len(lines) - len(shown)
    if left:
        shown.append(f"… {left} more line{'' if left == 1 else 's'}")
    return "\n  ".join(shown)


class Progress:
    """One line for each thing that happens, for people who watch."""

    def __init__(self, out: LineOut, *, ascii: bool = False) -> None:
        """`ascii`: signs that every terminal has."""
        self._out = out
        self._ascii = ascii
        self._titles: dict[str, str] = {}
        self._working = False
        self._read = -READING_NS
        """When it was last said how far the prompt is."""

    def _line(self, text: str) -> None:
        if self._ascii:
            from jetbox.ui.glyphs import ASCII, plain

            text = plain(text, ASCII)
        self._out.put((safe_text(text) + "\n").encode(errors="replace"))

    def apply(self, stamped: e.Stamped) -> None:
        """Take an event."""
        event = stamped.event
        match event:
            case e.GoalEnded():
                self._working = False
            case e.GoalStarted():
                self._working = True
                self._line(f"❯ {shortened(event.text)}")
            case e.SandboxChosen() if event.cannot or event.off:
                state = "off" if event.off else event.name
                self._line(f"  sandbox: {state}" + (f" (cannot: {'; '.join(event.cannot)})" if event.cannot else ""))
            case e.ToolCalled():
                mark = " (recovered)" if event.recovered else ""
                self._titles[event.call] = (event.title or event.name) + mark
            case e.ToolEnded():
                self._tool(event)
            case e.ProbeEnded():
                self._probe(stamped.round, event)
            case e.FilesChanged():
                self._files(event)
            case e.RoundEnded():
                self._round(stamped.round, event)
            case e.RequestSent():
                self._read = -READING_NS
            case e.Waiting(what="retrying" | "writing"):
                pass  # the notice before the one, and the call behind the other, say more
            case e.Waiting() if event.what != "reading" or said_late(event) or stamped.t - self._read >= READING_NS:
                self._read = stamped.t if event.what == "reading" else -READING_NS
                about = f" (about {figure(event.expected_ns / 1e9)} s)" if event.expected_ns else ""
                self._line(f"  … {event.what} {event.detail}".rstrip() + about)
            case e.Steered():
                self._line(f"❯ {shortened(event.text)}")
            case e.Compacted():
                self._line(f"  {compacted(event)}")
            case e.PrefixReused() if event.miss:
                self._line(f"  {read_again(event)}")
            case e.Routed():
                self._line(f"  routing by {event.rule}: {event.model}, {event.why}")
            case e.ModelSwitched():
                why = "" if event.reason == "user" else f" ({event.reason})"
                self._line(f"  model: {event.old} to {event.new}{why}")
            case e.PlanMade() | e.StepEnded() | e.PlanEnded() | e.PlanJoined():
                self._plan(event)
            case e.GuardTripped():
                self._line(f"  guard: {event.detail} ({event.action})")
            case e.Notice():
                self._line(f"  {event.level}: {event.text}" + (f" ({event.hint})" if event.hint else ""))
            case e.PermissionAnswered() if event.answer == "no":
                self._line(f"  not allowed: {event.reason or event.by}")
            case _:
                pass

    def _tool(self, event: e.ToolEnded) -> None:
        mark = {"ok": "✓", "failed": "✗", "denied": "⊘", "cancelled": "–"}[event.state]
        changes = " ".join(f"{c.path} +{c.added} -{c.removed}" for c in event.changes[:4])
        title = self._titles.pop(event.call, event.call)
        self._line(f"  {mark} {title}  {event.duration_ns / 1e6:.0f} ms  {changes}".rstrip())
        if event.state == "failed":
            self._line("    " + event.text.strip()[:300].replace("\n", "\n    "))

    def _plan(self, event: e.PlanMade | e.StepEnded | e.PlanEnded | e.PlanJoined) -> None:
        match event:
            case e.PlanMade():
                notes = f" ({'; '.join(event.notes)})" if event.notes else ""
                self._line(f"  plan: {len(event.steps)} step{'' if len(event.steps) == 1 else 's'}{notes}")
                for step in event.steps:
                    self._line(
                        f"    {step.id} {step.title}" + (f"  after {', '.join(step.after)}" if step.after else "")
                    )
            case e.StepEnded():
                if event.state == "skipped":
                    self._line(f"  – step {event.step} {event.why}")
            case e.PlanEnded(outcome="refused"):
                self._line(f"  plan not taken: {event.why}; going on call by call")
            case e.PlanEnded():
                why = f": {event.why}" if event.why else ""
                took = f"{event.done} done, up to {event.together} at once, {event.wall_ns / 1e6:.0f} ms"
                self._line(f"  plan {event.outcome}{why}; {took}, one by one {event.alone_ns / 1e6:.0f} ms")
            case e.PlanJoined():
                self._line("  plan joined: done" if event.done else "  plan joined: going on call by call")

    def _probe(self, number: int, event: e.ProbeEnded) -> None:
        glyph = cache_sign(came_by(event), UNICODE)
        summary = f"  {event.summary}" if event.summary else ""
        took = f"  {event.duration_ns / 1e6:.0f} ms"
        if event.saved_ns:
            took += f", saved {event.saved_ns / 1e6:.0f} ms"
        notes = [f"{len(event.known)} known"] if event.known and "known" not in event.summary else []
        notes += ["unproven"] if event.unproven else []
        notes += ["before the first change"] if event.baseline else []
        # Late verdicts are told when they come; whose files they judge has to be said.
        notes += [f"of round {event.of_round}"] if event.of_round and event.of_round != number else []
        notes += [event.why] if event.why and event.cache in ("ran", "partial") and event.state != "skipped" else []
        told = f"  ({', '.join(notes)})" if notes else ""
        self._line(f"  {glyph} {event.name} {event.state}{summary}{took}{told}")

    def _files(self, event: e.FilesChanged) -> None:
        """What others than the agent changed while it works."""
        if not self._working or event.by not in ("you", "git"):
            return
        count = event.count or len(event.changes)
        names = ", ".join(change.path for change in event.changes[:FILES_SHOWN])
        more = f" and {count - FILES_SHOWN} more" if count > FILES_SHOWN else ""
        self._line(f"  {event.by} changed {names}{more}")

    def _round(self, number: int, event: e.RoundEnded) -> None:
        parts = " · ".join(f"{name} {ns / 1e6:.0f}" for name, ns in event.phases.items() if ns >= 500_000)
        self._line(f"◆ {number}  {event.wall_ns / 1e6:.0f} ms  {parts}")
