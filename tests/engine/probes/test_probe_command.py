"""Commands of the user as probes: real programs, in the engine with its cache."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jetbox.engine.options import PerformanceOptions, ProbeCommand
from jetbox.engine.probes import inscope
from jetbox.engine.probes.command import last_line
from jetbox.engine.probes.runner import ProbeEngine
from jetbox.engine.safety.choose import choose_sandbox
from jetbox.engine.safety.process import ProcessRunner

if TYPE_CHECKING:
    from engine.probes.conftest import Bench

PLAIN = PerformanceOptions(probe_early=False, probe_baseline=False)

MARK = f"61.{os.getpid()}"
"""Seconds that no other process sleeps."""


def engine_of(bench: Bench, command: str | tuple[str, ...], **options: Any) -> ProbeEngine:
    made = ProbeCommand(name="check", command=command, **options)
    return bench.engine(performance=PLAIN, ruff=False, pytest=False, commands=(made,))


def program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    made = folder / name
    made.write_text(f"#!/bin/sh\n{text}\n")
    made.chmod(0o755)
    return made


@contextmanager
def our_words_to(path: Path) -> Iterator[None]:
    """As `jetbox-tui ... 2> path` has it."""
    kept, file = os.dup(2), os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 2)
    inscope._written.cache_clear()
    try:
        yield
    finally:
        os.dup2(kept, 2)
        inscope._written.cache_clear()
        os.close(kept)
        os.close(file)


@pytest.mark.parametrize(
    ("command", "state", "summary"),
    [
        ("echo all is well", "passed", "all is well"),
        (("echo", "all && false"), "passed", "all && false"),
        ("true", "passed", ""),
        ("false", "failed", "exit code 1"),
        ("echo 3 bad; exit 255", "failed", "3 bad"),
        ("printf '\\033[31m2 errors\\033[0m\\n---\\n\\n'; exit 2", "failed", "2 errors"),
        ("kill -SEGV $$", "error", "killed by SIGSEGV"),
        ("(kill -9 $BASHPID || kill -9 $$)", "error", "killed by SIGKILL"),
        ("cd . && no-such-program-here", "error", "a program is missing: "),
        ("echo one; ./not-there", "error", "a program is missing: "),
        ("echo one; /etc/passwd", "error", "it cannot be run: "),
        ("echo 'unclosed", "failed", ""),
    ],
)
async def test_the_exit_code_is_the_verdict(
    bench: Bench, command: str | tuple[str, ...], state: str, summary: str
) -> None:
    verdict = await bench.one(engine_of(bench, command), "check")
    assert verdict.state == state
    assert verdict.summary.startswith(summary)
    assert verdict.state == "passed" or verdict.red


@pytest.mark.parametrize("command", ["no-such-program-here --x", "A=1 no-such-program-here", ("no-such-program-here",)])
async def test_a_program_that_is_missing_is_skipped_with_the_cure(
    bench: Bench, command: str | tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = engine_of(bench, command)
    verdict = await bench.one(engine, "check")
    assert verdict.state == "skipped"
    assert verdict.summary.endswith("no such program on PATH; cure: install it, or change probes.commands")
    program(tmp_path / "bin", "no-such-program-here", "echo now")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert (await bench.one(engine, "check")).summary == "now"


async def test_a_program_that_is_not_executable_is_skipped_with_the_cure(bench: Bench) -> None:
    bench.write("check.sh", "exit 0\n")
    verdict = await bench.one(engine_of(bench, "./check.sh"), "check")
    assert (verdict.state, verdict.summary) == (
        "skipped", "./check.sh: the file is not executable; cure: chmod +x ./check.sh"
    )  # fmt: skip


async def test_no_file_in_scope_is_skipped(bench: Bench) -> None:
    bench.write("README.md", "")
    (bench.root / "x.rs").mkdir()
    engine = engine_of(bench, "true", scope=("*.rs", "Cargo.toml"))
    verdict = await bench.one(engine, "check")
    assert (verdict.state, verdict.summary) == ("skipped", "no file matches *.rs, Cargo.toml")
    bench.write("src/main.rs", "")
    assert (await bench.one(engine, "check")).state == "passed"


async def test_time_runs_out(bench: Bench) -> None:
    for seconds in (0.5, 5, 50):  # a busy machine may take longer to begin
        verdict = await bench.one(engine_of(bench, f"echo begun; sleep {MARK}", time_s=seconds), "check")
        assert (verdict.state, verdict.summary) == ("timeout", f"no result after {seconds:g} s")
        if verdict.output:
            break
    assert verdict.output == "begun"
    assert not bench.running(f"sleep {MARK}")


async def test_output_is_kept_within_its_own_limit(bench: Bench) -> None:
    bench.write("n.txt", "")
    verdict = await bench.one(engine_of(bench, "seq 100000; exit 1", output_bytes=500), "check")
    assert verdict.summary == "100000"
    assert verdict.output.startswith("1\n")
    assert len(verdict.output) < 700


async def test_files_out_of_scope_leave_the_verdict(bench: Bench) -> None:
    bench.write("a.rs", "1")
    bench.write("README.md", "1")
    engine = engine_of(bench, "cat a.rs", scope=("*.rs",))
    assert (await bench.one(engine, "check")).cache == "ran"
    bench.write("README.md", "2")
    bench.write("new/x.txt", "")
    hit = await bench.one(engine, "check")
    assert (hit.cache, hit.summary, hit.proved) == ("hit", "1", True)
    bench.write("a.rs", "2")
    miss = await bench.one(engine, "check")
    assert (miss.cache, miss.summary, miss.why) == ("ran", "2", "a.rs changed")
    bench.write("a.rs", "1")
    assert (await bench.one(engine, "check")).cache == "hit"


async def test_what_a_build_leaves_out_of_scope_is_no_change(bench: Bench) -> None:
    bench.write("src/a.c", "1")
    bench.write("src/notes", "")
    at = "target/inc-$(od -An -N4 -tx4 /dev/urandom | tr 0-9a-f g-v | tr -d ' ')"
    make = f"mkdir -p target/inc; d={at}; mkdir $d; cp src/a.c $d/a.o; rm -rf target/inc; mv $d target/inc"
    program(bench.root, "build", f"{make}; cp src/a.c {at}; date > src/notes; cat src/a.c")
    engine = engine_of(bench, "./build", scope=("src/*.c", "*.h"))
    for text, cache in (("1", "ran"), ("1", "hit"), ("2", "ran"), ("1", "hit")):
        bench.write("src/a.c", text)
        verdict = await bench.one(engine, "check")
        assert (verdict.state, verdict.summary, verdict.cache) == ("passed", text, cache)
    assert [state for what, _, state in bench.told if what == "end" and state == "cancelled"] == []


@pytest.mark.parametrize("path", ["src/b.c", "lib/b.h", "src/new/b.c", "src/new"])
async def test_what_was_in_scope_for_a_while_drops_the_run(bench: Bench, path: str) -> None:
    bench.write("src/a.c", "1")
    bench.write("lib/notes", "")
    engine = engine_of(bench, "ls src lib", scope=("src/**/*.c", "*.h"))

    def come_and_go(name: str) -> None:
        bench.on_start = lambda name: None
        folder = bench.root / "src/new"
        if "new" in path:
            folder.mkdir()
        if path != "src/new":
            (bench.root / path).write_text("")
            (bench.root / path).unlink()
        if "new" in path:
            folder.rmdir()

    bench.on_start = come_and_go
    verdict = await bench.one(engine, "check")
    assert verdict.summary == "a.c"
    assert verdict.why.startswith("changed while it ran: ")
    assert path.removesuffix("/b.c") in verdict.why
    assert [state for what, _, state in bench.told if what == "end"] == ["cancelled", "passed"]


async def test_without_a_scope_every_file_counts(bench: Bench) -> None:
    bench.write("a.rs", "1")
    engine = engine_of(bench, "cat a.rs")
    assert (await bench.one(engine, "check")).cache == "ran"
    assert (await bench.one(engine, "check")).cache == "hit"
    bench.write("README.md", "2")
    assert (await bench.one(engine, "check")).why == "new file: README.md"


@pytest.mark.parametrize("path", ["tools/check.sh", "package.json", "sub/Makefile", "node_modules/.package-lock.json"])
async def test_scripts_and_manifests_count_whatever_the_scope(bench: Bench, path: str) -> None:
    bench.write("a.rs", "1")
    bench.write("tools/check.sh", "echo 1")
    bench.write("node_modules/dep/package.json", "1")
    engine = engine_of(bench, "sh tools/check.sh", scope=("*.rs",))
    assert (await bench.one(engine, "check")).cache == "ran"
    bench.write("node_modules/dep/package.json", "2")
    assert (await bench.one(engine, "check")).cache == "hit"
    bench.write(path, "echo 2")
    assert (await bench.one(engine, "check")).cache == "ran"


async def test_what_is_run_counts_and_where_that_cannot_be_told_all_does(bench: Bench) -> None:
    bench.write("a.rs", "1")
    script, other = bench.write("tools/check.sh", "exit 0"), bench.write("README.md", "")
    texts = {"clear": "cd tools && sh check.sh", "unclear": "cat tools/*.sh | sh"}
    made = tuple(ProbeCommand(name=name, command=text, scope=("*.rs",)) for name, text in texts.items())
    engine = bench.engine(performance=PLAIN, ruff=False, pytest=False, commands=made)
    assert [v.cache for v in await engine.verdicts()] == ["ran", "ran"]
    other.write_text("1")
    assert [(v.name, v.cache) for v in await engine.verdicts()] == [("clear", "hit"), ("unclear", "ran")]
    script.write_text("exit 1")
    assert [v.state for v in await engine.verdicts(final=True)] == ["failed", "failed"]


async def test_another_program_is_another_verdict(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench.write("a.rs", "1")
    tool = program(tmp_path / "bin", "tool", "echo old")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    engine = engine_of(bench, "true && tool", scope=("*.rs",))
    assert (await bench.one(engine, "check")).summary == "old"
    seen = tool.stat()
    tool.write_text("#!/bin/sh\necho new\n")
    os.utime(tool, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    miss = await bench.one(engine, "check")
    assert (miss.summary, miss.why) == ("new", "program tool changed")
    program(tmp_path / "before", "tool", "echo shadow")
    monkeypatch.setenv("PATH", f"{tmp_path / 'before'}:{os.environ['PATH']}")
    assert (await bench.one(engine, "check")).summary == "shadow"


@pytest.mark.parametrize("inside", [True, False])
async def test_a_program_in_a_folder_that_the_line_puts_on_the_path(bench: Bench, tmp_path: Path, inside: bool) -> None:
    bench.write("a.rs", "1")
    folder = bench.root / "tools" if inside else tmp_path / "elsewhere"
    program(folder, "my-tool", "echo old")
    engine = engine_of(bench, f"PATH={'tools' if inside else folder}:$PATH my-tool", scope=("*.rs",))
    assert [(await bench.one(engine, "check")).cache for _ in range(2)] == ["ran", "hit"]
    program(folder, "my-tool", "echo new; false")
    verdict = await bench.one(engine, "check")
    assert (verdict.state, verdict.summary) == ("failed", "new")


async def test_a_function_of_the_line_is_no_program_that_is_missing(bench: Bench) -> None:
    engine = engine_of(bench, "look() { echo seen; }; look")
    assert (await bench.one(engine, "check")).summary == "seen"


async def test_variables_count_and_none_of_ours_are_seen(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "secret")
    engine = engine_of(bench, "echo $LANG/$MY_TOKEN")
    monkeypatch.setenv("LANG", "C.UTF-8")
    assert (await bench.one(engine, "check")).summary == "C.UTF-8/"
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    assert (await bench.one(engine, "check")).why == "variable LANG changed"


async def test_the_programs_and_packages_of_the_workspace_are_found(bench: Bench) -> None:
    bench.write("helper.py", "WORD = 'found'\n")
    assert (
        await bench.one(engine_of(bench, "python -c 'import helper; print(helper.WORD)'"), "check")
    ).summary == "found"
    program(bench.root / ".venv", "none", "")
    (bench.root / ".venv/bin").mkdir()
    (bench.root / ".venv/bin/python").symlink_to("/bin/sh")
    program(bench.root / ".venv/bin", "own-tool", "echo own")
    assert (await bench.one(engine_of(bench, "own-tool"), "check")).summary == "own"


async def test_a_write_ends_the_run_and_the_next_is_about_the_new_files(bench: Bench, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    bench.write("a.rs", "old")
    engine = engine_of(bench, f"text=$(cat a.rs); test $text = new || {{ echo > {ready}; sleep {MARK}; }}; echo $text")
    asked = asyncio.create_task(bench.one(engine, "check"))
    await asyncio.to_thread(ready.read_text)
    bench.write("a.rs", "new")
    engine.wrote(("a.rs",))
    assert (await asked).summary == "new"
    assert not bench.running(f"sleep {MARK}")
    assert ("end", "check", "cancelled") in bench.told


@pytest.mark.parametrize(
    ("path", "then"),
    [
        *((name, "passed") for name in ("report.md", "run.log.1", "run.csv")),
        *((name, "failed") for name in ("made.py", "made.py.1", "made.toml")),
    ],
)
async def test_what_our_own_words_go_to_counts_where_it_is_program_text_and_for_other_sessions(
    bench: Bench, tmp_path: Path, path: str, then: str
) -> None:
    made = (ProbeCommand(name="check", command=f"test ! -s {path}"),)
    options: Any = {"store": tmp_path / "store", "ruff": False, "pytest": False, "commands": made}
    with our_words_to(bench.root / path):
        engine = bench.engine(performance=PLAIN, **options)
        for words, state in (("", "passed"), ("words", then)):
            bench.write(path, words)
            assert [v.state for v in await engine.verdicts(final=True)] == [state]
        await engine.close()
        (tmp_path / "store" / "verdicts.json").unlink()
        engine = bench.engine(performance=PLAIN, **options)
        assert (await bench.one(engine, "check")).state == "failed"
        await engine.close()
    (bench.root / path).unlink()
    engine = bench.engine(performance=PLAIN, **options)
    assert (await bench.one(engine, "check")).state == "passed", "a verdict that left it out is none of this session's"


async def test_several_commands_stand_beside_each_other(bench: Bench) -> None:
    bench.write("a.rs", "1")
    commands = (ProbeCommand(name="good", command="true"), ProbeCommand(name="bad", command="echo bad; false"))
    engine = bench.engine(performance=PLAIN, ruff=False, pytest=False, commands=commands)
    assert [(v.name, v.state) for v in await engine.verdicts(final=True)] == [("good", "passed"), ("bad", "failed")]


async def test_commands_are_confined(bench: Bench) -> None:
    secret = Path(os.environ["HOME"], "secret.txt")
    secret.write_text("mine")
    sandbox = await choose_sandbox(bench.root, enabled=True, network=False)
    try:
        assert sandbox.confines
        bench.processes = ProcessRunner(sandbox, bench.root)
        verdict = await bench.one(engine_of(bench, f"echo > {secret.parent}/evil; cat {secret}"), "check")
        assert verdict.state == "failed"
        assert "mine" not in verdict.output
        assert not (secret.parent / "evil").exists()
    finally:
        await sandbox.close()


def test_the_last_line_is_the_last_that_says_something() -> None:
    assert last_line("a\n3 failed\n\n=====\n") == "3 failed"
    assert last_line("---\n") == ""
    assert len(last_line("x" * 1000)) == 200
