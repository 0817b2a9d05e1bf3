"""The models of the server, to choose from: what they can do, how fast they were here, what a switch would cost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import Binding, BindingType

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.ui import words
from jetbox.ui.keys import Act
from jetbox.ui.lineup import LOADING, Table, fetching, in_full
from jetbox.ui.screens.browser import Browser
from jetbox.ui.text.rows import Piece, Row, flow, one_line, row

if TYPE_CHECKING:
    from jetbox.ui.screens.steering import Steering

ASK_S = 5.0
"""How often the server is asked while the list is shown."""
OF_MODEL = ("models.switch", "models.now", "models.warm", "models.unload")
"""What is done with a model that the server has."""
AROUND = 14
"""Rows of the screen that are not the list's: frames, search, heading, and what is said of the chosen one."""


class Models(Browser):
    """Lies over the workbench; what it shows comes from the session's events."""

    BINDING_GROUP_TITLE = "Models"
    TITLE_TEXT = "models"
    SEARCHES = True
    STACKS = False
    HINTS = (
        ("models.switch", "uses it next round"),
        ("models.now", "at once"),
        ("list.search", "filters"),
        ("models.warm", "loads"),
        ("models.unload", "unloads"),
        ("models.fetch", "fetches"),
        ("models.stop", "stops that"),
        ("models.letters", "letters are keys"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "use(False)", "Use it from the next round on; fetch it", id="models.switch", show=False),
        Binding(
            "n,shift+enter,ctrl+enter,alt+enter", "use(True)", "Use it now, in mid-round", id="models.now", show=False
        ),
        Binding("w,alt+w", "warm", "Load it", id="models.warm", show=False),
        Binding("u,alt+u", "unload", "Unload it", id="models.unload", show=False),
        Binding("p,alt+p", "fetch", "Fetch another one: type its name", id="models.fetch", show=False),
        Binding("x,alt+x", "stop", "Stop what is being fetched", id="models.stop", show=False),
        Binding("tab", "letters", "Letters are keys from now on", id="models.letters", show=False),
        Binding("ctrl+l", "close", "Close", id="models.close", show=False),
    ]

    bench: Steering

    def __init__(self, bench: Steering) -> None:
        super().__init__(bench)
        self._shown: tuple[e.ListedModel, ...] = ()
        self._fetch = ""
        """The name in the last row, which is not there yet."""
        self._placed = False
        """The model that is in use was chosen to begin with."""
        self._known: e.ModelsListed | None = None
        self._said = ""
        """A word of this screen's own, until something is chosen or told."""

    def begin(self) -> None:
        self.type(typing=True)
        if self.bench.live:
            self.bench.submit(commands.ListModels(anew=True))
            self.set_interval(ASK_S, self._ask)

    def _ask(self) -> None:
        self.bench.submit(commands.ListModels())
        self.look()

    def on_resize(self, event: events.Resize) -> None:
        self.look()

    @property
    def _listed(self) -> e.ModelsListed | None:
        return self.bench.view.listed

    @property
    def _chosen(self) -> e.ListedModel | None:
        return self._shown[self.list.at] if 0 <= self.list.at < len(self._shown) else None

    @property
    def _pulling(self) -> e.ModelPulled | None:
        """What the server fetches now."""
        pulled = self.bench.pulled
        return pulled if pulled is not None and pulled.state == "running" else None

    def look(self) -> None:
        """Show what is true now; the choice stays with its model."""
        listed, before = self._listed, self._chosen
        models = listed.models if listed is not None else ()
        wanted = before.name if before is not None else self._fetch if self._placed else self.bench.view.model
        self._placed = self._placed or bool(models)
        if listed is not self._known:
            self._known, self._said = listed, ""
        parts = self.search.text.lower().split()
        self._shown = tuple(model for model in models if all(part in _hay(model) for part in parts))
        self._fetch = self._missing(models)
        table, count = Table(self._shown, self.bench.glyphs), len(self._shown) + bool(self._fetch)
        told = listed is not None and not listed.problem
        self.list.empty = "no model of this name" if models else "the server has no model" if told else ""
        self.list.head = table.head if self._shown else None
        names = [model.name for model in self._shown]
        at = names.index(wanted) if wanted in names else None
        self.list.fill(count, lambda number, width: self._row(table, number, width), at)
        self.list.styles.height = max(3, min(count + 1, self.app.size.height - AROUND))
        self.say(self._words())
        self.hint()
        self.leaf.show(self._lay_out, keep=True)

    def _missing(self, models: tuple[e.ListedModel, ...]) -> str:
        """What stands in the last row: what is being fetched, or the name that was typed and is not there."""
        if self._pulling is not None:
            return self._pulling.name
        typed, listed = self.search.text.strip(), self._listed
        there = any(model.name in (typed, f"{typed}:latest") for model in models)
        may = self.bench.live and listed is not None and listed.manages
        return typed if typed and may and not there and " " not in typed else ""

    def _words(self) -> str:
        if self._said:
            return self._said
        if self._listed is None:
            return "asking the server"
        if self._listed.problem and not self._listed.models:
            return "not known"
        of, shown = len(self._listed.models), len(self._shown)
        said = f"{shown} of {words.plural(of, 'model')}" if shown < of else words.plural(of, "model")
        return said if self.search.text or not self.search.typing else f"{said}, type to filter"

    def _row(self, table: Table, number: int, width: int) -> list[Piece]:
        if number >= len(self._shown):
            return fetching(self._fetch, self.bench.pulled, self.bench.glyphs)
        model, view = self._shown[number], self.bench.view
        present = model.name == view.model
        loading = present and view.loaded == "loading"
        return table.row(model, width, self.bench.source.now(), present=present, loading=loading)

    def _lay_out(self, width: int) -> list[Row]:
        keys = [row((self.unsaid, "faint"))] if self.unsaid else []
        return [*self._about(width), *keys]

    def _about(self, width: int) -> list[Row]:
        listed, model, view = self._listed, self._chosen, self.bench.view
        out: list[Row] = []
        if listed is not None and listed.problem:
            out += flow(((one_line(listed.problem), "failed"),), width)
        if listed is not None and listed.loading:
            out += flow(((LOADING, "warning"),), width)
        if model is not None:
            return out + in_full(model, width, self.bench.source.now(), present=model.name == view.model)
        if self._fetch and self._pulling is None:
            twice = " twice" if self.search.typing else ""
            said = (f"{twice} has the server fetch it; its size is told when that begins", "")
            pulled = self.bench.pulled
            if pulled is not None and pulled.name == self._fetch and pulled.state == "failed":
                out += flow(((one_line(pulled.status), "failed"),), width)  # the row has no room for all of it
            return [*out, row((self.keys.get("models.switch", ""), "key"), said)]
        stops = (self.keys.get("models.stop", ""), "key")
        return [*out, row(stops, (" stops it; what is there of it stays", ""))] if self._fetch else out

    def chose(self) -> None:
        self._said = ""
        self.look()

    def search_for(self, text: str) -> None:
        self._said = ""
        if text:
            self.list.at, self._shown = 0, ()
        self.look()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A recording shows what was told then, and a server that manages nothing is asked for nothing."""
        if action in ("use", "warm", "unload", "fetch", "stop") and not self.bench.live:
            return False
        listed = self._listed
        if action in ("warm", "unload", "fetch") and listed is not None and not listed.manages:
            return False
        if action == "stop":
            return self._pulling is not None
        return self.search.typing if action == "letters" else super().check_action(action, parameters)

    def of_text(self) -> Iterable[Act]:
        """While a name is typed, what uses a model uses what it has found."""
        own: list[Act] = []
        if self.search.typing:
            own += [(self, "models.switch", self._use_found), (self, "models.now", lambda: self._use_found(now=True))]
            own += [(self, "models.letters", self.action_letters)]
        if self.check_action("fetch", ()):
            own.append((self, "models.fetch", self.action_fetch))
        return (*own, *super().of_text())

    def _use_found(self, *, now: bool = False) -> None:
        if self._chosen is not None:
            self.action_use(now)
        else:
            self.type(typing=False)  # a download is begun by a second key

    def action_letters(self) -> None:
        self.type(typing=False)

    def type(self, *, typing: bool) -> None:
        super().type(typing=typing)
        self.look()

    @property
    def offers(self) -> tuple[tuple[str, str], ...]:
        """A model that is not there can only be fetched, by a second key where its name is typed."""
        if self._chosen is not None:
            return self.HINTS
        rest = tuple(each for each in self.HINTS if each[0] not in OF_MODEL)
        if not self._fetch:
            return rest
        rest = tuple(each for each in rest if each[0] != "models.fetch")
        if self._pulling is not None:
            return rest
        return (("models.switch", "twice fetches it" if self.search.typing else "fetches it"), *rest)

    @property
    def closes(self) -> str:
        return "empties the filter" if self.search.text else "closes"

    def action_close(self) -> None:
        """What is typed goes first."""
        if self.search.text:
            self.search.text = ""
            self.type(typing=True)
        else:
            self.dismiss(None)

    def enter(self) -> None:
        self.action_use(False)

    def action_use(self, now: bool) -> None:
        model = self._chosen
        if not self.bench.live:
            return
        if model is None:
            self._begin_fetching()
        elif model.lacks:
            self._say(f"{model.name} {model.lacks}")
        else:
            if model.name != self.bench.view.model:
                self.bench.switch_model(model.name, now=now)
            self.dismiss(None)

    def action_warm(self) -> None:
        if (model := self._chosen) is not None:
            self._say(f"{model.name} is being loaded")
            self.bench.submit(commands.WarmModel(model.name))

    def action_unload(self) -> None:
        if (model := self._chosen) is not None:
            self._say(f"{model.name} is being unloaded")
            self.bench.submit(commands.UnloadModel(model.name))

    def action_fetch(self) -> None:
        """Fetch what was typed, or have a name typed."""
        if self._fetch and self._chosen is None:
            self._begin_fetching()
        else:
            self.action_search()
            self._say("type the name of a model; what is not there can be fetched")

    def _begin_fetching(self) -> None:
        if self._fetch and self._pulling is None:
            self.bench.submit(commands.PullModel(self._fetch, use=False))

    def action_stop(self) -> None:
        if self._pulling is not None:
            self.bench.submit(commands.StopPull(self._pulling.name))

    def _say(self, text: str) -> None:
        self._said = text
        self.say(text)


def _hay(model: e.ListedModel) -> str:
    return f"{model.name} {model.quantisation} {model.parameters} {' '.join(model.capabilities)}".lower()
