"""Runs the installed console script as a person would, and looks at what it left."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from jetbox.engine.events import Event
from jetbox.record.recording import Recording, read_journal
from nursery import AT_START, CONSOLE, nursery

MARK = "STORY_MARK"
LIMIT_S = 120.0
LEAN = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "JETBOX_PERMISSIONS_PASS_ENV": "PYTEST_DISABLE_PLUGIN_AUTOLOAD"}
"""Lets pytest runs in the workspace do without the plugins of the environment that these tests run in."""
SIGNALS = ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129))

E = TypeVar("E", bound=Event)


class Ended(msgspec.Struct, frozen=True):
    """How a run ended."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        """What `--output-format json` printed."""
        found: dict[str, Any] = json.loads(self.out)
        return found


class Running:
    """A run that is under way."""

    def __init__(self, process: subprocess.Popen[str], mark: str) -> None:
        self.process = process
        self.mark = mark
        self.lines: list[str] = []
        """What was read of its standard output."""

    def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Read events (`--output-format stream-json`) up to one of this type with these fields."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            envelope: dict[str, Any] = json.loads(line)
            data: dict[str, Any] = envelope.get("event") or envelope["deltas"]
            if data["type"] == kind and all(data.get(name) == value for name, value in fields.items()):
                return data
        raise AssertionError(f"no {kind} came: {self.end()}")

    def signal(self, number: int) -> Ended:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return self.end()

    def end(self, *, alone: bool = True) -> Ended:
        """Wait for the end; nothing may be left of it (or of another run that goes on: not `alone`)."""
        out, err = self.process.communicate(timeout=LIMIT_S)
        return self._ended("".join(self.lines) + (out or ""), err, alone=alone)

    def end_unread(self) -> Ended:
        """The same where nobody reads its standard output."""
        assert self.process.stderr is not None
        err = self.process.stderr.read()
        self.process.wait(LIMIT_S)
        return self._ended("", err, alone=True)

    def _ended(self, out: str, err: str, *, alone: bool) -> Ended:
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        assert "Traceback" not in err, err
        left = left_behind(self.mark) if alone else []
        assert not left
        return Ended(self.process.returncode, out, err)


class Place:
    """A workspace and a home, and the program run in them."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder = folder
        self.host = host
        self.mark = str(folder)

    def start(self, *arguments: str, env: dict[str, str] | None = None, **more: Any) -> Running:
        """Start `jetbox-tui ARGUMENTS` in the workspace: forked, or from scratch where `program` or more is given."""
        environment = {**os.environ, **LEAN, "OLLAMA_HOST": self.host, "OLLAMA_MODEL": "gpt-oss:20b", MARK: self.mark}
        options: dict[str, Any] = {
            "cwd": self.folder,
            "env": environment | (env or {}),
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "start_new_session": True,
        }
        if not more and not any(name.startswith(AT_START) for name in env or {}):
            forked = nursery().start([*arguments], workbench=True, folder=self.folder, environ=options["env"])
            return Running(cast("subprocess.Popen[str]", forked), self.mark)
        program = more.pop("program", [str(CONSOLE)])
        return Running(subprocess.Popen([*program, *arguments], **{**options, **more}), self.mark)

    def run(self, *arguments: str, **more: Any) -> Ended:
        """Run it to its end."""
        return self.start(*arguments, **more).end()

    def goal(self, goal: str, *arguments: str, **more: Any) -> Ended:
        """`jetbox-tui run GOAL` with everything allowed."""
        return self.run("run", "--yolo", *arguments, "--", goal, **more)

    def stream(self, goal: str, *arguments: str, **more: Any) -> Running:
        """Start a goal that tells its events."""
        return self.start("run", "--yolo", "--output-format", "stream-json", *arguments, "--", goal, **more)

    @property
    def sessions(self) -> list[Path]:
        """Folders of the recorded sessions, oldest first."""
        folder = Path(os.environ["XDG_DATA_HOME"]) / "jetbox" / "sessions"
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def recording(self) -> Recording:
        """The newest session, which must be whole."""
        recording = read_journal(self.sessions[-1])
        assert not recording.problems
        return recording

    def events(self, kind: type[E]) -> list[E]:
        """All events of a type in the newest session."""
        return [s.event for s in self.recording().events if isinstance(s.event, kind)]

    def files(self) -> dict[str, str]:
        """The workspace's files with their content, without caches."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_text(errors="replace")
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and not {"__pycache__", ".pytest_cache", ".ruff_cache", ".git"} & set(path.parts)
        }


def left_behind(mark: str) -> list[str]:
    """Processes that stand in the workspace, name it, or come from a run in it, with their ids."""
    return list(_processes(mark))


def dies_out(mark: str) -> bool:
    """Wait until nothing is left behind, as after a kill that we could not clean up after."""
    for line in left_behind(mark):
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(int(line.partition(":")[0]))
            ready, _, _ = select.select([handle], [], [], 60)
            os.close(handle)
            if not ready:
                return False
    return not left_behind(mark)


def _processes(mark: str) -> Iterator[str]:
    needle = mark.encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        place = Path("/proc", entry)
        try:
            words = (place / "cmdline").read_bytes()
            where = os.readlink(place / "cwd")
            variables = (place / "environ").read_bytes()
        except OSError:
            continue  # it has just ended
        marked = f"{MARK}={mark}".encode() in variables
        if words and (needle in words or where.startswith(mark) or marked):
            yield f"{entry}: {words.replace(bytes(1), b' ').decode(errors='replace')}"
