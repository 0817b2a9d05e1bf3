"""A model that is not there: fetch it, with its progress, or use another."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message

from jetbox.engine import commands, sizes
from jetbox.engine import events as e
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.keys import first_keys, hints
from jetbox.ui.screens.over import Over, say_below
from jetbox.ui.screens.sizes import LEAST, LOW
from jetbox.ui.text.rows import BLANK, Row, fit, flow, one_line, row
from jetbox.ui.widgets.box import Scrolled
from jetbox.ui.widgets.lined import Lined

if TYPE_CHECKING:
    from jetbox.ui.screens.overlays import Overlays


class Choice(Lined):
    """Why it is asked, what can be fetched, and what is there."""

    class Clicked(Message):
        """Something was clicked: a model that is there, or the one to be fetched."""

        def __init__(self, name: str, *, fetch: bool) -> None:
            self.name = name
            self.fetch = fetch
            super().__init__()

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(glyphs)
        self.missing: e.ModelMissing | None = None
        self.pulled: e.ModelPulled | None = None
        self.at = 0
        self._rows: dict[int, tuple[str, bool]] = {}
        self.keys = ""
        self.fetches = ""
        """The key that has the missing one fetched."""

    def lines(self, width: int) -> list[Row]:
        missing = self.missing
        if missing is None:
            return []
        # Where there are few rows what can be done stands first; with fewer still no border says with which keys.
        low, least = self.app.size.height < LOW, self.app.size.height < LEAST
        why = flow(((one_line(missing.why), "warning"),), width)
        out = [] if low else [*why, BLANK]
        self._rows = {}
        if missing.pull:
            self._rows[len(out)] = (missing.pull, True)
            fetching = self._fetching(missing.pull)
            out += [Row(fit(fetching.pieces, width))] if low else [fetching, BLANK]
        if missing.there and not low:
            out.append(row(("on the server:", "dim")))
        for n, name in enumerate(missing.there):
            self._rows[len(out)] = (name, False)
            out.append(row((f"  {one_line(name)}", "selected" if n == self.at else "")))
        if least:
            out += flow(((self.keys, "dim"),), width)
        return [*out, *why] if low else out

    @property
    def chosen(self) -> int:
        """The row of the model that would be used."""
        missing = self.missing
        named = missing.there[min(self.at, len(missing.there) - 1)] if missing is not None and missing.there else ""
        return next((y for y, (name, fetch) in self._rows.items() if name == named and not fetch), 0)

    def _fetching(self, name: str) -> Row:
        pulled = self.pulled
        if pulled is None or pulled.name != name or pulled.state in ("failed", "cancelled"):
            failed = ((f"  {one_line(pulled.status)}", "failed"),) if pulled is not None and pulled.status else ()
            return row(
                (self.fetches, "key"), (f" fetches {one_line(name)}; its size is told when that begins", ""), *failed
            )
        share = f"{pulled.completed / pulled.total:4.0%} of {sizes.size(pulled.total)}" if pulled.total else ""
        return row((f"fetching {one_line(name)}: ", "accent"), (share or one_line(pulled.status), ""))

    def on_click(self, event: events.Click) -> None:
        found = self._rows.get(event.y)
        if found is not None:
            self.post_message(self.Clicked(found[0], fetch=found[1]))


class Missing(Over[None]):
    """Lies over the workbench until there is a model, or it is closed."""

    BINDING_GROUP_TITLE = "Missing model"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Close", id="missing.close", show=False),
        Binding("up,k", "move(-1)", "The one above", id="missing.up", show=False),
        Binding("down,j", "move(1)", "The one below", id="missing.down", show=False),
        Binding("home,g", "move(-9999)", "The first", id="missing.first", show=False),
        Binding("end,G", "move(9999)", "The last", id="missing.last", show=False),
        Binding("enter", "use", "Use it", id="missing.use", show=False),
        Binding("p", "pull", "Fetch the missing one", id="missing.pull", show=False),
        Binding("x", "stop", "Stop fetching it", id="missing.stop", show=False),
    ]

    def __init__(self, bench: Overlays) -> None:
        super().__init__(bench.glyphs)
        self._bench = bench
        self._choice = Choice(bench.glyphs)
        self._choice.paint(bench.status.colours)
        self._box = Scrolled(self._choice, id="missing", can_focus=False)
        self._box.border_title = "which model"

    def compose(self) -> ComposeResult:
        yield self._box

    def on_mount(self) -> None:
        self.look()

    def look(self) -> None:
        """Show what is true now."""
        missing = self._choice.missing = self._bench.missing
        self._choice.pulled = self._bench.pulled
        if missing is None:
            if self.is_current:
                self.dismiss(None)
            return
        keys = first_keys(self, ascii=self._bench.glyphs.ascii)
        does = [("missing.stop", "stops") if self._under_way else ("missing.pull", "fetches")] if missing.pull else []
        does += [("missing.use", "uses")] if missing.there else []
        self._choice.keys = "  ".join(hints(keys, (*does, ("missing.close", "closes"))))
        self._choice.fetches = keys.get("missing.pull", "")
        say_below(self._box, self._choice.keys)
        self._choice.redraw()

    def action_move(self, by: int) -> None:
        there = self._choice.missing.there if self._choice.missing else ()
        self._choice.at = max(0, min(len(there) - 1, self._choice.at + by))
        self._choice.redraw()
        self._box.scroll_to_region(Region(0, self._choice.chosen, 1, 1), animate=False)

    def action_use(self) -> None:
        there = self._choice.missing.there if self._choice.missing else ()
        if there:
            self._bench.submit(commands.SetModel(there[min(self._choice.at, len(there) - 1)]))
            self._bench.settle_model()
            self.dismiss(None)

    @property
    def _under_way(self) -> bool:
        """Whether it is being fetched."""
        missing = self._choice.missing
        return missing is not None and missing.pull in self._bench.view.pulls

    def action_pull(self) -> None:
        missing = self._choice.missing
        if missing is not None and missing.pull and not self._under_way:
            self._bench.submit(commands.PullModel(missing.pull))

    def action_stop(self) -> None:
        if self._choice.missing is not None and self._under_way:
            self._bench.submit(commands.StopPull(self._choice.missing.pull))

    def on_choice_clicked(self, message: Choice.Clicked) -> None:
        if message.fetch:
            self.action_pull()
        elif self._choice.missing is not None:
            self._choice.at = self._choice.missing.there.index(message.name)
            self.action_use()
