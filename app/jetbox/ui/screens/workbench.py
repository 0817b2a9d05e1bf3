"""The workbench: drains its source once a frame, shows what came, hands on what the user wants."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from textual import events, on, work
from textual.app import ComposeResult
from textual.widget import Widget

from jetbox.engine import events as e
from jetbox.engine.errors import JetboxError
from jetbox.engine.session import SessionSource
from jetbox.ui.completing import Completer
from jetbox.ui.drawing import Drawing
from jetbox.ui.footing import OFFERED_COMMANDS, OFFERED_FILES, Keys, footer_state, wanted_hints
from jetbox.ui.frames import Frames
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.history import Memory
from jetbox.ui.keys import first_keys
from jetbox.ui.letting_go import let_go
from jetbox.ui.model import SessionView
from jetbox.ui.paint import Paint
from jetbox.ui.saying import Saying
from jetbox.ui.screens.sizes import size_classes
from jetbox.ui.screens.steering import Steering
from jetbox.ui.skeleton import HINT
from jetbox.ui.slices import Slice
from jetbox.ui.transport import Transport
from jetbox.ui.widgets.box import Line
from jetbox.ui.widgets.footer import Footer
from jetbox.ui.widgets.mark import Mark
from jetbox.ui.widgets.permission import Permission
from jetbox.ui.widgets.prompt import Prompt
from jetbox.ui.widgets.queue import Queue
from jetbox.ui.widgets.search import Search
from jetbox.ui.widgets.side import Side
from jetbox.ui.widgets.status import Status
from jetbox.ui.widgets.suggest import Suggest
from jetbox.ui.widgets.thumb import Thumb
from jetbox.ui.widgets.timeline import TimeLine
from jetbox.ui.widgets.transcript import Transcript
from jetbox.ui.widgets.transport import TransportBar

FRAME_S = 1 / 40
"""How often words are drawn; letters that are typed do not wait for it."""
FAST_S = 0.1
"""How often what moves with time is drawn while something runs."""
SLOW_S = 5.0
"""The same while nothing runs: for the model's countdown."""


@runtime_checkable
class Watching(Protocol):
    """A screen over the workbench that shows its state."""

    def look(self) -> None:
        """Show what is true now."""
        ...


LocalNotice = tuple[str, str, str]
"""A word of the screen's own: level, text, hint."""


class Workbench(Steering):
    """One session, live or recorded."""

    AUTO_FOCUS = ""
    BINDING_GROUP_TITLE = "Workbench"

    def __init__(self, source: SessionSource, *, glyphs: Glyphs, home: str, live: bool, sessions: Path) -> None:
        """`live`: commands are heard; else the screen looks on, or plays a recording."""
        super().__init__(sessions)
        self._compositor = self._frames = Frames()
        self.source = source
        self.live = live
        self.view = SessionView()
        self.glyphs = glyphs
        self.transport: Transport | None = source if isinstance(source, Transport) else None
        self.status = Status(glyphs, home, id="status")
        self.timeline = TimeLine(glyphs, id="timeline")
        self.transcript = Transcript(glyphs, id="transcript")
        self.thumb = Thumb(glyphs, id="thumb")
        self.search = Search(glyphs, id="search")
        self.side = Side(glyphs, id="side")
        self.queue = Queue(glyphs, id="queue")
        self.permission = Permission(glyphs, source.now, id="permission")
        self.prompt = Prompt(id="prompt", placeholder=HINT)
        self.suggest = Suggest(glyphs, id="suggest")
        self.completer = Completer(self.prompt, self.suggest, self.word)
        self.prompt.completer = self.completer
        self.prompt.at_once = self.show_at_once
        self.prompt.typed = self.typed
        self.transcript.moved = self.show_place
        self.memory = Memory(self.prompt, self.word)
        self.footer = Footer(glyphs, id="footer")
        self.bar = TransportBar(glyphs, self.transport, id="transport") if self.transport is not None else None
        self._mark = Mark(glyphs, id="mark")
        self._moving = (self.transcript, self.thumb, self.side, self.status, self.timeline, self.footer)
        """What changes while the model works."""
        self._notices: list[LocalNotice] = []
        self._saying = Saying()
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._fast = False
        self.key_names: dict[str, str] = {}
        self.drawing = Drawing()
        self.set_class(not live, "-looking", update=False)
        self.set_class(glyphs.ascii, "-ascii", update=False)
        self.over_because = ""
        """Why nothing can be asked of the session any more."""

    def compose(self) -> ComposeResult:
        yield self.status
        yield self.timeline
        with Line(id="body"):
            yield self.transcript
            yield self.thumb
            yield self.side
        yield self.search
        yield self.queue
        if self.bar is not None:
            yield self.bar
        yield self.permission
        yield self.suggest
        with Line(id="entry"):
            yield self._mark
            yield self.prompt
        yield self.footer

    def on_mount(self) -> None:
        self.drawing.recorded = self.live and not self.app.is_headless
        if self.bar is not None:
            self.transcript.can_focus = False
        self.know_keys()
        self.home_focus()
        self.watch(self.app, "app_focus", self.come_back, init=False)
        self._ticking = self.set_interval(FAST_S, self._tick, pause=True)
        self.set_interval(SLOW_S, self._tick)
        self._drain()

    def fit(self, width: int, height: int) -> None:
        """Lay it out for this size of the terminal."""
        before = self.classes
        for name, holds in size_classes(width, height).items():
            self.set_class(holds, name, update=False)
        if self.is_attached and self.classes != before:
            self.update_node_styles(animate=False)  # once: it looks at every widget

    def on_resize(self, event: events.Resize) -> None:
        self.fit(*event.size)

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        if not self._seen:
            # Everything was styled when it was mounted, a moment ago.
            event.refresh_styles = False
            self._seen = True
            self._hold_first()
        self.offer_models()

    @work(group="drain", exclusive=True, exit_on_error=True)
    async def _drain(self) -> None:
        """Everything that is new, once a frame; nothing at all while nothing comes."""
        try:
            while await self.source.ready():
                batch = self.source.drain()
                left, anew = iter(batch.events), batch.reset
                del batch  # what was taken is gone, though a whole session came at once
                doing = self.view.doing
                if anew:
                    self._restart()
                deltas_only = not anew
                more = True
                while more:
                    with self.drawing:
                        more, only = self._take(left, anew=anew)
                    deltas_only &= only
                    if more:
                        await asyncio.sleep(0)
                with self.drawing:
                    self._show_taken(deltas_only=deltas_only, other=self.view.doing is not doing)
                told = self.drawing.told()
                if told is not None and self.drawing.recorded and not anew:
                    self.source.submit(told)
                await asyncio.sleep(FRAME_S)
        except JetboxError as error:
            self.transcript.story.settle()
            self._show_taken(deltas_only=False, other=True)
            if self.transport is None:
                self.fail(error.message, error.hint)
            elif self.cut_off(self.transport, error):
                self.call_next(self._drain)

    def _take(self, left: Iterator[e.Stamped], *, anew: bool) -> tuple[bool, bool]:
        """Take events for a slice: whether there can be more, and whether they only go on with what streams."""
        deltas_only, now = True, Slice()
        for stamped in left:
            self.view.apply(stamped)
            self.transcript.story.apply(stamped)
            if not isinstance(stamped.event, e.Delta):
                self.note(stamped, anew=anew)
                self.drawing.note(stamped)
                deltas_only = False
                self._saying.hear(stamped.event)
                if isinstance(stamped.event, e.SessionOpened) and self.live:
                    self._workspace(stamped.event.workspace)
                if isinstance(stamped.event, e.GoalStarted | e.Steered):
                    self.prompt.remember(stamped.event.text)
                self.came_back(stamped.event)
                if isinstance(stamped.event, e.ShellStarted):
                    self.prompt.remember(f"!{stamped.event.command}")
            if now.over:
                break
        self.transcript.story.settle()
        if more := now.over:
            self.transcript.count()
        return more, deltas_only

    def _compositor_refresh(self) -> None:
        with self.drawing:
            self.drawing.frames += not self._holding
            super()._compositor_refresh()

    def _show_taken(self, *, deltas_only: bool, other: bool) -> None:
        """Show what came; `other`: the model does something else now."""
        now = self.source.now()
        self.transcript.update(now)
        if not self._fast:
            # No tick will follow that moves the elapsed times.
            self.transcript.tick(now)
        if not deltas_only:
            self._show(now)
        else:
            self.side.tick(now)
            if other or not self._fast:
                self._show_moving(now)
        self.show_at_once(*self._moving)
        self._settle_waiters()

    def show_at_once(self, *widgets: Widget) -> None:
        """Put what changed in these widgets on the terminal now, where nothing else has to be laid out before."""
        waits = self._layout_required or self._scroll_required or self._repaint_required or self._recompose_required
        if waits or self.app.screen is not self or self.app.is_headless:
            return
        rows = self._frames.rows(widgets)
        if rows is not None:
            self.drawing.frames += 1
            self.app._display(self, rows)  # type: ignore[arg-type]  # as Textual itself calls it

    def _workspace(self, folder: str) -> None:
        self.completer.root(Path(folder))
        if self.loaded is not None and self.loaded.settings.session.record:
            self.run_worker(self.memory.open(folder), group="memory")

    async def on_unmount(self) -> None:
        await self.completer.close()
        await self.memory.close()
        await self.aside.close()

    def _restart(self) -> None:
        let_go(self.view.timing.rounds)
        self.view = SessionView()
        self.forget()
        self.transcript.restart()
        for notice in self._notices:
            self.transcript.story.notice(*notice)

    def _show(self, now: int) -> None:
        """Everything but the transcript."""
        self.ask(next(iter(self.view.asked.values()), None) if self.live else None)  # the last line names its keys
        self._show_moving(now)
        self.timeline.show(self.view)
        self.side.show(self.view, now)
        self.show_queue()
        self.show_title()
        self._pace()
        self.offer_models()
        over = self.app.screen
        if over is not self and isinstance(over, Watching) and over.is_mounted:
            over.look()

    def _show_moving(self, now: int) -> None:
        """What changes with time alone."""
        self.status.show(self.view, now)
        self._show_footer(now)
        if self.bar is not None:
            self.bar.redraw()

    def _show_footer(self, now: int) -> None:
        if self.view.doing.wait and not self.over_because:
            self._saying.grow_old(now)
        typed, word = self.prompt.text, self._saying.word
        self.footer.show(footer_state(self.view, now, live=self.live, typed=typed, word=word, keys=self._hints()))

    def _hints(self) -> Keys:
        """The keys that matter now, as they are bound."""
        offered = OFFERED_FILES if self.completer.takes_enter else OFFERED_COMMANDS
        wanted = wanted_hints(
            self.view,
            live=self.live,
            replay=self.bar is not None,
            typed=self.prompt.text,
            offered=offered if self.completer.open else (),
            led=bool(self.led_by),
        )
        return tuple((self.key_names[name], does) for name, does in wanted if name in self.key_names)

    def know_keys(self) -> None:
        """Keys were bound or bound anew: hints say them as they are."""
        nodes = (self.app, self, self.bar or self.prompt, *([self.reply] if self.inquired and self.reply else ()))
        self.key_names = first_keys(*nodes, ascii=self.glyphs.ascii)
        self.transcript.name_key(self.key_names.get("transcript.expand", ""))
        self._show_footer(self.source.now())

    def _pace(self) -> None:
        """Tick fast only while something moves."""
        playing = self.transport is not None and self.transport.playing
        working = self.view.running or bool(self.view.shells or self.view.doing.wait)
        fast = playing or (working and self.transport is None)
        if fast != self._fast:
            self._fast = fast
            if fast:
                self._ticking.resume()
            else:
                self._ticking.pause()

    def _tick(self) -> None:
        with self.drawing:
            self._move(self.source.now())

    def _move(self, now: int) -> None:
        self.transcript.tick(now)
        self.side.tick(now)
        self._show_moving(now)
        self._pace()
        self.show_at_once(*self._moving)

    async def reached(self, seq: int) -> None:
        """Return when the event with this number is on the screen."""
        if self.view.seq < seq:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append((seq, waiter))
            await waiter

    def _settle_waiters(self) -> None:
        for seq, waiter in self._waiters:
            if seq <= self.view.seq and not waiter.done():
                waiter.set_result(None)
        self._waiters = [pair for pair in self._waiters if not pair[1].done()]

    def notice(self, level: str, text: str, hint: str = "") -> None:
        """A word in the transcript that is no event."""
        self._notices.append((level, text, hint))
        self.transcript.story.notice(level, text, hint)
        self.transcript.update(self.source.now())

    def fail(self, message: str, hint: str = "") -> None:
        """The session failed: say so; what is on the screen stays."""
        self.over_because = message
        self.notice("error", message, hint)
        self.word(f"the session is over: {message}", "failed")

    def word(self, text: str, style: str = "warning", until: tuple[type[e.Event], ...] = ()) -> None:
        """Say something in the last line until the next key or such an event; a wait takes its place after a while."""
        now = self.source.now()
        self._saying.say(text, style, now, until)
        self._show_footer(now)

    def unsay(self, text: str) -> None:
        """That is true no longer."""
        if self._saying.unsay(text):
            self._show_footer(self.source.now())

    def was_typed(self) -> None:
        """The input has another text."""
        self._mark.show(self.prompt.text)
        if self.prompt.text:
            self._saying.unsay()
        self._show_footer(self.source.now())

    def on_key(self, event: events.Key) -> None:
        """Whatever is typed ends a word, but not the one about quitting."""
        if self._saying.unsay():
            self._show_footer(self.source.now())

    def paint(self, paint: Paint) -> None:
        """Other colours."""
        lined = [self.status, self.timeline, self.thumb, self.search, self.side]
        lined += [self.queue, self.permission, self.suggest, self._mark, self.footer]
        lead = self.reply.lead if self.reply is not None else None
        for widget in (*lined, self.transcript, self.bar, self.asking, lead):
            if widget is not None:
                widget.paint(paint)

    @on(TransportBar.Sought)
    def _sought(self) -> None:
        self._tick()
