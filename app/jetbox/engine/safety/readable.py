"""What a confined command may read: the system, interpreters and toolchains, not the home folder."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix", "/gnu", "/run/current-system")
"""Folders with programs and libraries; `/etc` is apart, since it holds secrets too."""

TOOL_HOMES = frozenset(
    (".asdf", ".bun", ".deno", ".linuxbrew", ".nodenv", ".nvm", ".pyenv", ".rbenv", ".rustup", ".rye", ".volta")
) | {"anaconda3", "mambaforge", "miniconda3", "miniforge3"}
"""Folders directly in the home folder that hold tools and no credentials."""

TOOL_FOLDERS = (
    ".rustup",
    ".local/share/uv/python",
    ".local/share/uv/tools",
    ".local/share/pipx/venvs",
    ".local/pipx/venvs",
    ".local/share/mise/installs",
)
"""Folders of tools in the home folder that programs on PATH lead to by symbolic link or by name."""


CONFIGURATION = (
    "pyproject.toml",
    "pytest.ini",
    ".pytest.ini",
    "pytest.toml",
    ".pytest.toml",
    "tox.ini",
    "setup.cfg",
    "setup.py",
    "ruff.toml",
    ".ruff.toml",
)
"""Files by which tools are configured, in folders above the workspace too."""

PROJECT = (".git", *CONFIGURATION)
"""What makes a folder above the workspace the project's."""

PARTS = ("bin", "include/python*", "lib/python*", "lib/libpython*", "lib64/python*", "pyvenv.cfg")
"""What an interpreter needs of a folder that holds other things too."""

DATA = {"XDG_DATA_HOME": ".local/share", "XDG_STATE_HOME": ".local/state", "XDG_CONFIG_HOME": ".config"}
"""Where programs keep what is theirs and the user's, below the home folder where no variable says otherwise."""


class Readable:
    """What confined commands read outside `root`, besides the system's folders."""

    def __init__(self, root: Path, environ: Mapping[str, str], extra: Sequence[Path] = ()) -> None:
        """`extra` is what the user opens."""
        self._root = root
        home = _home(environ)
        self._kept = _kept_from(environ)
        self._extra = tuple(extra)
        self._found: dict[Path, None] = {}
        sources = (
            (Path(p) for p in (sys.prefix, sys.base_prefix, sys.exec_prefix)),
            _environments(root, environ),
            _programs(environ, home),
            (home / name for name in TOOL_FOLDERS),
        )
        for path in (p for source in sources for p in source):
            _add(self._found, path, root, self._kept)

        self._above = [os.path.join(folder, name) for folder in root.parents for name in PROJECT]
        self._now: tuple[list[tuple[int, int] | None], tuple[Path, ...]] | None = None

    def now(self) -> tuple[Path, ...]:
        """Files and folders, each of which exists: configuration above the workspace may come and go."""
        there = [_which(path) for path in (*self._above, *map(str, self._extra))]
        if self._now is None or self._now[0] != there:
            self._now = (there, tuple(sorted(self._made())))
        return self._now[1]

    def _made(self) -> dict[Path, None]:
        found = self._found.copy()
        project = project_above(self._root, self._kept[0])
        if project is not None:
            _add(found, project, self._root, self._kept)
        # Tools look for their configuration in every folder above, up to the last. Whoever made such a file chose no
        # more than its name: a link opens nothing.
        for file in filter(os.path.isfile, self._above):
            if os.path.realpath(file) == file or is_readable(file, str(self._root), map(str, found)):
                found[Path(file)] = None
        for path in self._extra:
            _add(found, path, self._root, ())
        return found


def _which(path: str) -> tuple[int, int] | None:
    """Which file or folder, or link to one, it is; None where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mode


def is_readable(path: str, root: str, readable: Iterable[str]) -> bool:
    """True for what a command in `root` reads, in a sandbox that lets it read these too."""
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(folder) for folder in (root, *SYSTEM, "/etc", *readable))


def _home(environ: Mapping[str, str]) -> Path:
    return Path(os.path.realpath(environ.get("HOME") or os.path.expanduser("~")))


def project_above(root: Path, home: Path) -> Path | None:
    """The project that the workspace is a part of: its configuration, and what it imports, lie above.

    The farthest folder above that is a repository or holds configuration of tools; never one
    that holds the home folder, or that everybody writes to.
    """
    found = None
    for folder in root.parents:
        if home.is_relative_to(folder) or len(folder.parts) < 3 or _is_shared(folder):
            break
        if any(os.path.lexists(folder / name) for name in PROJECT):
            found = folder
    return found


def _is_shared(folder: Path) -> bool:
    try:
        return bool(os.stat(folder).st_mode & stat.S_IWOTH)
    except OSError:
        return True


def _kept_from(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The home folder, and the folders where programs keep what is the user's: no folder that holds one is opened."""
    home = _home(environ)
    return (home, *(Path(os.path.realpath(environ.get(name) or home / place)) for name, place in DATA.items()))


def _add(found: dict[Path, None], path: Path, root: Path, kept: Sequence[Path]) -> None:
    """Note a path as it is written and as it really lies; of what holds something `kept`, what an interpreter needs."""
    real = Path(os.path.realpath(path))
    if not os.path.exists(real):
        return
    if any(place.is_relative_to(real) for place in kept):
        for part in (part for name in PARTS for part in real.glob(name)):
            if not any(place.is_relative_to(os.path.realpath(part)) for place in kept):
                _add(found, part, root, ())
        return
    for form in (path, real):
        if form.is_absolute() and not form.is_relative_to(root) and not _in_system(form):
            found[form] = None


def _in_system(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in SYSTEM)


def _environments(root: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    """Virtual environments of the workspace and the installations under them.

    A workspace names these itself, so each must be what it claims to be: a link `.venv` to
    someone's documents opens nothing.
    """
    names = [str(root / ".venv"), str(root / "venv"), environ.get("VIRTUAL_ENV", ""), environ.get("CONDA_PREFIX", "")]
    for name in filter(None, names):
        yield from _environment(Path(name))


def _environment(folder: Path) -> Iterator[Path]:
    """A virtual environment and the installation under it, or an installation; nothing for another folder."""
    base = _base_of(folder)
    if base is None and not _is_installation(folder):
        return
    yield folder
    if base is not None:
        yield base
    yield from _installation_of(folder / "bin" / "python")


def folders_of_interpreter(python: str, root: Path, environ: Mapping[str, str]) -> list[Path]:
    """Folders that an interpreter needs which the configuration names; none where it is part of no environment."""
    found: dict[Path, None] = {}
    # Not Path's own: of somebody whom nobody knows it makes an error, and this a name that is none.
    named = Path(os.path.expanduser(python))
    if python and "\0" not in python:
        folder = (root / named).parent
        known = tuple(_environment(folder.parent))
        linked = () if known else tuple(_installation_of(root / named))
        # By what leads to it an interpreter is told where it lies.
        for path in (*known, *linked, *([folder] if linked and folder.name == "bin" else [])):
            _add(found, path, root, _kept_from(environ))
    return list(found)


def _base_of(environment: Path) -> Path | None:
    """The installation that a virtual environment's `pyvenv.cfg` names."""
    try:
        text = (environment / "pyvenv.cfg").read_text("utf-8", "replace")
    except OSError:
        return None
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "home" and value.strip():
            base = Path(value.strip()).parent
            return base if _is_installation(base) else None
    return None


def _installation_of(python: Path) -> Iterator[Path]:
    prefix = Path(os.path.realpath(python)).parent.parent
    if _is_installation(prefix):
        yield prefix


def _is_installation(prefix: Path) -> bool:
    """True where a standard library lies below."""
    return any(os.path.isfile(f"{prefix}/lib/{name}/os.py") for name in _names(prefix / "lib") if name[:6] == "python")


def _programs(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """PATH's folders, and the toolchain around each where it is one."""
    for name in environ.get("PATH", "").split(os.pathsep):
        folder = Path(name)
        if not folder.is_absolute() or _in_system(folder):
            continue
        yield folder
        parent = Path(os.path.realpath(folder)).parent
        if folder.name not in ("bin", "sbin", "shims") or home.is_relative_to(parent):
            continue
        if not parent.is_relative_to(home):
            yield from (parent,) if _looks_like_tools(parent) else ()
        elif parent.parent == home:
            yield from (parent,) if parent.name in TOOL_HOMES else ()
        elif _looks_like_tools(parent):
            yield parent


def _looks_like_tools(prefix: Path) -> bool:
    names = set(_names(prefix))
    return bool(names & {"lib", "libexec"}) and ".git" not in names and len(prefix.parts) > 2


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def secrets_in(folder: str, depth: int = 3) -> Iterator[str]:
    """Paths below `folder` that not everybody may read, such as `/etc/shadow`.

    The system's own permissions guard them from ordinary users; from a command run by root,
    or by a member of a group such as `shadow`, the sandbox has to.
    """
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        try:
            if entry.is_symlink():
                continue
            mode = entry.stat(follow_symlinks=False).st_mode
        except OSError:
            continue
        if not mode & 0o004:
            yield entry.path
        elif depth > 1 and entry.is_dir(follow_symlinks=False):
            yield from secrets_in(entry.path, depth - 1)


def without(folder: str, left_out: Iterable[str]) -> Iterator[str]:
    """Paths that together are `folder` without the given ones, for an allow-list by path."""
    missing = set(left_out)
    if not missing:
        yield folder
        return
    for name in _names(Path(folder)):
        path = f"{folder}/{name}"
        if path in missing:
            continue
        inside = {m for m in missing if m.startswith(f"{path}/")}
        yield from without(path, inside)
