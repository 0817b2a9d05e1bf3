"""The transport bar of a recording: where it stands, whether it plays, how fast."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from jetbox.ui import words
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.text.rows import Piece, Row, cells, fit
from jetbox.ui.transport import Transport
from jetbox.ui.widgets.lined import Lined
from jetbox.ui.widgets.marked import sign_of

SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0)


class TransportBar(Lined, can_focus=True):
    """`▶ 00:04.1 ─✗●──│── 00:11.2  1x`: rounds, errors and red verdicts are marked, a click seeks."""

    BINDING_GROUP_TITLE = "Replay"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "play", "Play, stop", id="replay.play", show=False),
        Binding("left", "step(-1)", "Event before", id="replay.back", show=False),
        Binding("right", "step(1)", "Next event", id="replay.forward", show=False),
        Binding("shift+left", "round(-1)", "Round before", id="replay.round_back", show=False),
        Binding("shift+right", "round(1)", "Next round", id="replay.round_forward", show=False),
        Binding("left_square_bracket", "mark(-1)", "Error or mark before", id="replay.mark_back", show=False),
        Binding("right_square_bracket", "mark(1)", "Next error or mark", id="replay.mark_forward", show=False),
        Binding("home", "share(0)", "To the start", id="replay.start", show=False),
        Binding("end", "share(1)", "To the end", id="replay.end", show=False),
        Binding("up,k", "screen.read(-1)", "Up", id="replay.up", show=False),
        Binding("down,j", "screen.read(1)", "Down", id="replay.down", show=False),
        Binding("g", "screen.read_end(-1)", "Read from the beginning", id="replay.top", show=False),
        Binding("G", "screen.read_end(1)", "Read the end", id="replay.bottom", show=False),
        Binding("slash", "screen.find", "Search what is shown", id="replay.find", show=False),
        Binding("y", "screen.copy", "Copy the selection, else the answer", id="replay.copy", show=False),
        Binding("f", "screen.say_fork", "What goes on with it", id="replay.fork", show=False),
        Binding("c", "screen.say_compare", "What lists its rounds, to be compared", id="replay.compare", show=False),
        Binding("less_than_sign", "speed(-1)", "Slower", id="replay.slower", show=False),
        Binding("greater_than_sign", "speed(1)", "Faster", id="replay.faster", show=False),
        *(
            Binding(str(n), f"share({n / 10})", f"To {n} tenths", id=f"replay.tenth_{n}", show=False)
            for n in range(1, 10)
        ),
    ]

    class Sought(Message):
        """The recording stands elsewhere, or plays otherwise."""

        def __init__(self, said: str = "") -> None:
            """`said`: why it stands where it stood."""
            super().__init__()
            self.said = said

    def __init__(self, glyphs: Glyphs, transport: Transport, *, id: str | None = None) -> None:
        super().__init__(glyphs, id=id)
        self._transport = transport
        self._bar = (0, 0)
        """First column of the bar, and its width."""

    def action_play(self) -> None:
        if self._transport.playing:
            self._transport.pause()
        else:
            self._transport.play()
        self.post_message(self.Sought())

    def action_step(self, count: int) -> None:
        self._transport.step(count)
        self.post_message(self.Sought())

    def action_round(self, count: int) -> None:
        """To the beginning of another round; before the first one lies the start."""
        source = self._transport
        here = source.position
        marks = [mark for mark in source.rounds if (mark.t > here if count > 0 else mark.t < here)]
        if marks:
            source.seek_seq((marks[0] if count > 0 else marks[-1]).seq)
        else:
            source.seek_time(source.duration if count > 0 else 0)
        self.post_message(self.Sought())

    def action_mark(self, count: int) -> None:
        """To where something failed, turned red, or went another way."""
        source = self._transport
        here = source.seq
        found = [mark.seq for mark in source.marks if (mark.seq > here if count > 0 else mark.seq < here)]
        if found:
            source.seek_seq(found[0] if count > 0 else found[-1])
        where = "behind this place" if count > 0 else "before this place"
        self.post_message(self.Sought("" if found else f"no error, red verdict or mark {where}"))

    def go_to_round(self, number: int) -> None:
        """To the beginning of this round.

        Raises:
            RecordingError: there is no such round.
        """
        self._transport.seek_round(number)
        self.post_message(self.Sought())

    def action_share(self, share: float) -> None:
        self._transport.seek_time(round(self._transport.duration * share))
        self.post_message(self.Sought())

    def action_speed(self, steps: int) -> None:
        now = self._transport.speed
        faster = [speed for speed in SPEEDS if speed > now]
        slower = [speed for speed in SPEEDS if speed < now]
        choice = faster[:1] if steps > 0 else slower[-1:]
        if choice:
            self._transport.set_speed(choice[0])
        self.post_message(self.Sought())

    def lines(self, width: int) -> list[Row]:
        source = self._transport
        position, duration = source.position, source.duration
        sign = self.glyphs.play if source.playing else self.glyphs.pause
        left: list[Piece] = [(f" {sign} ", "key"), (f"{words.stopwatch(position)} ", "")]
        right: list[Piece] = [(f" {words.stopwatch(duration)}", "dim"), (f"  {f'{source.speed:g}x':>5} ", "accent")]
        start = sum(cells(text) for text, _ in left)
        room = width - start - sum(cells(text) for text, _ in right)
        self._bar = (start, room)
        if room < 4:
            return [Row(fit([*left, *right], width))]
        knob = round(position / duration * (room - 1)) if duration else 0
        marks = self._marks(room)
        line: list[Piece] = []
        for column in range(room):
            if column == knob:
                line.append((self.glyphs.knob, "key"))
            else:
                sign, style = marks.get(column, (self.glyphs.rule, ""))
                line.append((sign, style or ("key" if column < knob else "thumb")))
        return [Row((*left, *_joined(line), *right))]

    def _marks(self, room: int) -> dict[int, Piece]:
        """The columns that stand for something, as signs; without a style of their own they have the bar's."""
        source = self._transport
        if not source.duration:
            return {}
        share = (room - 1) / source.duration
        out: dict[int, Piece] = {round(mark.t * share): (self.glyphs.separator, "") for mark in source.rounds}
        for kind in ("error", "red"):
            out |= {round(mark.t * share): sign_of(kind, self.glyphs) for mark in source.marks if mark.kind == kind}
        return out

    def on_click(self, event: events.Click) -> None:
        start, room = self._bar
        if event.x < start:
            self.action_play()
        elif room > 1:
            self.action_share(min(1.0, (event.x - start) / (room - 1)))


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Neighbours of one style as one piece."""
    out: list[Piece] = []
    for text, style in pieces:
        if out and out[-1][1] == style:
            out[-1] = (out[-1][0] + text, style)
        else:
            out.append((text, style))
    return out
