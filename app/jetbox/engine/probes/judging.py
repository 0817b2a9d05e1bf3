"""What a session of pytest comes to: a state, a line for people, and whether it would come to that again."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from jetbox.engine.events import VerdictState
from jetbox.engine.probes.zygote import Said

COUNTED = ("passed", "failed", "errors", "xfailed", "xpassed")


def result(said: Said) -> tuple[VerdictState, str, bool]:
    """State and summary of a session that came to its end, and whether it would end so again."""
    counts = said.counts
    ran = sum(counts.get(kind, 0) for kind in COUNTED)
    bad = counts.get("failed", 0) + counts.get("errors", 0)
    if said.cut and not counts.get("collection"):
        return "error", f"pytest was broken off: {said.cut.splitlines()[0]}", True
    if said.code == 5:
        return "skipped", "no tests collected", True
    if counts.get("collection"):
        n = counts["collection"]
        return "error", f"{n} error{'' if n == 1 else 's'} while collecting: {names(said.failed)}", not said.many_links
    if said.code not in (0, 1):
        return "error", f"pytest ended with exit code {said.code}", said.code != 3
    if bad:
        return "failed", f"{bad} of {ran} failed: {names(said.failed)}", True
    if said.code == 1:
        return "failed", f"{counted(counts)}, yet pytest ended with exit code 1", True
    if not ran:
        return "skipped", counted(counts) or "no tests ran", True
    return "passed", counted(counts), True


def elsewhere(state: VerdictState, summary: str, said: Said, own: bool) -> tuple[VerdictState, str]:
    """State and summary where the tests were about a package that is not the workspace's; `own`: in our interpreter,
    which nobody chose for them, so that what they say is about nothing of the workspace."""
    name, place = next(iter(said.strange.items()))
    words = f"{name} was imported from {place}, not from the workspace"
    if own and state == "passed":
        cure = "make a .venv here and `pip install -e .` in it, or set probes.python"
        return "error", f"{words}; cure: {cure}"
    return state, f"{summary}; {words}"


def counted(counts: dict[str, int]) -> str:
    """`3 passed, 1 skipped`."""
    kinds = ("passed", "xfailed", "xpassed", "skipped", "deselected")
    return ", ".join(f"{counts[kind]} {kind}" for kind in kinds if counts.get(kind))


def names(nodes: Sequence[str]) -> str:
    """The first few tests, without their files."""
    shown = [node.rpartition("::")[2] if "::" in node else node for node in nodes]
    return ", ".join(shown[:3]) + (", …" if len(shown) > 3 else "")


def unfinished(code: int) -> str:
    """How a process ended that did not bring its session to an end."""
    number = -code if code < 0 else code - 128
    if number > 0 and number in {int(known) for known in signal.Signals}:
        return f"killed by {signal.Signals(number).name} before the session ended"
    return f"the process ended with exit code {code} before the session did"


def last_error(output: str) -> str:
    """Why pytest did not begin, in its own words."""
    lines = [text.strip() for text in output.splitlines() if text.strip()]
    raised = [text.removeprefix("E ").strip() for text in lines if text.startswith("E ")]
    said = [text.removeprefix("ERROR:").strip() for text in lines if text.startswith(("ERROR:", "ImportError"))]
    parted = (text.partition(": error: ") for text in lines)
    refused = [words for name, _, words in parted if words and "pytest" in name]
    return (raised[-1:] or refused[:1] or said[:1] or lines[-1:] or ["exit code 4"])[0][:200]
