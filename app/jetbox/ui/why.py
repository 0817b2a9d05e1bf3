"""What `/why` says: the keys of the latest verdicts, and why they ran or were served again; from events alone."""

from __future__ import annotations

from jetbox.engine.probes.reasons import explained
from jetbox.ui.model import SessionView
from jetbox.ui.text.rows import one_line
from jetbox.ui.verdicts import came_by

WIDE = 10


def why(view: SessionView) -> list[tuple[str, str]]:
    """Lines and their level: a head for each probe, then its rows."""
    out: list[tuple[str, str]] = []
    for name, probe in view.verdicts.items():
        late = f" of round {probe.of_round}" if probe.of_round else ""
        out.append(("info", f"{name}{late}: {probe.state}, {came_by(probe)}" + _summary(probe.summary)))
        out += [("info", f"  {label:<{WIDE}}{one_line(words)}") for label, words in explained(probe)]
        if name in view.older:
            since = view.older[name] or "the session was opened again"
            out.append(("warning", f"  {'since':<{WIDE}}{since}: /probe says whether it still holds"))
    if not out:
        out.append(("warning", "no probe has given a verdict yet"))
    if view.probing_words:
        out.append(("info", f"session: {', '.join(view.probing_words)}"))
    if view.why_window:
        out.append(("info", f"window: {view.window:,} tokens, {view.why_window}"))
    return out


def _summary(summary: str) -> str:
    return f" ({summary})" if summary else ""
