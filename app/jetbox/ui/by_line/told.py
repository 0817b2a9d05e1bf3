"""Events become lines of words: no colours, no signs that have to be seen, nothing that is drawn over."""

from __future__ import annotations

from collections.abc import Callable

from jetbox.engine import events as e
from jetbox.engine import sizes
from jetbox.engine.safety.terminal import SafeStream, safe_text
from jetbox.engine.waiting import said_late
from jetbox.ui import words
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.glyphs import plain as in_signs
from jetbox.ui.model import SessionView
from jetbox.ui.text.rows import one_line
from jetbox.ui.transcript.remarks import OUTCOMES, remarks
from jetbox.ui.verdicts import came_by

DIFF_LINES = 60
RESULT_LINES = 8
"""Of a command's output, from its end; of a failure, from its beginning."""
PROBE_LINES = 20
QUIET = ("read_file", "list_dir", "glob", "grep", "write_file", "edit_file", "finish", "ask_user")
"""Tools whose result is for the model: told where they failed."""
CAME_BY = {"hit": ", from the cache", "unproven": ", from the cache, unproven", "partial": ", partly from the cache"}
ANSWERS = "y once, s this session, a always here, n no"


def how_to_answer(asked: e.PermissionAsked | e.QuestionAsked) -> str:
    """What can be typed as an answer."""
    if isinstance(asked, e.PermissionAsked):
        return ANSWERS
    count = len(asked.choices)
    numbers = "1, or " if count == 1 else f"1 to {count}, or " if count else ""
    return f"{numbers}a line in your own words; an empty line is no answer"


class Told:
    """Takes the events of a session one after another, and puts its lines."""

    def __init__(self, put: Callable[[str], None], glyphs: Glyphs, *, echo: bool = True) -> None:
        """`echo`: the user's words are told too, for the terminal has not shown them."""
        self._put = put
        self._glyphs = glyphs
        self._echo = echo
        self.view = SessionView()
        self._titles: dict[str, str] = {}
        self._safe = SafeStream()
        self._open: list[str] = []
        """The line that the model, or the user's command, has not ended yet, in the pieces in which it came."""
        self._thinking = -1
        """Since when the model thinks, ns; negative where it does not."""
        self._waits = ""
        self._fetched = 0
        """Tenths of a download that were told."""

    def say(self, text: str) -> None:
        """A line of the product's own."""
        self._put(in_signs(text, self._glyphs))

    def apply(self, stamped: e.Stamped) -> None:
        """Take an event."""
        self.view.apply(stamped)
        event = stamped.event
        match event:
            case e.TextDelta():
                self._thought(stamped.t)
                self._stream(event.text)
            case e.ThinkingDelta():
                if self._thinking < 0:
                    self._thinking = stamped.t
            case e.ToolOutput():
                if event.call in self.view.shells:
                    self._stream(event.text)
            case _:
                self._settle(stamped.t, event)
                self._event(stamped, event)

    def _event(self, stamped: e.Stamped, event: e.AnyEvent) -> None:
        match event:
            case e.GoalStarted() | e.Steered():
                self._said(event)
            case e.GoalEnded():
                self._ended(event)
            case e.RoundStarted():
                self._waits = ""
                self.say(f"round {stamped.round}")
            case e.RoundEnded():
                phases = ", ".join(f"{name} {words.duration(ns)}" for name, ns in event.phases.items() if ns >= 500_000)
                self.say(f"round {stamped.round} took {words.duration(event.wall_ns)}: {phases}")
            case e.Waiting():
                self._waiting(event)
            case e.ModelAnswered() if event.error and event.error not in ("interrupted", "taken back"):
                self.say(f"warning: the answer broke off: {one_line(event.error)}")
            case e.ToolCalled() | e.ToolStarted() | e.ToolEnded():
                self._tool(event)
            case e.ShellStarted() | e.ShellEnded():
                self._shell(event)
            case e.PermissionAsked() | e.PermissionAnswered():
                self._permission(event)
            case e.QuestionAsked() | e.QuestionAnswered():
                self._question(event)
            case e.ProbeEnded():
                self._probe(stamped.round, event)
            case e.QueueChanged():
                if event.items:
                    self.say(f"waits for the next round: {'; '.join(one_line(item) for item in event.items)}")
            case e.ModelPulled(state="running"):
                self._pulled(event)
            case _:
                self._remark(event)

    def _pulled(self, event: e.ModelPulled) -> None:
        """How far a download is, by tenths."""
        tenth = 10 * event.completed // event.total if event.total else 0
        if tenth and tenth != self._fetched:
            self._fetched = tenth
            self.say(f"fetching {one_line(event.name)}: {tenth}0% of {sizes.size(event.total)}")

    def _remark(self, event: e.AnyEvent) -> None:
        for remark in remarks(event):
            level = f"{remark.level}: " if remark.level in ("warning", "error") else ""
            hint = f" ({one_line(remark.hint)})" if remark.hint else ""
            self.say(f"{level}{one_line(remark.text)}{hint}")

    def _stream(self, text: str) -> None:
        """Whole lines are put at once, the rest when it is whole."""
        end, *lines = self._safe.feed(text).split("\n")
        self._open.append(end)
        for line in lines:
            self._put("".join(self._open))
            self._open = [line]

    def _settle(self, t: int, event: e.AnyEvent) -> None:
        """What streamed is over with the event that ends it: others come in between."""
        if not isinstance(event, e.ModelAnswered | e.ToolCalled | e.RoundEnded | e.ShellEnded | e.GoalEnded):
            return
        self._thought(t)
        rest, self._open = "".join((*self._open, self._safe.flush())), []
        self._safe = SafeStream()
        if rest.strip():
            self._put(rest)

    def _thought(self, t: int) -> None:
        if self._thinking >= 0:
            self.say(f"thought for {words.duration(max(0, t - self._thinking))}")
            self._thinking = -1

    def _said(self, event: e.GoalStarted | e.Steered) -> None:
        if self._echo or isinstance(event, e.Steered):
            self.say("you:")
            self._lines(event.text, RESULT_LINES)

    def _ended(self, event: e.GoalEnded) -> None:
        said, _ = OUTCOMES[event.outcome]
        head = words.ended(said, one_line(event.reason))
        rounds = words.plural(event.rounds, "round")
        figures = f" ({rounds}, {words.duration(event.wall_ns)})" if event.rounds else ""
        self.say(head + figures)
        if event.hint:
            self.say(one_line(event.hint))

    def _waiting(self, event: e.Waiting) -> None:
        what, _, _ = self.view.doing.what.partition("\n")
        about = f", about {words.duration(event.expected_ns)}" if event.expected_ns else ""
        wait = f"{event.what}{about}{', late' * said_late(event)}"
        if what and wait != self._waits:
            self._waits = wait
            self.say(f"{what}{about}")

    def _tool(self, event: e.ToolCalled | e.ToolStarted | e.ToolEnded) -> None:
        match event:
            case e.ToolCalled():
                mark = " (recovered)" if event.recovered else ""
                self._titles[event.call] = one_line(event.title or event.name) + mark
            case e.ToolStarted():
                if self._titles.get(event.call, "").startswith("run_cmd"):
                    self.say(f"running: {self._titles[event.call].removeprefix('run_cmd ')}")
            case e.ToolEnded():
                title = self._titles.pop(event.call, event.call)
                changed = words.lines_changed(
                    sum(change.added for change in event.changes), sum(change.removed for change in event.changes)
                )
                took = words.duration(event.duration_ns) if event.duration_ns else ""
                self.say(", ".join(part for part in (f"{title}: {event.state}", changed, took) if part))
                if event.diff:
                    self._lines(event.diff, DIFF_LINES)
                elif event.state == "failed" or (event.state == "ok" and not title.startswith(QUIET)):
                    command = title.startswith("run_cmd")
                    self._lines(event.text.removeprefix("exit code 0\n"), RESULT_LINES, tail=command)

    def _shell(self, event: e.ShellStarted | e.ShellEnded) -> None:
        if isinstance(event, e.ShellStarted):
            self._titles[event.call] = one_line(event.command)
            self.say(f"running your command: {self._titles[event.call]}")
            return
        title = self._titles.pop(event.call, event.call)
        first = one_line(event.text.partition("\n")[0])
        self.say(f"{title}: {first}, {words.duration(event.duration_ns)}" if event.told else f"{title}: {first}")

    def _probe(self, number: int, event: e.ProbeEnded) -> None:
        if event.state == "cancelled":
            return
        late = f" of round {event.of_round}" if event.of_round and event.of_round != number else ""
        when = " before the first change" if event.baseline else ""
        summary = f", {one_line(event.summary)}" if event.summary else ""
        how = CAME_BY.get(came_by(event), "")
        took = "" if event.state == "skipped" else f", {words.duration(event.duration_ns)}"
        self.say(f"probe {one_line(event.name)}{late}{when}: {event.state}{summary}{took}{how}")
        if event.state in e.RED:
            self._lines(event.output, PROBE_LINES)

    def _permission(self, event: e.PermissionAsked | e.PermissionAnswered) -> None:
        if isinstance(event, e.PermissionAsked):
            self.say(f"permission wanted: {one_line(event.title)}")
            if event.why:
                self.say(f"  why: {one_line(event.why)}")
            if event.scope:
                self.say(f"  session and always would allow {one_line(event.scope)}")
            self._lines(event.diff, 0)
            self.say(f"allow it? {ANSWERS}")
        elif event.answer == "no":
            reason = f": {one_line(event.reason)}" if event.reason else ""
            self.say(f"not allowed by {'you' if event.by == 'user' else event.by}{reason}")

    def _question(self, event: e.QuestionAsked | e.QuestionAnswered) -> None:
        if isinstance(event, e.QuestionAsked):
            self.say("the model asks:")
            self._lines(event.question, 0)
            for n, choice in enumerate(event.choices, start=1):
                self._put(f"  {n} {one_line(choice)}")
            self.say(f"your answer? {how_to_answer(event)}")
        elif self._echo or not event.text:
            self.say(f"you answer: {one_line(event.text)}" if event.text else "no answer")

    def _lines(self, text: str, most: int, *, tail: bool = False) -> None:
        """A text of others, indented; 0: all of it."""
        lines = safe_text(text).strip("\n").split("\n") if text.strip() else []
        kept = (lines[-most:] if tail else lines[:most]) if most else lines
        left = f"  ({words.plural(len(lines) - len(kept), 'more line')})"
        if tail and len(kept) < len(lines):
            self.say(left)
        for line in kept:
            self._put(f"  {line}")
        if not tail and len(kept) < len(lines):
            self.say(left)
