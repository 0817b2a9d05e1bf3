"""What an answer to "may this command run?" covers for the rest of the session."""

from __future__ import annotations

import os
import re

# Patterns are strings, which `re` compiles for the first command: a start needs none.
_PLAIN = r"[\w@%+=:,./\- \t'\"\[\]]*"
"""A command with anything else may do several things, or expand to others."""

_WITH_SUB_COMMANDS = frozenset(
    """
    apt apt-get brew bun cargo composer conda deno docker dotnet flutter gem gh git go gradle hatch helm just kubectl
    make mix mvn nox npm nx pdm pip pip3 pipenv pipx pnpm podman poetry pre-commit rake ruff rustup sbt swift
    systemctl tox turbo uv yarn
    """.split()  # noqa: SIM905 a list of words is easier to read so
)
_RUNS_ANYTHING = frozenset(
    """
    ash awk bash busybox command csh dash doas env eval exec expect find fish flock gawk ionice ksh lua nice node nohup
    npx parallel perl php pypy pypy3 python python2 python3 ruby script setsid sh ssh stdbuf su sudo tclsh time timeout
    uvx watch xargs zsh
    """.split()  # noqa: SIM905
)
_WRAPS = frozenset(["run", "exec", "x", "dlx", "-c", "-C", "--exec"])
"""Sub-commands that run another program: the whole command counts."""
_MODULE = r"python[\d.]*"
_WORD = r"[a-z][a-z0-9:_-]*"


def command_scope(command: str | list[str]) -> str:
    """Program and sub-command, such as `pytest` or `git status`; the whole command where that would allow too much."""
    if isinstance(command, str):
        whole = " ".join(command.split())
        if "\n" in command.strip() or not re.fullmatch(_PLAIN, command):
            return command.strip()
        import shlex

        try:
            words = shlex.split(command)
        except ValueError:
            return whole
    else:
        import shlex

        words, whole = list(command), shlex.join(command)
    if not words or "=" in words[0]:
        return whole
    program = os.path.basename(words[0])
    if words[0] != program:
        # A program of the workspace may be another one tomorrow.
        return whole
    if re.fullmatch(_MODULE, program) and len(words) > 2 and words[1] == "-m" and re.fullmatch(_WORD, words[2]):
        return f"{program} -m {words[2]}"
    if program in _RUNS_ANYTHING:
        return whole
    if program in _WITH_SUB_COMMANDS:
        if len(words) < 2 or words[1] in _WRAPS or not re.fullmatch(_WORD, words[1]):
            return whole
        return f"{program} {words[1]}"
    return program
