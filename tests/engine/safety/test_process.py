"""A command's limits, output and end, in each sandbox and in none."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pytest

from engine.moving import Clock
from jetbox.engine.safety import process
from jetbox.engine.safety.family import has_ended
from jetbox.engine.safety.output import KeptOutput
from jetbox.engine.safety.process import Finished, Limits, ProcessRunner

LIMITS = Limits(120, 10_000)


async def run(runner: ProcessRunner, line: str, limits: Limits = LIMITS, **more: object) -> Finished:
    return await runner.run(["/bin/sh", "-c", line], limits=limits, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "code"), [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", -9), ("kill -TERM $$", -15)]
)
async def test_exit_codes_and_signals(runner: ProcessRunner, line: str, code: int) -> None:
    done = await run(runner, line)
    assert (done.state, done.code, done.output) == ("exited", code, "")
    assert done.duration_ns > 0


async def test_output_and_errors_come_in_one_stream(runner: ProcessRunner) -> None:
    pieces: list[str] = []
    done = await run(runner, "echo one; echo two >&2; echo drei ü", on_output=pieces.append)
    assert done.output == "one\ntwo\ndrei ü\n"
    assert "".join(pieces) == done.output
    assert done.total_bytes == len(done.output.encode())


async def test_arguments_arrive_as_they_are(runner: ProcessRunner) -> None:
    words = ["A=b", "$HOME", "a b", "", "'\"", "--", "-c", "ü\n"]
    done = await runner.run([sys.executable, "-c", "import sys; print(sys.argv[1:])", *words], limits=LIMITS)
    assert done.output == f"{words}\n"


async def test_standard_input(runner: ProcessRunner) -> None:
    assert (await run(runner, "cat; echo end")).output == "end\n"
    data = b"x" * 300_000 + b"\n"
    done = await run(runner, "wc -c", stdin=data)
    assert done.output.strip() == str(len(data))
    assert (await run(runner, "exit 4", stdin=data)).code == 4


async def test_a_command_that_closes_its_output_is_waited_for(runner: ProcessRunner, workspace: Path) -> None:
    done = await run(runner, "exec >&- 2>&-; sleep 0.2; : > made; exit 5")
    assert done.code == 5
    assert (workspace / "made").exists()


async def test_the_time_limit_ends_what_heeds_a_signal_softly(
    runner: ProcessRunner, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_GRACE_S", 120.0)
    line = "exec 2>/dev/null; trap 'echo bye; exit 7' TERM; echo hi; while :; do sleep 0.02; done"
    done = await run(runner, line, on_output=clock.once(LIMITS.seconds))
    assert (done.state, done.code, done.output) == ("timeout", 7, "hi\nbye\n")


async def test_the_time_limit_ends_what_ignores_the_signal(runner: ProcessRunner, clock: Clock) -> None:
    line = "trap '' TERM INT HUP; echo hi; while :; do sleep 0.02; done"
    done = await run(runner, line, on_output=clock.once(LIMITS.seconds))
    assert (done.state, done.code) == ("timeout", -9)


async def test_a_limit_in_seconds_is_the_clocks(runner: ProcessRunner) -> None:
    done = await run(runner, "sleep 600", Limits(0.1, 10_000))
    assert done.state == "timeout"
    assert done.duration_ns >= 100_000_000


class Busy:
    """Holds the loop from a command's first words until it has ended and its time is over."""

    def __init__(self, clock: Clock, monkeypatch: pytest.MonkeyPatch, turns: int) -> None:
        """`turns` of the loop later than else this process hears of the end."""
        self.heard: list[float] = []
        """When, in seconds that the clock was moved on by then."""
        self._clock = clock
        self._pid = 0
        self._turns = turns
        real = process._Running.process_exited
        monkeypatch.setattr(process._Running, "process_exited", lambda running: self._exited(partial(real, running)))
        monkeypatch.setattr(process._Running, "connection_made", lambda running, transport: self._made(transport))

    def _made(self, transport: asyncio.SubprocessTransport) -> None:
        self._pid = transport.get_pid()

    def _exited(self, heard: Callable[[], None]) -> None:
        self._turns -= 1
        if self._turns >= 0:
            asyncio.get_running_loop().call_soon(self._exited, heard)
        else:
            self.heard.append(self._clock.ahead)
            heard()

    def __call__(self, words: str) -> None:
        while not has_ended(self._pid):
            pass
        self._clock.forward(LIMITS.seconds)


@pytest.mark.parametrize("turns", [0, 10])
async def test_an_end_that_came_in_time_is_no_timeout_however_late_it_is_heard(
    runner: ProcessRunner, clock: Clock, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    busy = Busy(clock, monkeypatch, turns)
    done = await run(runner, "echo hi; exit 3", on_output=busy)
    assert (done.state, done.code, done.output) == ("exited", 3, "hi\n")
    assert busy.heard == [LIMITS.seconds]


async def test_a_command_that_prints_for_ever(runner: ProcessRunner, clock: Clock) -> None:
    pieces: list[str] = []
    strike = clock.once(LIMITS.seconds)

    def show(text: str) -> None:
        pieces.append(text)
        if len(pieces) == 20:
            strike(text)

    done = await runner.run(["yes", "y" * 50], limits=LIMITS, on_output=show)
    assert done.state == "timeout"
    assert len(done.output.encode()) <= 10_000
    assert "bytes left out ...]" in done.output
    assert len(pieces) <= 3 + done.duration_ns * 30 / 1e9
    assert sum(map(len, pieces)) < 400_000
    assert done.total_bytes > 2 * sum(map(len, pieces))


async def test_the_memory_limit(runner: ProcessRunner) -> None:
    line = ["-c", "x = bytearray(400_000_000); print('got it')"]
    done = await runner.run([sys.executable, *line], limits=Limits(120, 10_000, memory=200_000_000))
    assert done.code == 1
    assert "MemoryError" in done.output


async def test_what_the_screen_cannot_take_ends_the_command(runner: ProcessRunner) -> None:
    def full(_text: str) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        await run(runner, "echo hi; sleep 600", on_output=full)


@pytest.mark.parametrize("make", ["absent", "folder", "plain", "dangling", "no-path", "nul", "empty"])
async def test_what_cannot_be_started_is_said_in_words(runner: ProcessRunner, workspace: Path, make: str) -> None:
    (workspace / "plain").write_text("text")
    (workspace / "plain").chmod(0o644)
    (workspace / "dangling").symlink_to("nowhere")
    argv, words = {
        "absent": (["no-such-program-here"], "there is no such program on PATH"),
        "folder": (["./.git"], "is a folder, not a program"),
        "plain": (["./plain"], "the file is not executable"),
        "dangling": (["./dangling"], "its target is missing"),
        "no-path": (["./absent"], "there is no such program"),
        "nul": (["echo", "a\0b"], "zero byte"),
        "empty": ([], "no program is named"),
    }[make]
    done = await runner.run(argv, limits=LIMITS)
    assert (done.state, done.code) == ("missing", 127)
    assert words in done.output


async def test_a_folder_to_run_in_that_is_not_there(runner: ProcessRunner, workspace: Path) -> None:
    done = await runner.run(["true"], limits=LIMITS, cwd=workspace / "gone")
    assert done.state == "missing"
    assert "no such folder" in done.output


async def test_an_argument_that_is_too_long_is_said_in_words(runner: ProcessRunner) -> None:
    done = await runner.run(["true", "x" * 3_000_000], limits=LIMITS)
    assert done.code != 0
    assert "too long" in done.output.lower()


async def test_commands_run_in_the_folder_asked_for(runner: ProcessRunner, workspace: Path) -> None:
    (workspace / "sub").mkdir()
    script = workspace / "sub" / "here.sh"
    script.write_text("#!/bin/sh\npwd; echo $PWD\n")
    script.chmod(0o755)
    done = await runner.run(["./here.sh"], limits=LIMITS, cwd=workspace / "sub")
    assert done.output == f"{workspace}/sub\n" * 2


async def test_the_environment_holds_nothing_secret(runner: ProcessRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "sk-123456789")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PATH", f".:relative:{os.environ['PATH']}")
    monkeypatch.setenv("WANTED", "yes")
    done = await run(
        ProcessRunner(runner.sandbox, runner.root, pass_env=["WANTED", "ABSENT"]), "env", env={"MORE": "1"}
    )
    seen = dict(line.split("=", 1) for line in done.output.splitlines())
    assert not {"MY_API_KEY", "SSH_AUTH_SOCK", "PYTHONDONTWRITEBYTECODE", "ABSENT"} & set(seen)
    assert (seen["TERM"], seen["WANTED"], seen["MORE"]) == ("dumb", "yes", "1")
    assert all(folder.startswith("/") for folder in seen["PATH"].split(":"))
    if runner.sandbox.confines:
        private = seen["HOME"].removesuffix("/home")
        assert all(seen[n].startswith(private) for n in ("TMPDIR", "XDG_CACHE_HOME", "RUFF_CACHE_DIR", "PIP_CACHE_DIR"))


async def test_a_character_that_arrives_in_two_pieces_is_shown_whole(runner: ProcessRunner) -> None:
    pieces: list[str] = []
    done = await run(runner, r"printf 'a\303'; sleep 0.1; printf '\274b\377'", on_output=pieces.append)
    assert "".join(pieces) == done.output == "aüb\ufffd"


def _kept(limit: int, pieces: Iterable[bytes]) -> KeptOutput:
    kept = KeptOutput(limit)
    for piece in pieces:
        kept.feed(piece)
    return kept


def test_head_and_tail_are_kept_within_the_limit() -> None:
    lines = [f"line {n}\n".encode() for n in range(100_000)]
    kept = _kept(10_000, lines)
    text = kept.text()
    assert len(text.encode()) <= 10_000
    head, _, rest = text.partition("[... ")
    left_out, _, tail = rest.partition(" bytes left out ...]\n")
    assert head.startswith("line 0\n")
    assert head.endswith("\n")
    assert tail.endswith("line 99999\n")
    assert tail.startswith("line ")
    assert len(head) + len(tail) + int(left_out) == kept.total == sum(map(len, lines))


@pytest.mark.parametrize("size", [9_999, 10_000])
def test_what_fits_is_kept_whole(size: int) -> None:
    kept = _kept(10_000, [b"x" * size])
    assert kept.text() == "x" * size


def test_bytes_that_are_no_text_stay_within_the_limit_too() -> None:
    for size in (5_000, 10_000, 10_001, 500_000):
        kept = _kept(10_000, [b"\xff" * size])
        assert len(kept.text().encode()) <= 10_000


def test_characters_at_the_cut_are_not_broken() -> None:
    for shift in range(4):
        kept = _kept(1_000, [b"a" * shift + "€".encode() * 3_000])
        assert "\ufffd" not in kept.text()
