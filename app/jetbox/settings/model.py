"""The settings as values: the engine's sections and those that only the front ends read."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from jetbox.engine.options import EngineOptions, Section


class UiOptions(Section, frozen=True, kw_only=True):
    theme: str = "jetbox-dark"
    """Theme of the screen: a shipped one, or a file of the user's theme folder."""
    color: bool = True
    """Use colours; NO_COLOR turns them off."""
    ascii: bool = False
    """Draw with the signs that every terminal has, as where the locale has no Unicode."""
    alternate_screen: bool = True
    """Show the workbench on the terminal's other screen; false: what was there scrolls up, and the last state stays."""
    mouse: bool = True
    """Ask the terminal for clicks and the wheel; false: it keeps them, for selecting as it does without a program."""
    plain: bool = False
    """Line by line, only ever added to, without a screen: for screen readers; so too where TERM is dumb."""
    reference_ms: int = 1000
    """Time of a round that the panel draws as a line across its bars; as it is, that of the baseline. 0: no line."""
    notify: Literal["auto", "bell", "off"] = "auto"
    """How the terminal tells that somebody is waited for, or that the work is over, while it is not looked at."""
    debug: bool = False
    """Say in the transcript what holds up the screen for more than 5 ms."""


class TelemetryOptions(Section, frozen=True, kw_only=True):
    """Nothing is sent anywhere: this version has no option here."""


class Settings(EngineOptions, frozen=True, kw_only=True):
    """Everything that can be configured; the engine takes it as its options."""

    ui: UiOptions = UiOptions()
    keys: dict[str, str] = msgspec.field(default_factory=dict)
    """Keys by the name of what they do, as the help shows it: `"session.cancel" = "ctrl+x"`."""
    telemetry: TelemetryOptions = TelemetryOptions()
    profile: str = ""
    """Profile whose values lie beneath the files; on the command line: above them."""
    profiles: dict[str, dict[str, dict[str, Any]]] = msgspec.field(default_factory=dict)
    """Own profiles: `[profiles.NAME.SECTION]` with the section's keys."""


class Source(msgspec.Struct, frozen=True):
    """Where a value came from."""

    kind: str
    """`flag`, `profile`, `environment`, `project`, `user` or `default`."""
    where: str = ""
    """The flag, the variable, the file, or the profile and where that stands."""
    line: int = 0
    """Line in the file, from 1; 0 where there is none."""

    def __str__(self) -> str:
        place = f"{self.where}:{self.line}" if self.line else self.where
        return f"{self.kind} {place}".rstrip()


DEFAULT = Source("default")
