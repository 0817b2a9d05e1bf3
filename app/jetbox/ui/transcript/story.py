"""Events become blocks: what happened, in the order in which it began."""

from __future__ import annotations

from array import array
from collections.abc import MutableSequence

from jetbox.engine import events as e
from jetbox.engine.safety.terminal import SafeStream, safe_text
from jetbox.engine.sequences import put, standing
from jetbox.ui.glyphs import UNICODE, Glyphs
from jetbox.ui.glyphs import plain as in_signs
from jetbox.ui.text.rows import one_line
from jetbox.ui.transcript.blocks import INDENT, Block, Lines, Said, Text, Thinking
from jetbox.ui.transcript.kept import LATE, Blocks, make_way
from jetbox.ui.transcript.plan import PlanCard
from jetbox.ui.transcript.remarks import answered, ending, noticed, remarks
from jetbox.ui.transcript.round import RoundHeader, Verdicts
from jetbox.ui.transcript.shell import Shell
from jetbox.ui.transcript.tool import Tool
from jetbox.ui.verdicts import came_by


class Story:
    """The blocks of a session so far, and which of them changed since they were last looked at."""

    def __init__(self, glyphs: Glyphs = UNICODE) -> None:
        self.blocks = Blocks()
        self.changed: set[int] = set()
        self.late: set[int] = set()
        """Blocks that speak of what was defined only after them: they look another way now."""
        self.headers: MutableSequence[int] = array("i")
        """Blocks at which rounds begin."""
        self.alarms: list[int] = []
        """Blocks with errors and red verdicts, in order."""
        self.reds: list[int] = []
        """Those of them that are verdicts."""
        self._glyphs = glyphs
        self._model = ""
        self._header: int | None = None
        self._stream: int | None = None
        """The block that takes deltas."""
        self._safe = SafeStream()
        self._said: list[str] = []
        """The answer's words that came since they were last laid down."""
        self._said_from = 0
        self._calls: dict[str, int] = {}
        """The blocks of calls that are not over."""
        self._plan: int | None = None
        """The block of the plan that runs."""
        self._asked: dict[str, e.PermissionAsked | e.QuestionAsked] = {}
        self._numbers = array("q")
        """Of the rounds, in order."""
        self._verdicts_of: dict[int, int] = {}
        """The latest block of verdicts of each of the last rounds."""
        self._over = False
        """The latest goal has ended."""
        self._probing: dict[str, int] = {}
        """The block in which a probe runs."""
        self._shells: dict[str, int] = {}
        """Blocks of the user's commands that run."""

    def round_block(self, number: int) -> int | None:
        """The block at which a round begins."""
        at = standing(self._numbers, number)
        return self.headers[at] if at >= 0 else None

    @property
    def moving(self) -> list[int]:
        """Blocks whose rows change with time: they stand in the open round, or wait for a late verdict."""
        late = {n for n in (*self._probing.values(), *self._shells.values()) if n < (self._header or 0)}
        open_ones = [n for n in range(self._header or 0, len(self.blocks)) if self.blocks[n].moving]
        return [*sorted(n for n in late if self.blocks[n].moving), *open_ones]

    def apply(self, stamped: e.Stamped) -> None:
        """Take an event."""
        event = stamped.event
        if type(event) is e.TextDelta:
            if not self._said:
                self._said_from = stamped.t
            self._said.append(event.text)
            return
        self.settle()
        self.blocks.tidy(self._header or 0)
        match event:
            case e.ThinkingDelta():
                self._think(event.text, stamped.t)
            case e.ToolOutput():
                tool = self._tool(event.call)
                if tool is not None:
                    tool.output(event.text)
            case e.RoundStarted() | e.RoundEnded() | e.ModelAnswered():
                self._round_event(stamped, event)
            case e.ToolCalled() | e.ToolStarted() | e.ToolHeld() | e.ToolEnded():
                self._tool_event(stamped, event)
            case e.ProbeStarted() | e.ProbeEnded():
                self._probe_event(stamped, event)
            case e.ShellStarted() | e.ShellEnded():
                self._shell_event(stamped.t, event)
            case e.PlanMade() | e.StepBegun() | e.StepEnded() | e.PlanEnded() | e.PlanJoined():
                self._plan_event(stamped.t, event)
            case e.GoalStarted():
                self._over = False
                self._end_stream(stamped.t)
                self.add(Said(safe_text(event.text)))
            case e.GoalEnded():
                self._over = True
                self._goal_ended(stamped.t, event)
            case e.PermissionAsked() | e.QuestionAsked():
                self._asked_event(stamped.t, event)
            case e.PermissionAnswered() | e.QuestionAnswered():
                self._answer_event(stamped.t, event)
            case _:
                self._other(stamped.t, event)

    def settle(self) -> None:
        """Words that were streamed are laid down together: once a frame is enough for any rate."""
        if self._said:
            said = "".join(self._said)
            self._said.clear()
            self._text(said, self._said_from)

    def _other(self, t: int, event: e.AnyEvent) -> None:
        match event:
            case e.SessionResumed():
                self._end_stream(t)
                self._close_round(t)
            case e.Steered():
                self._end_stream(t)
                self.add(Said(safe_text(event.text)))
            case e.SessionClosed():
                self._end_stream(t)
            case _:
                pass
        for remark in remarks(event):
            if remark.level:
                self.notice(remark.level, remark.text, remark.hint)
            else:
                self.line(remark.text, remark.style, gap=remark.gap)

    def add(self, block: Block) -> int:
        """One more block at the end; returns its number."""
        self.blocks.append(block)
        self.changed.add(len(self.blocks) - 1)
        return len(self.blocks) - 1

    def _alarm(self, index: int, alarm: e.Alarm | None) -> None:
        """The scroll bar marks a block, where something in it failed or is red."""
        if alarm is not None:
            put(self.alarms, index)
        if alarm == "red":
            put(self.reds, index)

    def line(self, text: str, style: str, *, gap: bool = False) -> None:
        """A line of its own."""
        self.add(Lines((((INDENT, ""),), ((one_line(text), style),)), gap=gap))

    def notice(self, level: str, text: str, hint: str = "") -> None:
        """A word to the user, with what can be done."""
        self._alarm(len(self.blocks), "error" if level == "error" else None)
        self.add(Lines(noticed(level, text, hint, self._glyphs)))

    def _text(self, text: str, t: int) -> None:
        block = self._streaming()
        if not isinstance(block, Text):
            self._end_stream(t)
            if not text.strip():
                return
            block = Text()
            text = text.lstrip()
            self._stream = self.add(block)
        self._grow(block, self._safe.feed(text))

    def _grow(self, block: Text, text: str) -> None:
        """The answer goes on, in a block of its own where this one is long enough."""
        block.text += text
        known = len(block.names)
        self._touch(self._stream)
        rest = block.cut()
        while rest is not None:
            block = Text(rest[1], goes_on=True)
            block.text = rest[0]
            self._stream = self._put(1 + (self._stream or 0), block)
            rest = block.cut()
        self._define(block, known)

    def _put(self, at: int, block: Block) -> int:
        """What streams goes on here, above what was told meanwhile; returns the block's number."""
        if at == len(self.blocks):
            return self.add(block)
        self.blocks.insert(at, block)
        make_way(at, (self.alarms, self.reds), (self._calls, self._shells, self._probing, self._verdicts_of))
        self.changed.update(range(at, len(self.blocks)))
        return at

    def _define(self, block: Text, known: int) -> None:
        """What an answer speaks of above, and defines only now, is shown as what it is."""
        if len(block.names) == known:
            return
        begun = -1 if self._header is None else self._header
        for index in range(self._stream or 0, begun, -1):  # no answer began before its round
            each = self.blocks[index]
            if isinstance(each, Text):
                if each.names is not block.names:
                    return
                if each.defined(known):
                    self.late.add(index)

    def _think(self, text: str, t: int) -> None:
        block = self._streaming()
        if not isinstance(block, Thinking):
            self._end_stream(t)
            block = Thinking(t)
            self._stream = self.add(block)
        block.add(self._safe.feed(text))
        self._touch(self._stream)

    def _streaming(self) -> Block | None:
        return None if self._stream is None else self.blocks[self._stream]

    def _touch(self, index: int | None) -> None:
        if index is not None:
            self.changed.add(index)

    def _end_stream(self, t: int) -> None:
        """What streamed is complete."""
        block = self._streaming()
        if block is None:
            return
        rest = self._safe.flush()
        if isinstance(block, Text):
            self._grow(block, rest)
            block = self._streaming()
            assert isinstance(block, Text)
            block.text, known = block.text.rstrip(), len(block.names)
            block.finish()
            self._define(block, known)
        elif isinstance(block, Thinking):
            block.add(rest)
            block.took = max(0, t - block.began)
        self._touch(self._stream)
        self._stream = None
        self._safe = SafeStream()

    def _round_event(self, stamped: e.Stamped, event: e.RoundStarted | e.RoundEnded | e.ModelAnswered) -> None:
        match event:
            case e.RoundStarted():
                self._end_stream(stamped.t)
                self._close_round(stamped.t)
                model = one_line(event.model)
                shown = model if self._model and model != self._model else ""
                self._model = model
                self._header = self.add(RoundHeader(stamped.round, stamped.t, shown))
                self._numbers.append(stamped.round)
                self.headers.append(self._header)
                self._verdicts_of.pop(stamped.round - LATE, None)
            case e.RoundEnded():
                self._end_stream(stamped.t)
                header = self._open_header()
                if header is not None:
                    header.end(event)
                    self._touch(self._header)
            case e.ModelAnswered():
                self._end_stream(stamped.t)
                if event.error and event.error not in ("interrupted", "taken back"):
                    self.line(f"the answer broke off: {event.error}", "warning")

    def _open_header(self) -> RoundHeader | None:
        block = None if self._header is None else self.blocks[self._header]
        return block if isinstance(block, RoundHeader) else None

    def _close_round(self, t: int) -> None:
        """A round whose end was never told does not go on counting."""
        self._plan_over()
        header = self._open_header()
        if header is not None and header.moving:
            header.break_off(t)
            self._touch(self._header)

    def _tool(self, call: str) -> Tool | None:
        index = self._calls.get(call)
        block = None if index is None else self.blocks.own(index)
        self._touch(index)
        return block if isinstance(block, Tool) else None

    def _tool_event(self, stamped: e.Stamped, event: e.ToolCalled | e.ToolStarted | e.ToolHeld | e.ToolEnded) -> None:
        if isinstance(event, e.ToolCalled):
            self._end_stream(stamped.t)
            self._calls[event.call] = self.add(Tool(event))
            return
        tool = self._tool(event.call)
        if tool is None:
            return
        if isinstance(event, e.ToolStarted):
            tool.started = stamped.t
        elif isinstance(event, e.ToolHeld):
            (tool.pause if event.held else tool.go_on)(stamped.t)
        else:
            tool.end(event)
            self._alarm(self._calls.pop(event.call), e.alarm_of(event))

    def _shell_event(self, t: int, event: e.ShellStarted | e.ShellEnded) -> None:
        if isinstance(event, e.ShellStarted):
            # What streams goes on above it.
            self._calls[event.call] = self._shells[event.call] = self.add(Shell(event, t))
            return
        self._shells.pop(event.call, None)
        block = self._tool(event.call)
        if isinstance(block, Shell):
            block.over(event)
            self._alarm(self._calls.pop(event.call), e.alarm_of(event))

    def _plan_event(self, t: int, event: e.PlanMade | e.StepBegun | e.StepEnded | e.PlanEnded | e.PlanJoined) -> None:
        match event:
            case e.PlanMade():
                self._end_stream(t)
                self._plan = self.add(PlanCard(event))
            case e.PlanEnded(outcome="refused"):
                self.notice("info", f"the plan was not taken: {event.why}", "going on call by call")
            case e.PlanJoined():
                if not event.done:
                    self.line("after the plan it goes on, call by call", "dim")
            case _:
                card = self._plan_card()
                if card is not None:
                    card.take(event)
                if isinstance(event, e.PlanEnded):
                    self._plan = None

    def _plan_card(self) -> PlanCard | None:
        block = None if self._plan is None else self.blocks[self._plan]
        self._touch(self._plan)
        return block if isinstance(block, PlanCard) else None

    def _plan_over(self) -> None:
        """A plan whose end was never told does not go on."""
        card = self._plan_card()
        if card is not None:
            card.break_off()
        self._plan = None

    def _probe_event(self, stamped: e.Stamped, event: e.ProbeStarted | e.ProbeEnded) -> None:
        if isinstance(event, e.ProbeStarted):
            index, block = self._verdicts_for(event.name, stamped)
            block.start(event.name, stamped.t)
            self._probing[event.name] = index
        else:
            # A verdict stands where its run began, or with the others of the round whose files it judges.
            began = self._probing.pop(event.name, None)
            number = event.of_round or stamped.round
            index, block = self._verdicts_for(event.name, stamped, number, began)
            block.late = block.late or (index > (self._header or 0) and number != stamped.round)
            block.end(event)
            self._alarm(index, e.alarm_of(event))
            at = self.round_block(number)
            header = None if at is None else self.blocks.own(at)
            asked = self._over and not event.of_round  # by the user, of no round
            counts = event.state not in ("skipped", "cancelled") and not event.baseline and not asked
            if isinstance(header, RoundHeader) and counts and header.probed != "ran":
                header.probed = came_by(event)
                self._touch(at)
        self._touch(index)

    def _verdicts_for(
        self, name: str, stamped: e.Stamped, number: int | None = None, index: int | None = None
    ) -> tuple[int, Verdicts]:
        """The block for a verdict: this one, else the round's latest where it has room, else a new one; what streams
        goes on above it."""
        number = stamped.round if number is None else number
        index = self._verdicts_of.get(number) if index is None else index
        block = None if index is None else self.blocks.own(index)
        if index is None or not isinstance(block, Verdicts) or not block.takes(name):
            block = Verdicts()
            index = self._verdicts_of[number] = self.add(block)
        return index, block

    def _asked_event(self, t: int, event: e.PermissionAsked | e.QuestionAsked) -> None:
        self._asked[event.id] = event
        tool = self._tool(event.call)
        if tool is not None:
            tool.asking = True
            tool.pause(t)
            tool.asks = event if isinstance(event, e.QuestionAsked) else tool.asks

    def _answer_event(self, t: int, event: e.PermissionAnswered | e.QuestionAnswered) -> None:
        asked = self._asked.pop(event.id, None)
        tool = self._tool(asked.call) if asked is not None else None
        if tool is not None:
            tool.asking = False
            tool.go_on(t)
        sign, text, style = answered(event, asked, self._glyphs)
        self.add(Lines((((f"{INDENT}{sign} ", style),), ((in_signs(one_line(text), self._glyphs), style),))))

    def _goal_ended(self, t: int, event: e.GoalEnded) -> None:
        self._end_stream(t)
        self._close_round(t)
        self._alarm(self.add(Lines(*ending(event, self._glyphs), gap=True)), e.alarm_of(event))
