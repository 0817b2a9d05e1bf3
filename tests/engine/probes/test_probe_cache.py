from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import shutil
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jetbox.engine.errors import SandboxMissing
from jetbox.engine.options import PerformanceOptions, ProbeOptions
from jetbox.engine.probes import fingerprint
from jetbox.engine.probes.base import Scope, Verdict, Whole
from jetbox.engine.probes.runner import UNKNOWN, ProbeEngine
from jetbox.engine.probes.sessions import Sessions
from jetbox.engine.safety.process import ProcessRunner

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.probes.conftest import Bench
    from jetbox.engine.probes.interpreter import Answers
    from jetbox.engine.probes.snapshot import Snapshot


def content(root: Path) -> str:
    """All that is in a folder, read anew."""
    digest = sha256()
    for path in sorted(root.rglob("*")):
        digest.update(f"{path.relative_to(root)} {path.lstat().st_mode:o} ".encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


class Content(Whole):
    """A probe whose verdict is the content of the folder itself."""

    def __init__(self, root: Path, name: str = "content") -> None:
        self.name = name
        self.root = root
        self.runs = 0
        self.during: Callable[[], object] = lambda: None
        self.hold: asyncio.Event | None = None
        self.scoped = Scope()
        self.state: str = "passed"
        self.failing: tuple[str, ...] = ()
        self.error: Exception | None = None

    async def skip(self, answers: Answers) -> str:
        return ""

    async def scope(self, answers: Answers) -> Scope:
        return self.scoped

    async def run(self, *, behind: bool = False) -> Verdict:
        self.runs += 1
        if self.error is not None:
            raise self.error
        seen = content(self.root)
        self.during()
        if self.hold is not None:
            await self.hold.wait()
        state: Any = "failed" if self.state == "failed" else "passed"
        return Verdict(self.name, state, seen, duration_ns=1_000, failing=self.failing)


async def asked(engine: ProbeEngine) -> Verdict:
    (verdict,) = await engine.verdicts()
    return verdict


async def test_unchanged_files_are_a_hit_that_names_its_key(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Content(bench.root)
    engine = bench.engine(probes=[probe])
    ran = await asked(engine)
    hit = await asked(engine)
    assert (ran.cache, ran.why) == ("ran", "first run")
    assert (hit.cache, hit.key, hit.saved_ns, hit.why) == ("hit", ran.key, 1_000, "")
    assert hit.key
    assert probe.runs == 1
    assert bench.told == [
        ("start", "content", "first run"),
        ("end", "content", "passed"),
        ("end", "content", "passed"),
    ]


async def test_a_miss_says_what_changed(bench: Bench) -> None:
    bench.write("mathx/__init__.py", "1")
    probe = Content(bench.root, "ruff")
    engine = bench.engine(probes=[probe])
    await asked(engine)

    async def why() -> str:
        verdict = await asked(engine)
        assert verdict.cache == "ran"
        return verdict.why

    bench.write("mathx/__init__.py", "2")
    assert await why() == "mathx/__init__.py changed"
    bench.write("a.py", "1")
    bench.write("new/b.py", "1")
    assert await why() == "new files: 2"
    bench.write("ruff.toml", "")
    bench.write("a.py", "2")
    assert await why() == "ruff configuration changed, a.py changed"
    (bench.root / "a.py").unlink()
    assert await why() == "deleted: a.py"
    (bench.root / "new/b.py").chmod(0o755)
    assert await why() == "mode of new/b.py changed"
    probe.scoped = Scope(versions={"python": "3.12"}, environment={"TZ": "UTC"})
    assert await why() == "interpreter changed, variable TZ changed"
    for name in "abcd":
        bench.write(f"{name}.txt", "1")
    await why()
    for name in "abcd":
        bench.write(f"{name}.txt", "2")
    assert await why() == "4 files changed: a.txt, b.txt, c.txt, …"


async def test_what_was_served_is_served_again_until_something_else_is_known(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("a.py", "1")
    probe = Content(bench.root)
    probe.scoped = Scope(outside=())
    engine = bench.engine(probes=[probe])
    assert [(await asked(engine)).cache for _ in range(4)] == ["ran", "hit", "hit", "hit"]
    engine.wrote((".coverage",))  # no part of the files that are looked at
    assert [(await asked(engine)).cache for _ in range(3)] == ["ran", "hit", "hit"]
    probe.scoped = Scope(environment={"LC_SEEN": "1"}, outside=())
    monkeypatch.setenv("LC_SEEN", "1")
    assert [(await asked(engine)).cache for _ in range(3)] == ["ran", "hit", "hit"]
    probe.state, probe.failing = "failed", ("a.py:1:1 E1",)
    bench.write("a.py", "2")
    assert [(await asked(engine)).cache for _ in range(3)] == ["ran", "hit", "hit"]
    bench.write("a.py", "1")
    assert [(await asked(engine)).state for _ in range(2)] == ["passed", "passed"]
    assert probe.runs == 4


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing tells of changes")
@pytest.mark.parametrize("how", ["quick", "slow", "edited"])
async def test_the_gate_looks_at_every_file_once_where_what_else_counts_is_soon_known(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    bench.write("a.py", "1")
    at, looks, edits = 0, list[bool](), list[str]()

    class Slow(Content):
        async def scope(self, answers: Answers) -> Scope:
            nonlocal at
            at += 200_000_000 if how == "slow" else 50_000_000
            if edits:
                bench.write("a.py", edits.pop())
            return Scope(outside=())

    probe = Slow(bench.root)
    engine = bench.engine(probes=[probe])
    assert [(await asked(engine)).cache for _ in range(2)] == ["ran", "hit"]
    now = engine.files.now

    async def look(*, sweep: bool = False) -> Snapshot:
        nonlocal at
        looks.append(sweep)
        at += 100_000_000
        return await now(sweep=sweep)

    monkeypatch.setattr(engine.files, "now", look)
    monkeypatch.setattr("jetbox.engine.probes.settle.monotonic", lambda: at)
    edits += ["2"] if how == "edited" else []
    (verdict,) = await engine.verdicts(final=True)
    assert verdict.summary == content(bench.root)
    if how == "edited":
        assert (verdict.cache, looks[:2]) == ("ran", [True, True])
    else:
        assert (verdict.cache, looks) == ("hit", [True])


@pytest.mark.parametrize("inotify", [True, False])
async def test_what_is_forgotten_while_the_gate_looks_is_not_served(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, inotify: bool
) -> None:
    bench.write("a.py", "1")
    probe = Content(bench.root)
    probe.scoped = Scope(outside=())
    engine = bench.engine(probes=[probe], performance=PerformanceOptions(probe_inotify=inotify))
    assert [(await asked(engine)).cache for _ in range(2)] == ["ran", "hit"]
    now, writes = engine.files.now, [".coverage"]  # no part of the files that are looked at

    async def look(*, sweep: bool = False) -> Snapshot:
        found = await now(sweep=sweep)
        if writes:
            engine.wrote((writes.pop(),))
        return found

    monkeypatch.setattr(engine.files, "now", look)
    (verdict,) = await engine.verdicts(final=True)
    assert (verdict.cache, probe.runs) == ("ran", 2)
    assert (await asked(engine)).cache == "hit"


async def test_what_else_counts_is_asked_again_behind_a_long_look_where_nothing_tells_of_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("a.py", "1")
    probe = Content(bench.root)
    probe.scoped = Scope(versions={"python": "3.11"}, outside=())
    engine = bench.engine(probes=[probe], performance=PerformanceOptions(probe_inotify=False))
    assert [(await asked(engine)).cache for _ in range(2)] == ["ran", "hit"]
    now = engine.files.now

    async def look(*, sweep: bool = False) -> Snapshot:
        found = await now(sweep=sweep)
        probe.scoped = Scope(versions={"python": "3.12"}, outside=())
        return found

    monkeypatch.setattr(engine.files, "now", look)
    monkeypatch.setattr("jetbox.engine.probes.settle.FRESH_NS", 0)
    verdict = await asked(engine)
    assert (verdict.cache, verdict.why) == ("ran", "interpreter changed")


async def test_what_came_and_went_within_a_tick_is_in_no_verdict_that_is_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("a.py", "1")
    probe = Content(bench.root)
    probe.scoped = Scope(outside=())
    engine = bench.engine(probes=[probe], performance=PerformanceOptions(probe_inotify=False))
    monkeypatch.setattr(engine.files, "young_s", lambda: 1e-9)  # somebody else goes on changing files
    assert [(await asked(engine)).cache for _ in range(2)] == ["ran", "ran"]
    monkeypatch.undo()
    assert [(await asked(engine)).cache for _ in range(2)] == ["ran", "hit"]
    bench.write("b.py", "1")
    await engine.files.now()
    assert 0 < engine.files.young_s() <= 0.02


@pytest.mark.parametrize("final", [False, True])
async def test_what_was_given_to_a_work_under_way_is_forgotten_too(bench: Bench, final: bool) -> None:
    bench.write("a.py", "1")
    probe, slow = Content(bench.root), Content(bench.root, "slow")
    engine, slow.hold = bench.engine(probes=[probe, slow]), asyncio.Event()
    engine.wrote(("a.py",))
    engine.start("a file was written")
    while not bench.ended:
        await asyncio.sleep(0)
    assert [verdict.name for verdict in bench.ended] == ["content"]
    engine.wrote((".coverage",))
    slow.hold.set()
    assert [verdict.cache for verdict in await engine.verdicts(final=final)] == ["ran", "ran"]
    assert probe.runs == 2


async def test_touch_and_revert_are_hits(bench: Bench) -> None:
    path = bench.write("a.py", "1")
    probe = Content(bench.root)
    engine = bench.engine(probes=[probe])
    first = await asked(engine)
    os.utime(path)
    assert (await asked(engine)).cache == "hit"
    path.write_text("2")
    assert (await asked(engine)).cache == "ran"
    path.write_text("1")
    back = await asked(engine)
    assert (back.cache, back.summary) == ("hit", first.summary)
    assert probe.runs == 2


async def test_verdict_of_files_that_changed_meanwhile_is_dropped(bench: Bench) -> None:
    path = bench.write("a.py", "1")
    probe = Content(bench.root)

    def once() -> None:
        if probe.runs == 1:
            path.write_text("2")

    probe.during = once
    engine = bench.engine(probes=[probe])
    verdict = await asked(engine)
    assert (verdict.state, verdict.summary) == ("passed", content(bench.root))
    assert probe.runs == 2
    assert [state for kind, _, state in bench.told if kind == "end"] == ["cancelled", "passed"]
    path.write_text("1")
    assert (await asked(engine)).cache == "ran"


async def test_verdict_of_files_that_changed_and_changed_back_is_dropped(bench: Bench) -> None:
    path = bench.write("a.py", "1")
    probe = Content(bench.root)

    def once() -> None:
        if probe.runs == 1:
            path.write_text("2")
            path.write_text("1")

    probe.during = once
    verdict = await asked(bench.engine(probes=[probe]))
    assert (verdict.state, verdict.summary, probe.runs) == ("passed", content(bench.root), 2)
    assert [state for kind, _, state in bench.told if kind == "end"] == ["cancelled", "passed"]


async def test_program_text_that_came_and_went_during_a_run_is_noticed(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Content(bench.root)

    def once() -> None:
        if probe.runs == 1:
            bench.write("conftest.py", "2").unlink()

    probe.during = once
    verdict = await asked(bench.engine(probes=[probe]))
    assert (verdict.state, probe.runs) == ("passed", 2)


async def test_a_data_file_that_came_and_went_during_a_run_is_noticed(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Content(bench.root)

    def once() -> None:
        if probe.runs == 1:
            bench.write("flag.txt", "").unlink()

    probe.during = once
    engine = bench.engine(probes=[probe])
    assert ((await asked(engine)).state, probe.runs) == ("passed", 2)
    assert ((await asked(engine)).cache, probe.runs) == ("hit", 2)


async def test_a_file_that_a_probe_makes_and_removes_each_time_is_its_own(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Content(bench.root)
    probe.during = lambda: bench.write(f"{probe.runs}.db", "").unlink()
    engine = bench.engine(probes=[probe])
    assert ((await asked(engine)).state, probe.runs) == ("passed", 3)
    assert ((await asked(engine)).cache, probe.runs) == ("hit", 3)


async def test_an_edit_of_what_is_named_like_a_file_that_the_probe_writes_is_noticed(bench: Bench) -> None:
    edited = bench.write("data/case2.json", "1")
    probe = Content(bench.root)

    def write() -> None:
        bench.write("data/case1.json", "1")
        if probe.runs == 2:
            edited.write_text("2")

    probe.during = write
    verdict = await asked(bench.engine(probes=[probe]))
    assert (verdict.state, verdict.summary, probe.runs) == ("passed", content(bench.root), 3)


async def test_edits_during_two_runs_are_not_taken_for_the_probes_own(bench: Bench) -> None:
    edited = bench.write("data.json", "0")
    probe = Content(bench.root)
    probe.during = lambda: edited.write_text(str(probe.runs)) if probe.runs < 3 else None
    verdict = await asked(bench.engine(probes=[probe]))
    assert (verdict.state, verdict.summary, probe.runs) == ("passed", content(bench.root), 3)


async def test_an_input_that_is_deleted_is_not_taken_for_what_the_probe_writes(bench: Bench) -> None:
    gone = bench.write("data/case7.json", "1")
    probe = Content(bench.root)

    def write() -> None:
        bench.write(f"data/case1{probe.runs}.json", "1")
        if probe.runs == 2:
            gone.unlink()

    probe.during = write
    verdict = await asked(bench.engine(probes=[probe]))
    assert (verdict.state, probe.runs) == ("passed", 3)
    assert "case7" not in verdict.summary


async def test_what_a_probe_did_once_and_does_no_more_is_somebody_elses(bench: Bench) -> None:
    edited = bench.write("data.json", "0")
    probe = Content(bench.root)
    probe.during = lambda: edited.write_text(str(probe.runs)) if probe.runs != 4 else None
    engine = bench.engine(probes=[probe])
    assert ((await asked(engine)).state, probe.runs) == ("passed", 3)
    assert ((await asked(engine)).state, probe.runs) == ("passed", 4)
    bench.write("a.py", "1")
    assert ((await asked(engine)).state, probe.runs) == ("passed", 7)


async def test_probe_that_writes_the_same_each_time_is_told_and_not_kept(bench: Bench) -> None:
    path = bench.write("made.py", "1")
    probe = Content(bench.root)
    probe.during = lambda: path.write_text("1")
    engine = bench.engine(probes=[probe])
    verdict = await asked(engine)
    assert (verdict.state, probe.runs) == ("passed", 3)
    assert "not kept: it changes made.py" in verdict.why
    assert ((await asked(engine)).cache, probe.runs) == ("ran", 4)


async def test_what_a_command_broke_while_the_baseline_ran_is_not_known_from_before(bench: Bench) -> None:
    path = bench.write("a.py", "1")
    probe = Content(bench.root)

    def once() -> None:
        if probe.runs == 1:
            path.write_text("2")

    probe.during = once
    engine = bench.engine(probes=[probe])
    engine.prepare()
    behind = engine._behind
    assert behind is not None
    await asyncio.wait({behind.task})
    assert probe.runs == 2
    assert not engine._known.has("content")


async def test_what_had_ended_before_the_first_change_is_known_and_what_had_not_is_told(bench: Bench) -> None:
    bench.write("a.py", "1")
    quick, slow = Content(bench.root, "quick"), Content(bench.root, "slow")
    for probe in (quick, slow):
        probe.state, probe.failing = "failed", ("old",)
    slow.hold = asyncio.Event()
    engine = bench.engine(probes=[quick, slow])
    engine.prepare()
    behind = engine._behind
    assert behind is not None
    while "quick" not in behind.work.given:
        await asyncio.sleep(0)
    bench.write("a.py", "2")
    engine.wrote(("a.py",))
    slow.hold.set()
    given = {verdict.name: verdict for verdict in await engine.verdicts()}
    assert given["quick"].known == ("old",)
    assert given["slow"].known == ()
    assert bench.notices == [UNKNOWN]
    await engine.verdicts(final=True)
    assert bench.notices == [UNKNOWN], "told once"


async def test_in_a_tree_too_large_to_prove_nothing_stands_for_later_files(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "MOST_ENTRIES", 1)
    bench.write("a.py", "1")
    bench.write("b.py", "1")
    probe = Content(bench.root)
    engine = bench.engine(probes=[probe])
    engine.start("a write")
    assert engine._ahead is not None
    await engine._ahead.task
    bench.write("a.py", "2")
    assert (await asked(engine)).summary == content(bench.root)
    bench.write("a.py", "3")
    assert [verdict.summary for verdict in await engine.verdicts(final=True)] == [content(bench.root)]


async def test_once_python_is_written_the_server_is_loaded_for_tests_to_come(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = asyncio.Event()

    async def prepare(self: Sessions) -> None:
        loaded.set()

    monkeypatch.setattr(Sessions, "prepare", prepare)
    engine = bench.engine(ruff=False)
    for path, begun in (("notes.txt", False), ("m.py", True)):
        bench.write(path, "")
        engine.wrote((path,))
        engine.start("a write")
        assert [verdict.summary for verdict in await engine.verdicts()] == ["no tests"]
        probe = engine._pytests[0]
        assert (probe._preparing is not None) is begun
    await asyncio.wait_for(loaded.wait(), 120)


async def test_verdicts_of_a_server_that_was_wrong_are_served_no_more(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Content(bench.root)
    engine = bench.engine(probes=[probe])
    wrong = await asked(engine)
    engine._disproved(wrong, await engine.files.now())
    assert (await asked(engine)).cache == "ran"


async def test_files_that_keep_changing_are_an_error(bench: Bench) -> None:
    path = bench.write("a.py", "0")
    probe = Content(bench.root)
    probe.during = lambda: path.write_text(str(probe.runs))
    engine = bench.engine(probes=[probe])
    verdict = await asked(engine)
    assert (verdict.state, verdict.summary) == ("error", "files keep changing while it runs: a.py")
    assert probe.runs == 3


async def test_probe_that_writes_into_the_tree_is_told_and_not_kept(bench: Bench) -> None:
    bench.write("a.py", "0")
    writer = Content(bench.root, "writer")
    reader = Content(bench.root, "reader")
    writer.during = lambda: bench.write(f"out/run-{writer.runs}.log", f"{writer.runs}")
    engine = bench.engine(probes=[reader, writer])
    read, wrote = await engine.verdicts()
    assert (wrote.state, writer.runs) == ("passed", 3)
    assert "not kept: it changes out" in wrote.why
    assert read.summary == content(bench.root)
    again = await engine.verdicts()
    assert (again[1].cache, writer.runs) == ("ran", 4)
    assert again[0].summary == content(bench.root)


async def test_what_failed_to_run_is_not_kept(bench: Bench) -> None:
    bench.write("a.py", "0")
    probe = Content(bench.root)
    engine = bench.engine(probes=[probe])
    probe.error = OSError(11, "Resource temporarily unavailable")
    verdict = await asked(engine)
    assert (verdict.state, verdict.summary) == ("error", "it cannot be started: Resource temporarily unavailable")
    probe.error = SandboxMissing("no sandbox works here", "install bubblewrap")
    verdict = await asked(engine)
    assert (verdict.summary, verdict.why) == (
        "no sandbox works here; install bubblewrap",
        "the last verdict was not kept: error",
    )
    probe.error = None
    assert (await asked(engine)).state == "passed"


async def test_cache_can_be_switched_off(bench: Bench) -> None:
    probe = Content(bench.root)
    engine = bench.engine(probes=[probe], performance=PerformanceOptions(probe_cache=False))
    assert [(await asked(engine)).cache for _ in range(2)] == ["ran", "ran"]


async def test_only_the_latest_fifty_states_are_kept(bench: Bench) -> None:
    path = bench.write("a.py", "0")
    engine = bench.engine(probes=[Content(bench.root)])
    for n in range(51):
        path.write_text(str(n))
        await asked(engine)
    path.write_text("1")
    assert (await asked(engine)).cache == "hit"
    path.write_text("0")
    assert (await asked(engine)).cache == "ran"


async def started(bench: Bench, number: int) -> None:
    """Wait until so many runs have begun."""
    enough = asyncio.Event()

    def count(name: str) -> None:
        if sum(kind == "start" for kind, _, _ in bench.told) >= number:
            enough.set()

    bench.on_start = count
    count("")
    await enough.wait()


async def test_probes_run_side_by_side_or_one_after_the_other(bench: Bench) -> None:
    bench.write("a.py", "0")
    probes = [Content(bench.root, "one"), Content(bench.root, "two")]
    for probe in probes:
        probe.hold = asyncio.Event()
    engine = bench.engine(probes=probes)
    task = asyncio.create_task(engine.verdicts())
    await started(bench, 2)
    for probe in probes:
        assert probe.hold is not None
        probe.hold.set()
    await task
    bench.told.clear()
    engine = bench.engine(probes=probes, performance=PerformanceOptions(probe_parallel=False))
    await engine.verdicts()
    assert [(kind, name) for kind, name, _ in bench.told] == [
        ("start", "one"),
        ("end", "one"),
        ("start", "two"),
        ("end", "two"),
    ]


async def test_a_write_ends_the_run_that_it_outdates(bench: Bench) -> None:
    path = bench.write("a.py", "1")
    probe = Content(bench.root)
    probe.hold = asyncio.Event()
    engine = bench.engine(probes=[probe])
    engine.start("round 1")
    await started(bench, 1)
    path.write_text("2")
    engine.wrote(("a.py",))
    await started(bench, 2)
    probe.hold.set()
    verdict = await asked(engine)
    assert (verdict.cache, verdict.summary) == ("ran", content(bench.root))
    states = [state for kind, _, state in bench.told if kind == "end"]
    assert states == ["cancelled", "passed"]


async def test_early_verdict_is_checked_before_it_is_given(bench: Bench) -> None:
    path = bench.write("a.py", "1")
    probe = Content(bench.root)
    probe.hold = asyncio.Event()
    engine = bench.engine(probes=[probe])
    engine.start("round 1")
    await started(bench, 1)
    probe.hold.set()
    assert (await asked(engine)).cache == "ran"
    assert probe.runs == 1
    assert len(bench.told) == 2
    path.write_text("2")
    assert (await asked(engine)).summary == content(bench.root)


async def test_cancelled_and_closed_engines_leave_no_run_behind(bench: Bench) -> None:
    bench.write("a.py", "1")
    probe = Content(bench.root)
    probe.hold = asyncio.Event()
    engine = bench.engine(probes=[probe])
    task = asyncio.create_task(engine.verdicts())
    await started(bench, 1)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert bench.told[-1] == ("end", "content", "cancelled")
    engine.start("again")
    await started(bench, 2)
    await engine.close()
    assert bench.told[-1] == ("end", "content", "cancelled")
    assert await engine.verdicts() == []


async def test_switched_off_probes_give_no_verdict(bench: Bench) -> None:
    bench.write("test_a.py", "def test_a():\n    assert 0\n")
    assert await bench.engine(enabled=False).verdicts() == []
    assert [v.name for v in await bench.engine(ruff=False).verdicts()] == ["pytest"]


PATHS = ["a.py", "b.py", "d/a.py", "d/c.py", "e/f/g.txt"]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(PATHS), st.sampled_from(["1", "2", "33"])),
        st.tuples(st.just("back"), st.sampled_from(PATHS), st.sampled_from(["1", "2", "33"])),
        st.tuples(st.just("rename"), st.sampled_from(PATHS), st.sampled_from(PATHS)),
        st.tuples(st.just("delete"), st.sampled_from([*PATHS, "d", "e"]), st.just("")),
        st.tuples(st.just("mode"), st.sampled_from(PATHS), st.sampled_from(["644", "755"])),
        st.tuples(st.just("swap"), st.sampled_from(["d", "e"]), st.just("")),
        st.tuples(st.sampled_from(["ask", "start", "wrote", "turn"]), st.just(""), st.just("")),
    ),
    min_size=4,
    max_size=30,
)


def step(root: Path, what: str, name: str, value: str) -> None:
    path = root / name
    with contextlib.suppress(OSError):
        if what == "write":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(value)
        elif what == "back":
            seen = path.stat()
            path.write_text(value)
            os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        elif what == "rename":
            path.rename(root / value)
        elif what == "delete":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif what == "mode":
            path.chmod(int(value, 8))
        elif what == "swap":
            path.rename(root / "kept")
            (root / "kept").rename(root / f"{name}2")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_no_interleaving_of_changes_and_questions_gives_a_stale_verdict(steps: list[tuple[str, str, str]]) -> None:
    async def play(root: Path) -> None:
        engine = ProbeEngine(
            root,
            ProcessRunner.__new__(ProcessRunner),
            ProbeOptions(),
            PerformanceOptions(),
            on_start=lambda name, why: None,
            on_end=lambda verdict: None,
            probes=[Content(root)],
        )
        for what, name, value in [*steps, ("ask", "", ""), ("ask", "", "")]:
            if what == "ask":
                verdict = await asked(engine)
                assert verdict.summary == content(root), verdict
            elif what == "start":
                engine.start("test")
            elif what == "wrote":
                engine.wrote(("a.py",))
            elif what == "turn":
                await asyncio.sleep(0)
            else:
                step(root, what, name, value)
        assert verdict.cache == "hit"
        await engine.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder)))


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: elsewhere every look is a sweep")
@pytest.mark.parametrize("how", ["memory map", "hard link"])
async def test_fresh_stores_through_a_memory_map_and_writes_through_a_new_hard_link_are_seen_before_done(
    bench: Bench, tmp_path: Path, how: str
) -> None:
    path = bench.write("m.py", "x = 1\n" + "#" * 4096)
    other = tmp_path / "elsewhere.py"
    engine = bench.engine(pytest=False)
    assert [verdict.state for verdict in await engine.verdicts(final=True)] == ["passed"]
    assert engine.files.how.startswith("inotify")
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        if how == "memory map":
            memory[:7] = b"import "
        else:
            os.link(path, other)
            other.write_bytes(b"import " + path.read_bytes()[7:])
        (gate,) = await engine.verdicts(final=True)
        assert gate.state == "failed", gate
        memory[:6] = b"x = 1\n"
        (gate,) = await engine.verdicts(final=True)
        assert gate.state == "passed", gate
