"""The environment of a command: harmless variables, and those that the configuration names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

_KEPT = frozenset(
    (
        "CONDA_DEFAULT_ENV", "CONDA_PREFIX", "GOROOT", "HOME", "JAVA_HOME", "LANG", "LANGUAGE", "LOGNAME",
        "PYTHONHASHSEED", "PYTHONIOENCODING", "PYTHONUNBUFFERED", "PYTHONUTF8", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN",
        "SHELL", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV",
    )
)  # fmt: skip

_FIXED = {
    "TERM": "dumb",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
}
"""A command has no terminal: nothing may page, colour or ask; git does not write for `status`."""

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


def clean_environment(environ: Mapping[str, str], passed: Iterable[str] = ()) -> dict[str, str]:
    """What a command sees of ours: nothing that could hold a secret unless `passed` names it."""
    names = (name for name in environ if name in _KEPT or name.startswith("LC_"))
    env = {name: environ[name] for name in names}
    if "LANG" not in env and "LC_ALL" not in env:
        env["LANG"] = "C.UTF-8"
    folders = [p for p in environ.get("PATH", "").split(os.pathsep) if os.path.isabs(p)]
    env["PATH"] = os.pathsep.join(dict.fromkeys(folders)) or DEFAULT_PATH
    home = environ.get("HOME", "")
    if "RUSTUP_HOME" not in env and home and os.path.isdir(f"{home}/.rustup"):
        env["RUSTUP_HOME"] = f"{home}/.rustup"
    env.update(_FIXED)
    env.update({name: environ[name] for name in passed if name in environ})
    return env


def find_program(name: str, path: str, cwd: str) -> tuple[str, str]:
    """Where a program is, or why it cannot be run: one of the two is empty."""
    if not name:
        return "", "no program is named"
    if "\0" in name:
        return "", "the program's name holds a zero byte"
    if "/" in name:
        return _runnable(os.path.join(cwd, name), name)
    trouble = ""
    for folder in path.split(os.pathsep):
        found, why = _runnable(f"{folder}/{name}", name)
        if found:
            return found, ""
        if why.endswith("not executable"):
            trouble = why
    return "", trouble or f"{name}: there is no such program on PATH"


def candidates(name: str, path: str, cwd: str) -> list[str]:
    """Every path that `find_program` looks at."""
    if not name or "\0" in name:
        return []
    folders = [cwd] if "/" in name else path.split(os.pathsep)
    return [os.path.join(folder, name) for folder in folders]


def _runnable(path: str, name: str) -> tuple[str, str]:
    if not os.path.lexists(path):
        return "", f"{name}: there is no such program"
    if os.path.isdir(path):
        return "", f"{name}: is a folder, not a program"
    if not os.path.exists(path):
        return "", f"{name}: leads nowhere: its target is missing"
    if not os.access(path, os.X_OK):
        return "", f"{name}: the file is not executable"
    return path, ""
