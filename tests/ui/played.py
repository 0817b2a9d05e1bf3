"""A deterministic session: events with their times, made without an engine."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

import msgspec

from jetbox.engine import events as e
from jetbox.engine.clock import Span
from jetbox.engine.session import Feed, NoRecorder, Session

MS = 1_000_000
DIFF = """--- /dev/null
+++ b/mathx/__init__.py
@@ -0,0 +1,3 @@
+def add(a: int, b: int) -> int:
+    return a + b
+
"""
EDIT = """--- a/mathx/__init__.py
+++ b/mathx/__init__.py
@@ -1,3 +1,5 @@
 def add(a: int, b: int) -> int:
-    return a - b
+    return a + b
+
+VERSION = 1
@@ -40,2 +42,2 @@
-old = 1
+new = 1
 same = 2
"""


class ManualClock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def advance(self, ms: float) -> None:
        self.now += int(ms * MS)


class Stage:
    """A session whose events a test emits by hand."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.session = Session(NoRecorder(), clock=self.clock)
        self.feed: Feed = self.session.feed()
        self.last = -1
        self._begun = 0

    def emit(self, *events: e.AnyEvent, after_ms: float = 0) -> int:
        """Emit events one after another; returns the last one's number."""
        for event in events:
            self.clock.advance(after_ms)
            if isinstance(event, e.RoundStarted):
                self.session.round += 1
                self._begun = self.clock.now
            self.last = self.session.emit(since(self._begun, event)).seq
        return self.last


def opened(mode: e.Mode = "ask") -> list[e.AnyEvent]:
    return [
        e.SessionOpened(
            format=1,
            id="20260101-120000-abcd",
            created="2026-01-01T12:00:00.000+00:00",
            workspace="/home/ada/code/mathx",
            app="0.1.0",
            model="gpt-oss:20b",
            mode=mode,
        ),
        e.ModelReady(name="gpt-oss:20b", num_ctx=16384, size=12_900_000_000, keep_alive_ns=1_800_000_000_000),
        e.SandboxChosen(name="bubblewrap"),
    ]


def request(estimate: int = 900) -> e.RequestSent:
    return e.RequestSent(attempt=1, head="h", count=2, tail="t", sha="s", bytes=4000, estimate=estimate)


def answered(ttft_ms: float = 88, tokens: int = 1500) -> e.ModelAnswered:
    return e.ModelAnswered(
        attempt=1,
        done_reason="stop",
        ttft_ns=int(ttft_ms * MS),
        wall_ns=600 * MS,
        chunks=20,
        metrics={"prompt_eval_count": tokens, "eval_count": 60, "eval_duration": 500 * MS},
    )


def ended(llm_ms: float, tools_ms: float = 3, probe_ms: float = 16, tier: str = "fast") -> e.RoundEnded:
    phases = {
        "prompt eval": int(llm_ms * 0.2 * MS),
        "decode": int(llm_ms * 0.8 * MS),
        "tools": int(tools_ms * MS),
        "probe": int(probe_ms * MS),
    }
    phases = {name: ns for name, ns in phases.items() if ns}
    wall = sum(phases.values())
    begun = accumulate(phases.values(), initial=0)
    spans = tuple(Span(name, start, start + ns) for (name, ns), start in zip(phases.items(), begun, strict=False))
    return e.RoundEnded(wall_ns=wall, phases=phases, spans=spans, tier=tier, tools=1)


def since(begun: int, event: e.AnyEvent) -> e.AnyEvent:
    """The event; the end of a round that says its spans from its own start, with the session's time."""
    if not isinstance(event, e.RoundEnded) or not event.spans or event.spans[0].start:
        return event
    spans = tuple(msgspec.structs.replace(each, start=each.start + begun, end=each.end + begun) for each in event.spans)
    return msgspec.structs.replace(event, spans=spans)


def write_call(call: str = "c1", path: str = "mathx/__init__.py") -> list[e.AnyEvent]:
    return [
        e.ToolCalled(call=call, name="write_file", arguments="{}", title=f"write_file {path}"),
        e.ToolStarted(call=call),
        e.ToolEnded(
            call=call,
            state="ok",
            text="written",
            duration_ns=3 * MS,
            changes=(e.FileChange(path, "created", added=3),),
            diff=DIFF,
        ),
    ]


def verdicts(*, red: bool = False, hit: bool = False) -> list[e.AnyEvent]:
    return [
        e.ProbeStarted(name="ruff"),
        e.ProbeEnded(
            name="ruff",
            state="passed",
            cache="hit" if hit else "ran",
            summary="0 problems",
            duration_ns=11 * MS,
            saved_ns=48 * MS if hit else 0,
        ),
        e.ProbeStarted(name="pytest"),
        e.ProbeEnded(
            name="pytest",
            state="failed" if red else "passed",
            cache="ran",
            summary="1 of 3 failed: test_mul" if red else "3 passed",
            output="FAILED tests/test_mathx.py::test_mul - assert 5 == 6" if red else "",
            duration_ns=64 * MS,
        ),
    ]


def first_round() -> list[e.AnyEvent]:
    return [
        e.GoalStarted(goal=1, text="Create mathx package with add and multiply, add tests."),
        e.RoundStarted(model="gpt-oss:20b", limit=24),
        request(),
        e.ThinkingDelta(text="The package needs a module "),
        e.ThinkingDelta(text="and tests."),
        e.TextDelta(text="I begin with the **package**, in `mathx`.\n\n- add\n- multi"),
        e.TextDelta(text="ply\n"),
        answered(),
        *write_call(),
        e.ProbeStarted(name="ruff"),
        e.ProbeEnded(name="ruff", state="passed", cache="ran", summary="0 problems", duration_ns=11 * MS),
        e.ProbeEnded(name="pytest", state="skipped", cache="none", summary="no tests"),
        ended(676),
    ]


def second_round() -> list[e.AnyEvent]:
    return [
        e.RoundStarted(model="gpt-oss:20b", limit=24),
        request(1800),
        e.TextDelta(text="Now the command.\n\n```python\nprint(add(1, 2))\n```\n"),
        answered(62, 2100),
        e.ToolCalled(call="c2", name="run_cmd", arguments="{}", title="run_cmd pytest -q"),
        e.ToolStarted(call="c2"),
        e.ToolOutput(call="c2", text="...F\n"),
        e.ToolEnded(
            call="c2",
            state="failed",
            text="exit code 1\n...F\nFAILED test_mul\n1 failed, 3 passed",
            duration_ns=190 * MS,
        ),
        *verdicts(red=True),
        ended(1400, 190, 64, "acceptable"),
    ]


def third_round() -> list[e.AnyEvent]:
    return [
        e.RoundStarted(model="gpt-oss:20b", limit=24),
        request(2400),
        answered(70, 2600),
        e.ToolCalled(call="c3", name="edit_file", arguments="{}", title="edit_file mathx/__init__.py"),
        e.ToolStarted(call="c3"),
        e.ToolEnded(
            call="c3",
            state="ok",
            duration_ns=4 * MS,
            changes=(e.FileChange("mathx/__init__.py", "modified", added=4, removed=2),),
            diff=EDIT,
        ),
        *verdicts(hit=True),
        ended(240, 4, 20, "instant"),
        e.GoalEnded(
            goal=1,
            outcome="done",
            reason="done, probes green: ruff 0 problems, pytest 3 passed",
            exit_code=0,
            rounds=3,
            wall_ns=2_600 * MS,
        ),
    ]


def whole() -> list[e.AnyEvent]:
    return [*opened("edits"), *first_round(), *second_round(), *third_round()]


def stamped(events: Iterable[e.AnyEvent], step_ms: float = 40) -> list[e.Stamped]:
    """The events in their envelopes, one every `step_ms`."""
    out: list[e.Stamped] = []
    number = begun = 0
    for n, event in enumerate(events):
        if isinstance(event, e.RoundStarted):
            number, begun = number + 1, int(n * step_ms * MS)
        out.append(e.Stamped(n, int(n * step_ms * MS), number, since(begun, event)))
    return out
