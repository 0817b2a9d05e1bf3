"""The parts of the prompt: what the model is told before the goal."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from jetbox.engine.options import PromptVersion
from jetbox.engine.safety.terminal import safe_text

FULL_1 = """\
You are a coding agent working in the user's project folder. Work on the goal until it is done.
- Act through tools; paths are relative to the project folder. Call several tools at once when they are independent.
- Read a file before you change it. Prefer edit_file for small changes, write_file for new files.
- Keep to the project's style. Write tests for what you add. Never weaken a test to make it pass.
- After changes, ruff and pytest run by themselves; a line [probes] at the end of a tool result tells their verdict.
- If a tool fails, read why and do something else; never repeat the same call.
- When the goal is reached and the probes are green, call finish with a short summary.
- To answer a question, just answer.
"""

BRIEF_1 = """\
You are a coding agent in the user's project folder. Work until the goal is done.
- Act through tools; relative paths; independent calls at once.
- Read before you change. Small change: edit_file; new file: write_file.
- Keep the project's style. Test what you add; never weaken a test.
- ruff and pytest run after changes; the line [probes] is their verdict.
- A tool failed: read why, do otherwise, never repeat the call.
- Goal reached, probes green: finish with a short summary.
- A question: just answer.
"""

PROMPTS: dict[PromptVersion, str] = {"full-1": FULL_1, "brief-1": BRIEF_1}

PLAN = """\
- Begin with one call of plan: every step that you can foresee (reads, writes, edits, commands), each with its tool and
  arguments. Steps that do not depend on each other run at once. When you see the results, call finish, or go on.
"""

INSTRUCTIONS = ("AGENTS.md",)


def system_prompt(instructions: str = "", *, plan: bool = False, version: PromptVersion = "full-1") -> str:
    """The system message; `instructions` come from the project, with `plan` work begins with a plan."""
    system = PROMPTS[version] + PLAN if plan else PROMPTS[version]
    if not instructions:
        return system
    return f"{system}\nThe project's own instructions (AGENTS.md):\n{instructions}"


def version_of(version: PromptVersion, text: str) -> str:
    """What a rendered system message is known by: its version, and the beginning of the SHA-256 of what it says."""
    return f"{version}/{hashlib.sha256(text.encode()).hexdigest()[:8]}"


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
