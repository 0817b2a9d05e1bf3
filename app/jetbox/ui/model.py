"""What the screen knows of a session: plain data, derived from events alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from jetbox.engine import events as e
from jetbox.record.timing import Timing
from jetbox.ui import words
from jetbox.ui.daytime import began
from jetbox.ui.doing import Doing
from jetbox.ui.rounds import Changed, Rounds, Tally, joined
from jetbox.ui.text.rows import one_line

Loaded = Literal["unknown", "loading", "loaded"]


class SessionView(msgspec.Struct):
    """The state of a session after the events that were applied."""

    seq: int = -1
    id: str = ""
    workspace: str = ""
    model: str = ""
    model_size: int = 0
    window: int = 0
    mode: e.Mode = "ask"
    sandbox: e.SandboxChosen | None = None
    closed: bool = False

    goal: int = 0
    running: bool = False
    goal_started: int = 0
    goal_wall: int = 0
    ended: e.GoalEnded | None = None

    round: int = 0
    goal_round: int = 0
    round_limit: int = 0
    rounds: Rounds = msgspec.field(default_factory=Rounds)
    tally: Tally = msgspec.field(default_factory=Tally)
    timing: Timing = msgspec.field(default_factory=Timing)
    """Where the time of the rounds went."""

    tokens: int = 0
    """Of the window that are used, as far as known."""
    estimated: bool = False
    keep_alive: int = 0
    answered: int = -1
    """When the model last answered; -1 for never."""
    loaded: Loaded = "unknown"
    held: e.ModelHeld | None = None
    """What the server said last that it holds of the model, and when."""
    held_at: int = -1
    why_window: str = ""

    verdicts: dict[str, e.ProbeEnded] = msgspec.field(default_factory=dict)
    older: dict[str, str] = msgspec.field(default_factory=dict)
    """Probes whose verdict is about files as they were before the latest change, and which that was; empty where
    the session was opened again since, and nobody looked meanwhile."""
    probing: dict[str, int] = msgspec.field(default_factory=dict)
    """Probes that run, and since when."""
    phase: str = ""
    """Of the goal, where a rule that chooses models knows phases: `scaffold` or `refine`."""
    listed: e.ModelsListed | None = None
    """What the server has, as it was last told."""
    pulls: dict[str, e.ModelPulled] = msgspec.field(default_factory=dict)
    """What the server fetches, as it was last told."""
    files: dict[str, Changed] = msgspec.field(default_factory=dict)
    """Files that changed, the latest at the end."""
    changed: dict[str, str] = msgspec.field(default_factory=dict)
    """Options that have another value since the session began."""
    undo: e.UndoPlanned | None = None
    """What going back would change, as it was last told."""
    unnamed: tuple[int, str, str] = (0, "", "")
    """How many files changed at once the last time that not all were named, who did that, and when."""
    tools: dict[str, str] = msgspec.field(default_factory=dict)
    """Calls that run, and their titles."""
    shells: dict[str, tuple[str, int]] = msgspec.field(default_factory=dict)
    """The user's commands that run, and since when."""
    queue: tuple[str, ...] = ()
    """What was typed and waits, as it came."""
    asked: dict[str, e.PermissionAsked | e.QuestionAsked] = msgspec.field(default_factory=dict)
    """Open questions, in order."""
    doing: Doing = msgspec.field(default_factory=Doing)
    streamed: int = 0
    """Deltas of the present answer: about as many tokens."""
    _titles: dict[str, str] = msgspec.field(default_factory=dict)
    _began: datetime | None = None
    """Time of day at which the session's time is 0."""

    def apply(self, stamped: e.Stamped) -> None:
        """Take an event."""
        self.seq = stamped.seq
        event = stamped.event
        self.timing.take(stamped)
        match event:
            case e.TextDelta() | e.ThinkingDelta():
                self._delta("writing" if isinstance(event, e.TextDelta) else "thinking", stamped.t)
            case e.ToolOutput():
                pass
            case e.RoundStarted() | e.RoundEnded() | e.RequestSent() | e.Waiting() | e.ModelAnswered():
                self._model_event(stamped.t, stamped.round, event)
            case e.ToolCalled() | e.ToolStarted() | e.ToolEnded() | e.FilesChanged():
                self._tool_event(stamped.t, event)
            case e.ProbeStarted() | e.ProbeEnded():
                self._probe_event(stamped.t, event)
            case e.GoalStarted() | e.GoalEnded():
                self._goal_event(stamped.t, event)
            case _:
                self._session_event(stamped.t, event)

    def _session_event(self, t: int, event: e.AnyEvent) -> None:
        match event:
            case e.SessionOpened():
                self.id, self.workspace, self.mode = event.id, one_line(event.workspace), event.mode
                self.model = one_line(event.model)
                self._began = began(event.created, t)
            case e.SessionResumed():
                self._began = began(event.created, t)
                self.mode, self.closed = event.mode, False
                self.pulls.clear()
                self.older = dict.fromkeys(self.verdicts, "")
                self.model = one_line(event.model) or self.model
                self._still()
            case e.SessionClosed():
                self.closed = True
                self.shells.clear()
                self.pulls.clear()
                self._still()
            case e.SandboxChosen():
                self.sandbox = event
            case e.ModelReady():
                self.model, self.window, self.model_size = one_line(event.name), event.num_ctx, event.size
                self.keep_alive, self.why_window = event.keep_alive_ns, one_line(event.why)
            case e.ModelHeld() | e.ModelWarmed():
                self._held(t, event)
            case e.ModelSwitched():
                self.model, self.loaded, self.answered = one_line(event.new), "unknown", -1
                self.held = None
                self.doing = self.doing if self.running else Doing()
            case e.ModelsListed():
                self.listed = event
            case e.ModelPulled():
                self.pulls.pop(event.name, None)
                if event.state == "running":
                    self.pulls[event.name] = event
            case e.Notice() if not self.running:
                self.doing = Doing()  # what was done ahead of a goal came to nothing
                self.loaded = "unknown" if self.loaded == "loading" else self.loaded
            case e.Compacted():
                self.tokens, self.estimated = event.after, True
                self.doing = Doing("preparing", t) if self.running else Doing()
            case e.OptionChanged():
                self.changed[event.option] = event.value
            case e.UndoPlanned():
                self.undo = event
            case e.PromptRewound():
                self.tokens, self.estimated = 0, False
            case e.Undone():
                self.undo = None
                if event.files:
                    self.verdicts.clear()  # they are about other files
                for change in event.files:
                    self.files.pop(one_line(change.path), None)
                self._change(t, event.files, "undo")
            case e.Routed():
                self.phase = event.phase
            case e.ModeChanged():
                self.mode = event.mode
            case e.ShellStarted():
                self.shells[event.call] = one_line(event.command), t
            case e.ShellEnded():
                self.shells.pop(event.call, None)
            case e.QueueChanged():
                self.queue = event.items
            case e.PermissionAsked() | e.QuestionAsked():
                self.asked[event.id] = event
            case e.PermissionAnswered() | e.QuestionAnswered():
                self.asked.pop(event.id, None)
                self._rest(t)
            case _:
                pass

    def _held(self, t: int, event: e.ModelHeld | e.ModelWarmed) -> None:
        if isinstance(event, e.ModelHeld):
            self.held, self.held_at = event, t
        self.loaded = "loaded" if isinstance(event, e.ModelWarmed) or event.loaded else "unknown"
        if not self.running:
            self.doing = Doing()

    def _goal_event(self, t: int, event: e.GoalStarted | e.GoalEnded) -> None:
        if isinstance(event, e.GoalStarted):
            self.goal, self.running, self.ended = event.goal, True, None
            self.goal_started, self.goal_round, self.phase = t, 0, ""
            self.doing = Doing("preparing", t)
        else:
            self.ended = event
            self.goal_wall = event.wall_ns or t - self.goal_started
            self._still()

    def _still(self) -> None:
        """Nothing runs any more."""
        self.running = False
        self.doing = Doing()
        if self.loaded == "loading":
            self.loaded = "unknown"
        self.tools.clear()
        self.probing.clear()
        self.asked = {name: asked for name, asked in self.asked.items() if asked.call in self.shells}

    def _model_event(
        self,
        t: int,
        number: int,
        event: e.RoundStarted | e.RoundEnded | e.RequestSent | e.Waiting | e.ModelAnswered,
    ) -> None:
        match event:
            case e.RoundStarted():
                self.round, self.round_limit = number, event.limit
                self.goal_round += 1
                self.rounds.begin(number, t)
                self.doing = Doing("preparing", t)
            case e.RoundEnded() if self.rounds:
                last = self.rounds[-1]
                last.wall, last.phases, last.tier = event.wall_ns, event.phases, event.tier or "slow"
                self.tally.end(last)
            case e.RequestSent():
                self.streamed = 0
                self.doing = Doing("waiting for the model", t)
                if event.estimate:
                    self.tokens, self.estimated = event.estimate, True
            case e.Waiting():
                self._wait(t, event)
            case e.ModelAnswered():
                self._answer(t, event)
            case _:
                pass

    def _wait(self, t: int, event: e.Waiting) -> None:
        if event.what == "loading":
            self.loaded = "loading"
        elif event.what in ("writing", "thinking"):
            self.loaded = "loaded"
        elif self.loaded == "loading":
            self.loaded = "loaded" if event.what == "reading" else "unknown"
        self.doing = self.doing.waiting(t, event, self.model_size)

    def _answer(self, t: int, event: e.ModelAnswered) -> None:
        if event.complete:
            self.loaded, self.answered = "loaded", t
        prompt = event.metrics.get("prompt_eval_count", 0)
        if prompt:
            self.tokens, self.estimated = prompt + event.metrics.get("eval_count", 0), False
        if self.rounds and event.ttft_ns >= 0 and self.rounds[-1].ttft < 0:
            self.rounds[-1].ttft = event.ttft_ns
        self.doing = Doing("", t)

    def _delta(self, what: str, t: int) -> None:
        self.streamed += 1
        self.loaded = "loaded"
        if self.tokens:
            self.tokens, self.estimated = self.tokens + 1, True
        if self.doing.what != what:
            self.doing = Doing(what, t)

    def _tool_event(self, t: int, event: e.ToolCalled | e.ToolStarted | e.ToolEnded | e.FilesChanged) -> None:
        match event:
            case e.ToolCalled():
                self._titles[event.call] = one_line(event.title or event.name)
            case e.ToolStarted():
                self.tools[event.call] = self._titles.get(event.call, event.call)
            case e.ToolEnded():
                self.tools.pop(event.call, None)
                self._rest(t)
                command = self._titles.pop(event.call, "").startswith("run_cmd")
                self._change(t, event.changes, "command" if command else "agent")
            case e.FilesChanged():
                self._change(t, event.changes, event.by, outdates=event.by in ("you", "git"))
                if event.count > len(event.changes):
                    self.unnamed = (event.count - len(event.changes), event.by, self.clock(t))

    def _rest(self, t: int) -> None:
        """Something ended; where nothing else goes on, what comes next is found out from the files."""
        if not self.doing.what:
            self.doing = Doing("", t)

    def _change(self, t: int, changes: tuple[e.FileChange, ...], by: str, *, outdates: bool = True) -> None:
        for change in changes:
            if outdates:
                words = f"{one_line(change.path)} changed by {by} at {self.clock(t)}".removesuffix(" at ")
                self.older = dict.fromkeys(self.verdicts, words)
            path = one_line(change.path)
            known = self.files.pop(path, None)
            safe = msgspec.structs.replace(change, path=path)
            whole = safe if known is None else joined(path, known.change, change)
            self.files[path] = Changed(whole, by, self.clock(t))

    def clock(self, t: int) -> str:
        """The time of day at a time of the session, `12:04:11`; empty where that is not known."""
        if self._began is None:
            return ""
        return (self._began + timedelta(microseconds=t // 1000)).strftime("%H:%M:%S")

    def _probe_event(self, t: int, event: e.ProbeStarted | e.ProbeEnded) -> None:
        name = one_line(event.name)
        if isinstance(event, e.ProbeStarted):
            self.probing[name] = t
            return
        self.probing.pop(name, None)
        self._rest(t)
        verdict = msgspec.structs.replace(event, name=name, summary=one_line(event.summary), output="")
        if verdict.baseline:
            # About what was there before: no round's work, and no word on the present files.
            self.verdicts.setdefault(name, verdict)
            return
        self.verdicts[name] = verdict
        self.older.pop(name, None)
        if self.ended is not None and not verdict.of_round:
            return  # asked for between two goals
        # One that came late belongs to the round whose files it judges.
        at = self.rounds.find(verdict.of_round)
        if self.rounds:
            self.tally.judge(self.rounds.own(at) if at >= 0 else self.rounds[-1], verdict)

    def goal_time(self, now: int) -> int:
        """How long the goal has been worked on, ns."""
        return max(0, now - self.goal_started) if self.running else self.goal_wall

    def loaded_for(self, now: int) -> int | None:
        """How long the server will still keep the model, ns; None where unknown, negative for ever."""
        if self.loaded != "loaded":
            return None
        if self.held is not None and self.held.expires and self.held_at >= self.answered:
            return -1 if self.held.expires < 0 else max(0, self.held.expires - now)
        if self.answered < 0 or not self.keep_alive:
            return None
        if self.keep_alive < 0:
            return -1
        return max(0, self.answered + self.keep_alive - now)

    @property
    def probing_words(self) -> tuple[str, ...]:
        """The cache's part in the session so far, and what it saved and was waited for; nothing without verdicts."""
        verdicts, hits, unproven, saved = self.tally.verdicts, self.tally.hits, self.tally.unproven, self.tally.saved
        if not verdicts:
            return ()
        waited = f"waited {words.duration(self.tally.exposed)}"
        return (
            f"hits {hits} of {verdicts} ({hits / verdicts:.0%})" + (f", {unproven} unproven" if unproven else ""),
            f"saved {words.duration(saved)}, {waited}" if saved else waited,
        )

    @property
    def context_share(self) -> float | None:
        """How much of the window is used, from 0 to 1; None where unknown."""
        return min(1.0, self.tokens / self.window) if self.window and self.tokens else None

    def activity(self, now: int) -> tuple[str, str]:
        """What happens now: its kind (idle, busy, ask) and the words for it."""
        if self.asked:
            return "ask", one_line(next(iter(self.asked.values())).title)
        if not self.running and self.shells:
            command, since = next(iter(self.shells.values()))
            return "busy", f"!{command}  {words.elapsed(max(0, now - since))}"
        if not self.running and not self.doing.wait:
            pulled = next(iter(self.pulls.values()), None)
            return ("busy", one_line(words.fetching(pulled))) if pulled is not None else ("idle", "")
        if self.doing.what:
            return "busy", self.doing.said(now, self.streamed)
        if self.tools:
            titles = list(self.tools.values())
            return "busy", f"running {titles[0]}" + (f" and {len(titles) - 1} more" if len(titles) > 1 else "")
        if self.probing:
            since = min(self.probing.values())
            return "busy", f"probing {', '.join(self.probing)}  {words.elapsed(max(0, now - since))}"
        return "busy", self.doing.said(now, self.streamed)
