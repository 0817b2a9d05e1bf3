"""The parts of the prompt: what the model is told before the goal."""

from __future__ import annotations

import os
from pathlib import Path

from jetbox.engine.safety.terminal import safe_text

SYSTEM = """\
You are a coding agent working in the user's project folder. Work on the goal until it is done.
- Act through tools; paths are relative to the project folder. Call several tools at once when they are independent.
- Read a file before you change it. Prefer edit_file for small changes, write_file for new files.
- Keep to the project's style. Write tests for what you add. Never weaken a test to make it pass.
- After changes, ruff and pytest run by themselves; a line [probes] at the end of a tool result tells their verdict.
- If a tool fails, read why and do something else; never repeat the same call.
- When the goal is reached and the probes are green, call finish with a short summary.
- To answer a question, just answer.
"""

PLAN = """\
- Begin with one call of plan: every step that you can foresee (reads, writes, edits, commands), each with its tool and
  arguments. Steps that do not depend on each other run at once. When you see the results, call finish, or go on.
"""

INSTRUCTIONS = ("AGENTS.md",)


def system_prompt(instructions: str = "", *, plan: bool = False) -> str:
    """The system message; `instructions` come from the project, with `plan` work begins with a plan."""
    system = SYSTEM + PLAN if plan else SYSTEM
    if not instructions:
        return system
    return f"{system}\nThe project's own instructions (AGENTS.md):\n{instructions}"


def read_instructions(root: Path, limit: int) -> str:
    """AGENTS.md of the workspace, at most `limit` bytes; empty where there is none that can be read."""
    for name in INSTRUCTIONS:
        path = os.path.join(root, name)
        # What is no plain file could block us, and a link could lead to what the model must not see.
        if not os.path.isfile(path) or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
            continue
        try:
            with open(path, "rb") as file:
                data = file.read(limit + 1)
        except OSError:
            continue
        text = safe_text(data[:limit].decode("utf-8", errors="replace")).strip()
        return text + "\n[cut: longer than the limit]" if len(data) > limit else text
    return ""
