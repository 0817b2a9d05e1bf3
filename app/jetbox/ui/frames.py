"""Frames of rows: what changed in a widget that nothing covers goes to the terminal as it is kept.

Textual's compositor renders every widget that overlaps the box around all that changed, and
cuts all of it at each edge of each widget: a word in the transcript and a letter in the input
make it render the whole screen. Here each change is looked up alone; what lies under
something else is left to the compositor.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from textual._compositor import Compositor, CompositorUpdate
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

Places = dict[Widget, tuple[Region, Region]]
"""Where each visible widget stands, and what is seen of it."""


class RowsUpdate(CompositorUpdate):
    """Strips, each with the place of its first cell."""

    def __init__(self) -> None:
        self.strips: list[tuple[int, int, Strip]] = []

    def render_segments(self, console: Console) -> str:
        return "".join(f"\x1b[{y + 1};{x + 1}H{strip.render(console)}" for x, y, strip in self.strips)

    def take(self, widget: Widget, place: Region, seen: Region, dirty: Iterable[Region]) -> None:
        """The rows of these parts of a widget that stands at a place, as far as it is seen."""
        for part in _apart(dirty):
            shown = part.translate(place.offset).intersection(seen)
            if shown:
                strips = widget.render_lines(shown.translate((-place.x, -place.y)))
                self.strips += ((shown.x, y, strip) for y, strip in zip(shown.line_range, strips, strict=False))


class Frames(Compositor):
    """Textual's compositor, which leaves out what did not change."""

    def __init__(self) -> None:
        super().__init__()
        self._places: Places = {}
        self._uncovered: Places = {}

    def uncovered(self, widget: Widget) -> tuple[Region, Region] | None:
        """Where a widget stands and what is seen of it, if nothing lies over that."""
        visible = self.visible_widgets
        if visible is not self._places:
            self._places = visible
            self._uncovered = {}
            above: list[Region] = []
            for each, (region, clip) in visible.items():
                seen = region.intersection(clip)
                if not any(seen.overlaps(other) for other in above):
                    self._uncovered[each] = (region, seen)
                above.append(seen)
        return self._uncovered.get(widget)

    def rows(self, widgets: Iterable[Widget]) -> RowsUpdate | None:
        """What has changed in these widgets; those that are covered keep it for the next whole frame."""
        found = RowsUpdate()
        if self._dirty_regions or self._full_map_invalidated:
            return None
        for widget in widgets:
            if not widget._repaint_regions:
                continue
            place = self.uncovered(widget)
            if place is not None:
                found.take(widget, *place, widget._exchange_repaint_regions())
                widget._repaint_required = False
        return found if found.strips else None

    def render_partial_update(self) -> CompositorUpdate | None:  # type: ignore[override]  # Textual names its own kind
        found = RowsUpdate()
        screen = self.size.region
        places = list(self.visible_widgets.items())
        for dirty in _apart(self._dirty_regions):
            part = dirty.intersection(screen)
            if not part:
                continue
            over = next(((w, r, r.intersection(c)) for w, (r, c) in places if r.intersection(c).overlaps(part)), None)
            if over is None or not over[2].contains_region(part):
                return super().render_partial_update()
            widget, region, seen = over
            found.take(widget, region, seen, [part.translate((-region.x, -region.y))])
        self._dirty_regions.clear()
        return found if found.strips else None


def _apart(regions: Iterable[Region]) -> list[Region]:
    """The regions without those that lie within another."""
    several = sorted(regions, key=lambda region: -region.area)
    found: list[Region] = []
    for region in several:
        if not any(other.contains_region(region) for other in found):
            found.append(region)
    return found
