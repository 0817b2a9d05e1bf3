"""What terminals can tell apart: by what they say they are, and by the keys that they send."""

from __future__ import annotations

import os
from collections.abc import Mapping

TELLING_TERMS = ("xterm-kitty", "foot", "alacritty", "xterm-ghostty", "wezterm", "rio", "contour")
"""Beginnings of TERM of terminals that speak the keyboard protocol that Textual asks for."""
TELLING_PROGRAMS = ("ghostty", "WezTerm", "iTerm.app", "rio", "kitty")
MULTIPLEXED = ("tmux", "screen", "zellij")
TOLD_APART = ("shift+enter", "ctrl+enter")
"""Keys that are Enter, or nothing, to a terminal that does not tell them apart."""
SIGNS = frozenset((*TOLD_APART, "left_shift", "right_shift", "left_control", "right_control"))
"""Keys that come alone from a terminal that tells all of them apart."""


def tells_keys_apart(environ: Mapping[str, str] | None = None) -> bool:
    """Whether this terminal is known to tell Shift+Enter and Ctrl+Enter from Enter; false where nothing is known."""
    environ = os.environ if environ is None else environ
    term = environ.get("TERM", "")
    if environ.get("TMUX") or environ.get("ZELLIJ") or term.startswith(MULTIPLEXED):
        return False  # it depends on their settings
    if term.startswith(TELLING_TERMS) or "KITTY_WINDOW_ID" in environ:
        return True
    return environ.get("TERM_PROGRAM", "") in TELLING_PROGRAMS
