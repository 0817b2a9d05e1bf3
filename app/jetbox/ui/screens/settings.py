"""The effective settings, where each came from, and what can be changed while the session runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.binding import Binding, BindingType

from jetbox.engine.tuning import changeable
from jetbox.ui.screens.browser import Browser
from jetbox.ui.telling import telling
from jetbox.ui.text.rows import BLANK, Piece, Row, flow, one_line, row

if TYPE_CHECKING:
    from jetbox.settings.show import Row as Setting

LIVE = {
    "ui.theme": "shows the next theme",
    "ui.notify": "changes it for this session",
    "permissions.mode": "changes to the next mode",
    "model.name": "shows the models to choose from",
}
"""Options that can be changed now, and what the key does."""


class Settings(Browser):
    """Every option; those that differ from their default stand out."""

    BINDING_GROUP_TITLE = "Settings"
    TITLE_TEXT = "settings"
    SEARCHES = True
    WIDE_LIST = True
    HINTS = (("settings.change", "changes"), ("settings.changed", "not default"), ("list.search", "searches"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "change", "Change it, where that can be done now", id="settings.change", show=False),
        Binding("c", "changed", "All, or those that are not at their default", id="settings.changed", show=False),
    ]

    _rows: tuple[Setting, ...] = ()
    _shown: tuple[Setting, ...] = ()
    _help: dict[str, str] = {}  # noqa: RUF012 - replaced, never changed
    _changed = False

    def begin(self) -> None:
        from jetbox.settings.show import effective

        loaded = self.bench.loaded
        self.list.empty = "nothing is known of the settings here"
        self._rows = tuple(effective(loaded)) if loaded is not None else ()
        self._sift()
        self._read_help()

    @work(group="settings", exclusive=True)
    async def _read_help(self) -> None:
        """What each option is for."""
        with telling(self._say_lasting, "what they are for cannot be told"):
            self._help = await self.bench.aside.option_texts()
        self.chose()

    def _say_lasting(self, text: str) -> None:
        self.say(text)
        self.bench.notice("warning", text)

    def search_for(self, text: str) -> None:
        self._sift()

    def _sift(self) -> None:
        parts = self.search.text.lower().split()
        self._shown = tuple(
            each
            for each in self._rows
            if all(part in f"{each.option} {each.shown} {each.source.kind}".lower() for part in parts)
            and not (self._changed and each.source.kind == "default" and not self._left(each))
        )
        self.say(f"{len(self._shown)} of {len(self._rows)}" if len(self._shown) < len(self._rows) else "")
        self.list.fill(len(self._shown), self._row, 0)
        self.chose()

    @property
    def _chosen(self) -> Setting | None:
        return self._shown[self.list.at] if self.list.at < len(self._shown) else None

    def _value(self, each: Setting) -> str:
        """As it is now: some differ from what the session began with."""
        now = {
            "ui.theme": self.app.theme,
            "permissions.mode": self.bench.view.mode,
            "model.name": self.bench.view.model,
            **self.bench.view.changed,
            "ui.notify": self.bench.herald.notify if self.bench.herald is not None else "",
        }.get(each.option, "")
        return now or one_line(each.shown)

    def _left(self, each: Setting) -> str:
        """What the session began with, where it has another value now."""
        if not self.bench.live or each.option not in {"model.name", "permissions.mode", *self.bench.view.changed}:
            return ""
        began = one_line(each.shown).strip('"')
        return began if began and self._value(each).strip('"') != began else ""

    def _row(self, number: int, width: int) -> list[Piece]:
        each = self._shown[number]
        left = self._left(each)
        default = each.source.kind == "default" and not left
        column = min(34, width // 2)
        pieces: list[Piece] = [(f"{each.option:<{column}} ", "dim" if default else "")]
        pieces.append((self._value(each), "dim" if default else "accent"))
        source = "this session" if left else each.source.kind
        return pieces if default else [*pieces, (f"  {source}", "faint")]

    def chose(self) -> None:
        self.leaf.show(self._lay_out)

    def _lay_out(self, width: int) -> list[Row]:
        each = self._chosen
        if each is None:
            return []
        out = [row((each.option, "title")), BLANK, *flow(((self._value(each), "accent"),), width, words=False), BLANK]
        source = each.source
        where = one_line(source.where) + (f", line {source.line}" if source.line else "")
        said = "its default" if source.kind == "default" else f"from {source.kind}: {where}" if where else source.kind
        if left := self._left(each):
            said = f"changed in this session, which began with {left}, {said}"
        out += flow(((said, "dim"),), width, words=bool(left))
        if self._help.get(each.option):
            out += [BLANK, *flow(((self._help[each.option], ""),), width)]
        out.append(BLANK)
        loaded = self.bench.loaded
        path = loaded.user_path if loaded is not None else ""
        does = LIVE.get(each.option, "changes it from the next goal on" if each.option in changeable() else "")
        key = self.keys.get("settings.change", "")
        said = f"{key} {does}" if does else f"holds from the next session on when it is changed in {path}"
        return [*out, *flow(((said, "faint"),), width)]

    def enter(self) -> None:
        self.action_change()

    def action_changed(self) -> None:
        self._changed = not self._changed
        self._sift()

    def action_change(self) -> None:
        each = self._chosen
        option = each.option if each is not None else ""
        if option == "ui.theme":
            self.bench.switch_theme("")
        elif option == "permissions.mode" and self.bench.live:
            self.bench.next_mode()
        elif option == "ui.notify" and self.bench.herald is not None:
            self.bench.herald.next_way()
        elif option == "model.name" and self.bench.live:
            self.dismiss(None)
            self.bench.call_after_refresh(self.bench.show_models)
            return
        elif option in changeable() and self.bench.live:
            self.dismiss(None)
            self.bench.prompt.clear()
            self.bench.prompt.write(f"/set {option} ")
            return
        else:
            return
        self.look()

    def look(self) -> None:
        """Show what is true now."""
        self.list.redraw()
        self.chose()
