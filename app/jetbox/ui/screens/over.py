"""What lies over another screen: of what is beneath, only what is seen is drawn, dimmed.

Textual draws the whole screen beneath, and dims each of its cells, with every frame of the one above.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.color import Color
from textual.geometry import Region, Size
from textual.renderables.background_screen import BackgroundScreen
from textual.screen import ModalScreen, Screen, ScreenResultType
from textual.strip import Strip
from textual.widget import Widget

from jetbox.ui.frames import Frames
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.letting_go import let_painted_go
from jetbox.ui.screens.drawn import Drawn
from jetbox.ui.screens.sizes import low_classes
from jetbox.ui.slices import go_on_later
from jetbox.ui.widgets.lined import Lined


class Over(ModalScreen[ScreenResultType], Drawn[ScreenResultType], inherit_bindings=False):
    """Its boxes stand over the screen before it."""

    def __init__(
        self,
        glyphs: Glyphs | None = None,
        *,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """`glyphs` say which class it has, where `classes` do not."""
        super().__init__(name, id, ascii_class(glyphs) if glyphs is not None else classes)
        self._compositor = Frames()
        self._kept: dict[int, Strip] = {}
        """Rows of the screen beneath, dimmed, until something changes in them."""
        self._kept_for: tuple[Size, Color, str] | None = None
        """The size, what they are dimmed with, and the theme."""

    def size_classes(self, size: Size) -> dict[str, bool]:
        """Which classes hold where the terminal has this size."""
        return low_classes(size.height)

    def _post_register(self, app: App[object]) -> None:
        # Before it is styled for the first time.
        super()._post_register(app)
        for name, holds in self.size_classes(app.size).items():
            self.set_class(holds, name, update=False)

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Lay it out; it is drawn with the next frame, when its widgets know what they show."""
        event.prevent_default()
        if not self._seen:
            # Everything was styled when it was mounted, a moment ago.
            event.refresh_styles = False
            self._seen = True
        with self._undrawn():
            self._on_screen_resume(event)
        self._draw_whole()
        self._kept.clear()
        go_on_later(self._look_beneath)

    def on_resize(self, event: events.Resize) -> None:
        """What its widgets show can depend on how many rows there are."""
        for name, holds in self.size_classes(event.size).items():
            self.set_class(holds, name)
        for each in self.query(Lined):
            each.redraw()

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """Close it with this result; a second key that closes finds nothing more to do."""
        return super().dismiss(result) if self.is_active else AwaitComplete()

    @property
    def typed_on(self) -> Widget:
        """Where a key goes now."""
        return self.focused or self

    def on_unmount(self) -> None:
        let_painted_go()

    def _beneath(self) -> Screen[object] | None:
        """The screen before this one, where it is seen through."""
        stack = self.app.screen_stack
        at = stack.index(self) if self in stack else 0
        return stack[at - 1] if at and 0 < self.styles.background.a < 1 else None

    def _hidden(self) -> list[Region]:
        """What is seen of nothing but this screen: its boxes."""
        seen = [each for each in self.children if each.display and each.visible]
        return [each.region for each in seen if each.styles.background.a == 1]

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """Draw it anew; what changed beneath its boxes is not seen."""
        if regions and not (layout or recompose):
            # So the screen beneath tells what changed in it.
            for y in {y for each in regions for y in each.line_range}:
                self._kept.pop(y, None)
            boxes = self._hidden()
            regions = tuple(each for each in regions if not any(box.contains_region(each) for box in boxes))
            if not regions:
                return self
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def render_lines(self, crop: Region) -> list[Strip]:
        """The screen beneath, where a row of it is seen at all."""
        beneath = self._beneath()
        if beneath is None:
            return super().render_lines(crop)
        seen = self._rows_beneath(beneath, crop)
        blank = Strip.blank(self.size.width, self.visual_style.rich_style)
        out = [seen.get(y, blank) for y in crop.line_range]
        return out if not crop.x and crop.width == self.size.width else [each.crop(crop.x, crop.right) for each in out]

    def _look_beneath(self) -> None:
        """Ahead of the first frame."""
        beneath = self._beneath() if self.is_attached else None
        if beneath is not None:
            self._rows_beneath(beneath, self.size.region)

    def _rows_beneath(self, beneath: Screen[object], crop: Region) -> Mapping[int, Strip]:
        """Of these rows of the screen beneath those that are seen."""
        drawn_for = (self.size, self.styles.background, self.app.theme)
        if self._kept_for != drawn_for or self.app.screen is not self:
            self._kept_for = drawn_for
            self._kept.clear()  # nobody tells it of changes while another screen lies over it
        full = [box for box in self._hidden() if box.x <= 0 and box.right >= self.size.width]
        seen = [y for y in crop.line_range if not any(box.y <= y < box.bottom for box in full)]
        missing = [y for y in seen if y not in self._kept]
        if missing:
            around = Region(0, missing[0], self.size.width, missing[-1] + 1 - missing[0])
            self._kept.update(self._dimmed(beneath, around, missing, self.styles.background))
        return {y: self._kept[y] for y in seen}

    def _dimmed(
        self, beneath: Screen[object], around: Region, rows: Sequence[int], tint: Color
    ) -> Iterator[tuple[int, Strip]]:
        """These rows of the screen beneath, which lie in this part of it."""
        compositor = beneath._compositor
        known: dict[Style | None, Style | None] = {}
        chops = compositor._render_chops(around, set(rows).__contains__)
        for y in rows:
            parts = [strip for strip in chops[y].values() if strip is not None] if y < len(chops) else []
            strip = Strip.join(parts) if parts else Strip.blank(around.width)
            for style in {segment.style for segment in strip} - known.keys():
                (tinted,) = BackgroundScreen.process_segments([Segment(" ", style)], tint)
                known[style] = tinted.style
            strip = Strip([Segment(text, known[style]) for text, style, _ in strip], strip.cell_length)
            for line_filter in self.app._filters:
                strip = strip.apply_filter(line_filter, tint)
            yield y, strip


def ascii_class(glyphs: Glyphs) -> str | None:
    """The class of a screen that is drawn without Unicode."""
    return "-ascii" if glyphs.ascii else None


def say_below(box: Widget, said: str) -> None:
    """Words in the lower border of a box, as they are."""
    box.border_subtitle = said.replace("[", "\\[")
