"""A text area whose keys act in the order in which they were typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import TextArea

from jetbox.ui.keys import doing_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.document._edit import Edit
    from textual.message import Message
    from textual.widgets.text_area import EditResult


class Field(TextArea, inherit_bindings=False):
    """What its keys do neither overtakes the text before them, nor is overtaken by the text behind them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # Textual's own, each under a name by which it can be changed.
        Binding("left", "cursor_left", "A character left", id="edit.left", show=False),
        Binding("right", "cursor_right", "A character right", id="edit.right", show=False),
        Binding("ctrl+left", "cursor_word_left", "A word left", id="edit.word_left", show=False),
        Binding("ctrl+right", "cursor_word_right", "A word right", id="edit.word_right", show=False),
        Binding("home,ctrl+a", "cursor_line_start", "The line's beginning", id="edit.line_start", show=False),
        Binding("end,ctrl+e", "cursor_line_end", "The line's end", id="edit.line_end", show=False),
        Binding("backspace", "delete_left", "Delete to the left", id="edit.backspace", show=False),
        Binding("delete,ctrl+d", "delete_right", "Delete to the right", id="edit.delete", show=False),
        Binding("ctrl+backspace", "delete_word_left", "Delete a word, too", id="edit.erase_word", show=False),
        Binding("ctrl+w,alt+backspace", "delete_word_left", "Delete a word to the left",
                id="edit.delete_word", show=False),
        Binding("alt+delete", "delete_word_right", "Delete a word to the right", id="edit.delete_word_right",
                show=False),
        Binding("ctrl+u,super+backspace", "delete_to_start_of_line", "Delete to its beginning", id="edit.delete_start",
                show=False),
        Binding("ctrl+k", "delete_to_end_of_line_or_delete_line", "Delete to its end", id="edit.delete_end",
                show=False),
        Binding("ctrl+shift+k", "delete_line", "Delete the line", id="edit.delete_line", show=False),
        Binding("shift+left", "cursor_left(True)", "Select to the left", id="edit.select_left", show=False),
        Binding("shift+right", "cursor_right(True)", "Select to the right", id="edit.select_right", show=False),
        Binding("ctrl+shift+left", "cursor_word_left(True)", "Select a word to the left", id="edit.select_word_left",
                show=False),
        Binding("ctrl+shift+right", "cursor_word_right(True)", "Select a word to the right",
                id="edit.select_word_right", show=False),
        Binding("shift+home", "cursor_line_start(True)", "Select to its beginning", id="edit.select_start", show=False),
        Binding("shift+end", "cursor_line_end(True)", "Select to its end", id="edit.select_end", show=False),
        Binding("shift+up", "cursor_up(True)", "Select a row up", id="edit.select_up", show=False),
        Binding("shift+down", "cursor_down(True)", "Select a row down", id="edit.select_down", show=False),
        Binding("f7", "select_all", "Select everything", id="edit.select_all", show=False),
        Binding("super+c", "copy", "Copy", id="edit.copy", show=False),
        Binding("ctrl+x,super+x", "cut", "Cut", id="edit.cut", show=False),
        Binding("ctrl+v", "paste", "Put in what was cut", id="edit.paste", show=False),
        Binding("ctrl+z,super+z", "undo", "Undo", id="edit.undo", show=False),
        Binding("ctrl+y,super+y", "redo", "Redo", id="edit.redo", show=False),
    ]  # fmt: skip
    APART: ClassVar[tuple[str, ...]] = ()
    """Actions that take so long that nothing waits for them."""

    _changed: bool | None = None
    """Whether the text did, of what is still to be told."""
    _editing = False
    """Whether it will be told at the end of an edit."""

    def __init__(self, *, id: str | None = None, placeholder: str = "") -> None:
        super().__init__(
            id=id,
            compact=True,
            show_line_numbers=False,
            highlight_cursor_line=False,
            soft_wrap=True,
            placeholder=placeholder,
        )
        self.cursor_blink = False
        self.at_once: Callable[[Field], None] | None = None
        """Shows what was typed without waiting for the next frame."""
        self.typed: Callable[[bool], None] | None = None
        """Hears of another place of the cursor, or, with true, of another text; once for each key."""
        self._styled = False

    async def _on_key(self, event: events.Key) -> None:
        """Text and what is done with it in the order of the keys.

        A binding acts when the key has come back to the app; by then later keys may be text already.
        """
        if not event.is_printable and (does := doing_of(self, event.key)) and does not in self.APART:
            event.stop()
            event.prevent_default()
            await self.run_action(does)
            return
        await super()._on_key(event)

    def edit(self, edit: Edit) -> EditResult:
        self._editing = True
        try:
            done = super().edit(edit)
        finally:
            self._editing = False
        if self.at_once is not None:
            self.at_once(self)
        self._tell()
        return done

    def post_message(self, message: Message) -> bool:
        # One call for a key, where these two would each be handled by whatever the input stands in.
        if isinstance(message, TextArea.Changed | TextArea.SelectionChanged):
            if self._changed is None and not self._editing:
                self.call_next(self._tell)
            self._changed = self._changed is True or isinstance(message, TextArea.Changed)
            return True
        return super().post_message(message)

    def _tell(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None and self.typed is not None:
            self.typed(changed)

    def notify_style_update(self) -> None:
        self._styled = False
        super().notify_style_update()

    def render_lines(self, crop: Region) -> list[Strip]:
        # Its colours are looked up when they can have changed, not with each letter.
        if not self._styled:
            self._styled = True
            return super().render_lines(crop)
        # Neither border nor padding, nor anything else that would have to be laid around a row.
        width = self.size.width
        rows = [self.render_line(y) for y in crop.line_range]
        if crop.x or crop.width != width or any(row.cell_length != width for row in rows):
            return ScrollView.render_lines(self, crop)
        ground = self.background_colors[1]
        for each in self.get_line_filters():
            rows = [row.apply_filter(each, ground) for row in rows]
        return rows

    def write(self, text: str) -> None:
        """Put the text where the cursor is."""
        self.insert(text)

    def action_newline(self) -> None:
        self.insert("\n")
