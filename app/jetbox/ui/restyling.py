"""Other colours, in slices: keys are looked at while style sheets are read, and while widgets get their styles."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

from textual.app import App
from textual.css.stylesheet import Stylesheet

from jetbox.ui.sheets import read_rules
from jetbox.ui.slices import Slice, go_on_later


class Restyling:
    """One at a time: another change of theme begins anew."""

    def __init__(self, app: App[int], change: Callable[[], object]) -> None:
        """`change` is called when the styles are those of the other theme, before widgets have them."""
        self._app = app
        self._change = change
        self._steps: Generator[None, None, None] | None = None
        """What is still to be done, where something is."""

    def begin(self) -> None:
        """Style everything for the theme that is worn now."""
        self.end()
        self._steps = self._restyled()
        go_on_later(self._go_on, self._steps)

    def end(self) -> None:
        """Leave the rest undone."""
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()

    def _go_on(self, steps: Generator[None, None, None]) -> None:
        if steps is not self._steps:
            return
        now = Slice()
        for _ in steps:
            if now.over:
                go_on_later(self._go_on, steps)
                return
        self._steps = None

    def _restyled(self) -> Generator[None, None, None]:
        """Until the style sheets are read everything is drawn as before, and then once when all widgets are styled."""
        sheet = self._app.stylesheet
        read = Stylesheet(variables=self._app.get_css_variables())
        yield
        # Widgets that come meanwhile bring sources of their own.
        while missing := [place for place, source in sheet.source.items() if read.source.get(place) != source]:
            source = read.source[missing[0]] = sheet.source[missing[0]]
            yield from read_rules(read, missing[0], source)
        with self._undrawn():
            read.source = sheet.source
            read.parse()
            self._app.stylesheet = read
            self._change()
            yield
            for node in [
                self._app,
                *(node for each in self._app.screen_stack for node in each.walk_children(with_self=True)),
            ]:
                if node.is_attached:
                    read.update_nodes((node,))
                yield
        for screen in self._app.screen_stack:
            screen._css_update_count = self._app._css_update_count
            screen.refresh(layout=True)

    @contextmanager
    def _undrawn(self) -> Iterator[None]:
        """Half of the screen in other colours is never seen."""
        self._app._begin_batch()
        try:
            yield
        finally:
            self._app._end_batch()
