"""The terminal's driver: takes over what the skeleton left, and keeps its colours for the next start."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from textual.drivers.linux_driver import LinuxDriver

from jetbox.ui.skeleton import ROLES, Skeleton, keep_styles

if TYPE_CHECKING:
    from rich.style import Style

    from jetbox.ui.app import JetboxApp

OTHER_SCREEN = "\x1b[?1049h"


class TerminalDriver(LinuxDriver):
    """Textual's own, on the screen that is painted already."""

    _painted: Skeleton | None = None

    def start_application_mode(self) -> None:
        from jetbox.ui.app import JetboxApp

        skeleton = self._app.skeleton if isinstance(self._app, JetboxApp) else None
        if skeleton is not None and skeleton.shown:
            self._painted = skeleton
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if self._painted is not None:
            # What it read were the attributes of the skeleton: keys unseen.
            self.attrs_before = self._painted.hand_over()
            self._painted = None

    def write(self, data: str) -> None:
        # Asked for again, some terminals clear it: the screen would be dark until the first frame.
        if data != OTHER_SCREEN or self._painted is None:
            super().write(data)


async def keep_look(app: JetboxApp) -> None:
    """The next start begins in the colours of this screen."""
    styles = look(app)
    await asyncio.to_thread(keep_styles, [codes(styles[role], app) for role in ROLES], os.environ)


def look(app: JetboxApp) -> dict[str, Style]:
    """The screen's own styles for what the skeleton shows."""
    bench = app.workbench
    paint, component = bench.status.colours, bench.prompt.get_component_rich_style
    return {
        "ground": paint.base,
        "brand": paint["brand"],
        "rule": paint["track"],
        "mark": paint["user.mark"],
        "cursor": paint.base + component("text-area--cursor"),
        "hint": paint.base + component("text-area--placeholder"),
    }


def codes(style: Style, app: JetboxApp) -> str:
    """The style's attributes, as this terminal is told of them."""
    from rich.color import ColorSystem

    system = {"standard": ColorSystem.STANDARD, "256": ColorSystem.EIGHT_BIT, "truecolor": ColorSystem.TRUECOLOR}
    colours = system.get(app.console.color_system or "")
    return style.render("x", color_system=colours).partition("x")[0].removeprefix("\x1b[").rstrip("m")
