"""The models of the server, to choose from: what they can do, how fast they were here, what a switch would cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.ui import words
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.text.rows import BLANK, Piece, Row, cells, fit, flow, one_line, row
from jetbox.ui.widgets.lined import Lined

if TYPE_CHECKING:
    from jetbox.ui.screens.steering import Steering

ASK_S = 5.0
"""How often the server is asked while the list is shown."""
NARROW = 76
ROWS = 2
"""Of each model."""


class ModelList(Lined):
    """Two rows for each model, and what a switch to the chosen one would cost."""

    class Chosen(Message):
        """A model was clicked; `again`: it was the chosen one already."""

        def __init__(self, name: str, *, again: bool) -> None:
            self.name = name
            self.again = again
            super().__init__()

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(glyphs)
        self.listed: e.ModelsListed | None = None
        self.present = ""
        self.chosen = ""
        self.now = 0

    @property
    def model(self) -> e.ListedModel | None:
        """The chosen one."""
        models = self.listed.models if self.listed else ()
        return next((model for model in models if model.name == self.chosen), None)

    def move(self, by: int) -> None:
        """Choose another one."""
        names = [model.name for model in self.listed.models] if self.listed else []
        if names:
            at = names.index(self.chosen) if self.chosen in names else 0
            self.chosen = names[max(0, min(len(names) - 1, at + by))]
            self.redraw()

    def lines(self, width: int) -> list[Row]:
        if self.listed is None:
            return [row(("asking the server", "dim"))]
        if not self.listed.models:
            return [row(("the server has no model: jetbox-tui models pull NAME", "warning"))]
        out: list[Row] = []
        for model in self.listed.models:
            fill = "selected" if model.name == self.chosen else ""
            out += [self._head(model, width, fill), self._figures(model, width, fill)]
        return [*out, BLANK, *self._foot(width)]

    def _head(self, model: e.ListedModel, width: int, fill: str) -> Row:
        sign = self.glyphs.loaded if model.loaded else self.glyphs.unloaded
        style = "faint" if model.lacks else ""
        pieces: list[Piece] = [
            (f"{sign} ", "ok" if model.loaded else "dim"),
            (one_line(model.name), style or ("bold" if model.name == self.present else "")),
        ]
        pieces += [("  in use", "accent")] if model.name == self.present else []
        pieces += [(f"  {words.size(model.size)}", "dim")] if model.size else []
        if model.remote:
            pieces.append((f"  runs at {one_line(model.remote)}: code leaves this machine", "warning"))
        if model.lacks:
            pieces.append((f"  {one_line(model.lacks)}", "warning"))
        elif model.capabilities:
            pieces.append((f"  {', '.join(one_line(c) for c in model.capabilities if c != 'completion')}", "dim"))
        return _filled(pieces, width, fill)

    def _figures(self, model: e.ListedModel, width: int, fill: str) -> Row:
        parts = [self._memory(model)] if model.loaded else []
        if model.max_ctx and not model.loaded:
            parts.append(f"window to {words.count(model.max_ctx)}")
        if model.load_ns:
            parts.append(f"load {words.duration(model.load_ns)}")
        if model.ttft_ns:
            parts.append(f"ttft {words.duration(model.ttft_ns)}")
        if model.prefill:
            parts.append(f"reads {words.count(round(model.prefill))} tok/s")
        if model.decode:
            parts.append(f"writes {model.decode:.0f} tok/s")
        if model.calls:
            parts.append(f"calls {model.calls_ok / model.calls:.0%} of {model.calls}")
        if not (model.prefill or model.decode or model.ttft_ns):
            parts.append("not measured here")
        return _filled([("  ", ""), ("  ".join(parts), "dim")], width, fill)

    def _memory(self, model: e.ListedModel) -> str:
        parts = [words.size(model.memory)] if model.memory else ["loaded"]
        if model.memory and model.memory_gpu < 0.99 * model.memory:
            parts.append(f"{1 - model.memory_gpu / model.memory:.0%} on CPU")
        if model.window:
            parts.append(f"window {words.count(model.window)}")
        if model.expires < 0:
            parts.append("kept")
        elif model.expires:
            parts.append(f"unloads in {words.countdown(max(0, model.expires - self.now))}")
        return ", ".join(parts)

    def _foot(self, width: int) -> list[Row]:
        assert self.listed is not None
        out: list[Row] = []
        if self.listed.loading:
            out += flow(
                (("the server loads or unloads a model, and does not say what is in memory", "warning"),), width
            )
        model = self.model
        if model is None:
            return out
        if model.lacks:
            said = f"{model.name} cannot be used here: it {model.lacks}"
        elif model.name == self.present:
            said = f"{model.name} is in use"
        else:
            said = f"a switch to {model.name}: {words.switch_cost(model.cost)}"
        return out + flow(((one_line(said), ""),), width)

    def on_click(self, event: events.Click) -> None:
        models = self.listed.models if self.listed else ()
        at = event.y // ROWS
        if 0 <= at < len(models):
            again = self.chosen == models[at].name
            self.chosen = models[at].name
            self.redraw()
            self.post_message(self.Chosen(self.chosen, again=again))


def _filled(pieces: list[Piece], width: int, fill: str) -> Row:
    """A row; on a coloured ground every piece has its colours."""
    fitted = fit(pieces, width)
    if not fill:
        return Row(fitted)
    used = sum(cells(text) for text, _ in fitted)
    return Row((*((text, fill) for text, _ in fitted), (" " * max(0, width - used), fill)), fill)


class Models(ModalScreen[None]):
    """Lies over the workbench; what it shows comes from the session's events."""

    BINDING_GROUP_TITLE = "Models"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,ctrl+l", "dismiss(None)", "Close", id="models.close", show=False),
        Binding("up,k", "move(-1)", "The one above", id="models.up", show=False),
        Binding("down,j", "move(1)", "The one below", id="models.down", show=False),
        Binding("enter", "switch(False)", "Switch, from the next round on", id="models.switch", show=False),
        Binding("n,ctrl+enter", "switch(True)", "Switch now, in mid-round", id="models.now", show=False),
        Binding("w", "warm", "Load it", id="models.warm", show=False),
        Binding("u", "unload", "Unload it", id="models.unload", show=False),
    ]

    def __init__(self, bench: Steering) -> None:
        super().__init__(classes="-ascii" if bench.glyphs.ascii else None)
        self._bench = bench
        self._list = ModelList(bench.glyphs)
        self._list.paint(bench.status.colours)
        self._list.chosen = bench.view.model

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="models") as box:
            box.can_focus = False
            box.border_title = "models"
            box.border_subtitle = (
                "enter switches  n now  w loads  u unloads  esc closes" if self._bench.live else "esc closes"
            )
            yield self._list

    def on_mount(self) -> None:
        self.look()
        if self._bench.live:
            self._bench.submit(commands.ListModels(anew=True))
            self.set_interval(ASK_S, self._ask)

    def _ask(self) -> None:
        self._bench.submit(commands.ListModels())
        self.look()

    def look(self) -> None:
        """Show what is true now."""
        view = self._bench.view
        self._list.listed, self._list.present, self._list.now = view.listed, view.model, self._bench.source.now()
        if self._list.model is None:
            self._list.chosen = view.model
        self._list.redraw()

    def action_move(self, by: int) -> None:
        self._list.move(by)
        names = [model.name for model in self._list.listed.models] if self._list.listed else []
        if self._list.chosen in names:
            at = names.index(self._list.chosen)
            self.query_one("#models", VerticalScroll).scroll_to(y=max(0, at * ROWS - ROWS), animate=False)

    def action_switch(self, now: bool) -> None:
        model = self._list.model
        if model is None:
            return
        if model.lacks:
            self._bench.word(f"{model.name} {model.lacks}")
        elif model.name != self._bench.view.model:
            self._bench.switch_model(model.name, now=now)
        self.dismiss(None)

    def action_warm(self) -> None:
        if self._list.model is not None:
            self._bench.submit(commands.WarmModel(self._list.model.name))

    def action_unload(self) -> None:
        if self._list.model is not None:
            self._bench.submit(commands.UnloadModel(self._list.model.name))

    @on(ModelList.Chosen)
    def _clicked(self, message: ModelList.Chosen) -> None:
        if message.again:
            self.action_switch(False)
