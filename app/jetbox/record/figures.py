"""What was measured of models, kept across sessions in the user's state folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from jetbox.engine.models.figures import Figures, machine_of
from jetbox.folders import state_folder
from jetbox.record.disk import private_folder, storage_error

FORMAT = 1
Machines = dict[str, dict[str, Figures]]
"""By machine, and on it by model and digest."""


class _File(msgspec.Struct):
    format: int = FORMAT
    machines: Machines = {}


def figures_file() -> Path:
    """`$XDG_STATE_HOME/jetbox/models.json`."""
    return Path(state_folder(), "models.json")


class FiguresStore:
    """One file, shared by all sessions of the user; each adds to what the others wrote."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or figures_file()
        self._node = os.uname().nodename

    def read(self, host: str, name: str, digest: str, *, digests: bool = True) -> Figures:
        """What is known of a model behind a server (a URL); empty where nothing is. Blocks.

        Without a digest it is what was added last under that name; with `digests` False the server tells none,
        and what others on this machine have under that name is something else.
        """
        file = self._read()
        if not digest and digests and file.format == FORMAT:
            return _named(file.machines, (machine_of(host, "", ""), machine_of(host, self._node, "any")), name)
        models = file.machines.get(machine_of(host, self._node, digest), {}) if file.format == FORMAT else {}
        return models.get(_key(name, digest)) or Figures()

    def add(self, host: str, name: str, digest: str, figures: Figures) -> None:
        """Add what was measured. Blocks.

        Raises:
            StorageError: the state folder cannot be written.
        """
        private_folder(self._path.parent)
        machine = machine_of(host, self._node, digest)
        try:
            with self._locked():
                file = self._read()
                if file.format > FORMAT:  # a later version's: not ours to write
                    return
                file.machines.setdefault(machine, {}).setdefault(_key(name, digest), Figures()).add(figures)
                self._write(file)
        except OSError as error:
            raise storage_error("write", self._path, error) from error

    def _read(self) -> _File:
        """What is there; nothing where it is damaged."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_File)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return _File()

    def _write(self, file: _File) -> None:
        temporary = self._path.with_suffix(f".{os.getpid()}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(handle, "wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(file)) + b"\n")
        os.replace(temporary, self._path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the file beside it: two sessions that end at once must not lose each other's figures."""
        import fcntl

        handle = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _named(machines: Machines, places: tuple[str, ...], name: str) -> Figures:
    found = Figures()
    for place in places:
        for key, figures in machines.get(place, {}).items():
            if key.rpartition("@")[0] == name:
                found = figures
    return found


def _key(name: str, digest: str) -> str:
    return f"{name}@{digest.removeprefix('sha256:')[:12]}"
