"""What a verdict depends on besides the files: a hit is decided without asking, and none outlives a change."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from jetbox.engine.options import PerformanceOptions, ProbeCommand
from jetbox.engine.probes.base import Scope, Verdict, Whole
from jetbox.engine.probes.installed import Installed, installed
from jetbox.engine.probes.interpreter import Answers, Facts, Interpreter, Interpreters
from jetbox.engine.probes.pytest import PytestProbe
from jetbox.engine.probes.runner import ProbeEngine
from jetbox.engine.probes.sessions import Ended, Sessions
from jetbox.engine.probes.zygote import Said

if TYPE_CHECKING:
    from engine.probes.conftest import Bench

PLAIN = PerformanceOptions(probe_early=False, probe_baseline=False, pytest_server=False, affected_first=False)


class Asked:
    """Counts how often interpreters are asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        facts = Interpreters.facts

        async def counted(interpreters: Interpreters, interpreter: Interpreter, answers: Answers) -> Facts:
            self.times += 1
            return await facts(interpreters, interpreter, answers)

        monkeypatch.setattr(Interpreters, "facts", counted)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every session of pytest is green as soon as it is begun: whether one is made is decided before."""

    async def run(sessions: Sessions, files: tuple[str, ...], *, behind: bool = False) -> Ended:
        return Ended("exited", 0, "", 1, Said(code=0, finished=True, counts={"passed": 1}))

    monkeypatch.setattr(Sessions, "run", run)


class Place:
    """A workspace with an environment of its own, an editable package elsewhere, and one test."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.home = bench.root.parent
        self.environment = bench.root / ".venv"
        venv.create(self.environment, with_pip=False, symlinks=True)
        self.packages = next((self.environment / "lib").glob("python*/site-packages"))
        (self.packages / "base.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        self.package("old")
        self.editable = self.home / "editable" / "src"
        (self.editable / "shared" / "deep").mkdir(parents=True)
        (self.editable / "shared" / "deep" / "m.py").write_text("V = 1\n")
        (self.packages / "editable.pth").write_text(f"{self.editable}\n")
        python = self.environment / "bin" / "python"
        self.turning = self.home / "turning"
        self.turning.symlink_to(os.path.realpath(python))
        python.unlink()
        python.symlink_to(self.turning)
        bench.write("test_one.py", "def test_one():\n    assert True\n")

    def package(self, name: str) -> None:
        (self.packages / name).mkdir()
        (self.packages / name / "__init__.py").write_text("")
        (self.packages / f"{name}-1.0.dist-info").mkdir()

    def install(self) -> None:
        self.package("new")

    def uninstall(self) -> None:
        shutil.rmtree(self.packages / "old")
        shutil.rmtree(self.packages / "old-1.0.dist-info")

    def grow(self) -> None:
        (self.packages / "old" / "more.py").write_text("")

    def edit(self) -> None:
        (self.editable / "shared" / "deep" / "m.py").write_text("V = 2  # edited\n")

    def new_folder(self) -> None:
        (self.editable / "other").mkdir()
        (self.editable / "other" / "n.py").write_text("")

    def lead_elsewhere(self) -> None:
        other = self.home / "other"
        other.mkdir()
        (self.packages / "editable.pth").write_text(f"{other}\n")

    def replace(self) -> None:
        copy = self.home / "copy"
        shutil.copy(os.path.realpath(sys.executable), copy)
        self.turning.unlink()
        self.turning.symlink_to(copy)

    def configure(self) -> None:
        mark = self.environment / "pyvenv.cfg"
        mark.write_text(mark.read_text() + "prompt = other\n")


async def one(engine: ProbeEngine) -> Verdict:
    (verdict,) = await engine.verdicts()
    return verdict


async def hits(engine: ProbeEngine, asked: Asked) -> None:
    """Served again and again, and no interpreter is asked for it."""
    assert (await one(engine)).cache == "hit"
    before = asked.times
    for _ in range(3):
        assert (await one(engine)).cache == "hit"
    assert asked.times == before


INSIDE: dict[Callable[[Place], None], str] = {
    Place.install: "installed packages changed",
    Place.grow: "installed packages changed",
    Place.uninstall: "installed packages changed",
    Place.configure: "",
}
OUTSIDE: dict[Callable[[Place], None], str] = {
    Place.edit: "editable/src changed",
    Place.new_folder: "editable/src changed",
    Place.lead_elsewhere: "installed packages changed",
    Place.replace: "",
}


@pytest.mark.parametrize("changes", [INSIDE, OUTSIDE], ids=["inside", "outside"])
async def test_tests_run_again_where_the_interpreter_is_not_what_it_was(
    bench: Bench, asked: Asked, changes: dict[Callable[[Place], None], str]
) -> None:
    place = Place(bench)
    engine = bench.engine(performance=PLAIN, ruff=False)
    assert (await one(engine)).state == "passed"
    await hits(engine, asked)
    for change, why in changes.items():
        before = asked.times
        change(place)
        verdict = await one(engine)
        assert asked.times > before, change
        if why:
            assert (verdict.state, verdict.cache) == ("passed", "ran"), change
            assert why in verdict.why, change
        await hits(engine, asked)


@pytest.mark.usefixtures("at_once")
async def test_an_interpreter_that_is_another_is_a_miss(bench: Bench, asked: Asked) -> None:
    place = Place(bench)
    engine = bench.engine(performance=PLAIN, ruff=False)
    await one(engine)
    await hits(engine, asked)
    python = place.environment / "bin" / "python"
    python.unlink()
    verdict = await one(engine)
    assert (verdict.state, verdict.cache) == ("passed", "ran")
    assert "interpreter changed" in verdict.why
    await hits(engine, asked)
    python.symlink_to(place.turning)
    assert (await one(engine)).cache == "hit"


@pytest.mark.usefixtures("at_once")
async def test_pytest_that_is_removed_and_comes_back(bench: Bench, asked: Asked) -> None:
    place = Place(bench)
    engine = bench.engine(performance=PLAIN, ruff=False)
    await one(engine)
    await hits(engine, asked)
    way = place.packages / "base.pth"
    way.rename(place.home / "base.pth")
    verdict = await one(engine)
    assert (verdict.state, verdict.summary.partition(";")[0]) == ("skipped", ".venv/bin/python has no pytest")
    before = asked.times
    assert (await one(engine)).state == "skipped"
    assert asked.times == before
    (place.home / "base.pth").rename(way)
    assert (await one(engine)).state == "passed"


@pytest.mark.usefixtures("at_once")
async def test_what_a_path_file_came_to_name_is_noticed_too(bench: Bench, asked: Asked) -> None:
    place = Place(bench)
    engine = bench.engine(performance=PLAIN, ruff=False)
    await one(engine)
    place.lead_elsewhere()
    await one(engine)
    await hits(engine, asked)
    (place.home / "other" / "late.py").write_text("V = 1\n")
    assert (await one(engine)).why == f"folder {place.home / 'other'} changed"
    (place.editable / "shared" / "deep" / "m.py").write_text("V = 3\n")
    assert (await one(engine)).cache == "hit"


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"pytest.ini": "[pytest]\npythonpath = src ../elsewhere\n"}, "../elsewhere/lib.py"),
        ({"../tox.ini": "[pytest]\npythonpath = elsewhere\n"}, "../elsewhere/sub/lib.py"),
        ({"pyproject.toml": "[tool.pytest.ini_options]\ntestpaths = ['.', '../el*']\n"}, "../elsewhere/test_b.py"),
    ],
    ids=["modules", "configured above", "tests"],
)
async def test_places_elsewhere_that_the_configuration_names_count(
    bench: Bench, asked: Asked, settings: dict[str, str], named: str
) -> None:
    for path, text in settings.items():
        bench.write(path, text)
    bench.write("test_a.py", "def test_a():\n    pass\n")
    engine = bench.engine(ruff=False, performance=PLAIN)
    for text in ("X = 1\n", "X = 2\n", "X = 3\n"):
        bench.write(named, text)
        assert (await one(engine)).cache == "ran"
        await hits(engine, asked)


async def test_a_path_that_is_a_link_and_turns(bench: Bench, asked: Asked) -> None:
    place = Place(bench)
    for name in ("one", "two"):
        (place.home / name).mkdir()
        (place.home / name / "m.py").write_text(f"V = {name!r}\n")
    link = place.home / "link"
    link.symlink_to(place.home / "one")
    (place.packages / "link.pth").write_text(f"{link}\n")
    (place.packages / "linked").symlink_to(place.home / "one")
    engine = bench.engine(performance=PLAIN, ruff=False)
    await one(engine)
    await hits(engine, asked)
    link.unlink()
    link.symlink_to(place.home / "two")
    assert (await one(engine)).cache == "ran"
    await hits(engine, asked)
    for name in ("two", "one"):
        (place.home / name / "m.py").write_text("V = 'other'\n")
        assert (await one(engine)).why == f"folder {place.home / name} changed"


@pytest.mark.usefixtures("at_once")
async def test_a_variable_that_changes_is_a_miss(bench: Bench, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    Place(bench)
    monkeypatch.setenv("TZ", "UTC")
    engine = bench.engine(performance=PLAIN, ruff=False)
    await one(engine)
    await hits(engine, asked)
    monkeypatch.setenv("TZ", "Europe/Vienna")
    verdict = await one(engine)
    assert (verdict.cache, verdict.why) == ("ran", "variable TZ changed")
    monkeypatch.setenv("TZ", "UTC")
    assert (await one(engine)).cache == "hit"


@pytest.mark.usefixtures("at_once")
async def test_a_verdict_begun_early_does_not_outlive_an_install(bench: Bench) -> None:
    place = Place(bench)
    performance = PerformanceOptions(probe_baseline=False, pytest_server=False, affected_first=False)
    engine = bench.engine(performance=performance, ruff=False)
    engine.start("a write")
    assert engine._ahead is not None
    await engine._ahead.task
    assert [verdict.state for verdict in bench.ended] == ["passed"]
    place.package("new")
    verdict = await one(engine)
    assert (verdict.cache, verdict.why) == ("ran", "installed packages changed")


@pytest.mark.usefixtures("at_once")
async def test_an_install_while_tests_run_drops_their_verdict(bench: Bench) -> None:
    place = Place(bench)
    engine = bench.engine(performance=PLAIN, ruff=False)
    names = iter(("new", "newer", "newest"))

    def install(probe: str) -> None:
        if name := next(names, ""):
            place.package(name)

    bench.on_start = install
    verdict = await one(engine)
    # Its own doing, for all that is known, where it happens each time; not kept then.
    assert [ended.state for ended in bench.ended] == ["cancelled", "cancelled", "passed"]
    assert verdict.state == "passed"
    assert (await one(engine)).cache == "ran"
    assert (await one(engine)).cache == "hit"


MOVING = """\
from pathlib import Path

FLAG = Path({flag!r})
if FLAG.exists():
    FLAG.unlink()
    bad = Path("m.py").read_text()
    Path("m.py").write_text("def f():\\n    return 1\\n")
    from m import f

    Path("m.py").write_text(bad)
else:
    from m import f


def test_f():
    assert f() == 1
"""


async def test_an_early_verdict_on_files_that_moved_is_not_remembered(bench: Bench) -> None:
    flag = bench.root.parent / "flag"
    bench.write("m.py", "def f():\n    return 1\n")
    # While the flag is there, a run finds another text than it began with, which is there again at its end.
    bench.write("test_m.py", MOVING.format(flag=str(flag)))
    for n in range(5):
        bench.write(f"test_{n}.py", "def test_n():\n    assert True\n")
    engine = bench.engine(performance=PerformanceOptions(probe_early=False, probe_baseline=False), ruff=False)
    assert (await one(engine)).state == "passed"
    flag.touch()
    bench.write("m.py", "def f():\n    return 22\n")
    verdict = await one(engine)
    assert (verdict.state, verdict.cache) == ("failed", "partial")
    assert [(ended.state, ended.cache) for ended in bench.ended] == [
        ("passed", "ran"),
        ("cancelled", "partial"),
        ("failed", "partial"),
    ]
    # This one is remembered.
    (probe,) = engine.probes
    assert isinstance(probe, PytestProbe)
    front = probe.sessions._front
    assert front is not None
    runs = front._number
    assert (await one(engine)).state == "failed"
    assert front._number == runs


def command_engine(bench: Bench, command: str | tuple[str, ...]) -> ProbeEngine:
    made = ProbeCommand(name="check", command=command)
    return bench.engine(performance=PLAIN, ruff=False, pytest=False, commands=(made,))


def program(path: Path, words: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {words}\n")
    path.chmod(0o755)


async def test_programs_of_a_command(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    home = bench.root.parent
    program(home / "late" / "tool", "one")
    program(home / "late" / "target", "linked")
    (home / "early").mkdir()
    monkeypatch.setenv("PATH", f"{home / 'early'}:{home / 'late'}:{home / 'none'}:/usr/bin:/bin")
    engine = command_engine(bench, "tool && true")

    async def said(words: str) -> None:
        assert (await one(engine)).summary == words
        assert (await one(engine)).cache == "hit"

    await said("one")
    program(home / "late" / "tool", "two")
    await said("two")
    program(home / "early" / "tool", "before")
    await said("before")
    (home / "early" / "tool").chmod(0o644)
    await said("two")
    (home / "early").rename(home / "away")
    (home / "late" / "tool").unlink()
    assert (await one(engine)).state == "skipped"
    (home / "late" / "tool").symlink_to("target")
    await said("linked")
    program(home / "late" / "target", "linked elsewhere")
    await said("linked elsewhere")
    (home / "late" / "tool").unlink()
    program(home / "none" / "tool", "at last")
    await said("at last")


async def test_packages_of_a_program_beside_the_interpreter(bench: Bench, asked: Asked) -> None:
    place = Place(bench)
    engine = command_engine(bench, ("python", "-c", "import shared.deep.m as m; print(m.V)"))
    assert (await one(engine)).summary == "1"
    await hits(engine, asked)
    place.edit()
    assert (await one(engine)).summary == "2"
    await hits(engine, asked)
    place.install()
    assert (await one(engine)).why == "installed packages changed"


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("how", ["inotify", "sweep"])
async def test_a_look_up_asks_the_interpreter_once_and_the_next_one_asks_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    place, looks = Place(bench), list[tuple[str, ...]]()

    def counted(folders: tuple[str, ...], known: Installed | None = None) -> Installed:
        looks.append(folders)
        return installed(folders, known)

    performance = msgspec.structs.replace(PLAIN, probe_inotify=how == "inotify")
    command = ProbeCommand(name="check", command=("python", "-c", "print(1)"))
    engine = bench.engine(performance=performance, ruff=False, commands=(command,))
    assert [verdict.state for verdict in await engine.verdicts(final=True)] == ["passed", "passed"]
    monkeypatch.setattr("jetbox.engine.probes.interpreter.installed", counted)
    monkeypatch.setattr("jetbox.engine.probes.settle.FRESH_NS", 1 << 60)
    for final in (True, True) if how == "inotify" else (True, False):
        looks.clear()
        assert [verdict.cache for verdict in await engine.verdicts(final=final)] == ["hit", "hit"]
        assert len(looks) == 1
    # Where nothing tells of what is outside, a long look at the files has another one behind it.
    monkeypatch.setattr("jetbox.engine.probes.settle.FRESH_NS", 0)
    looks.clear()
    assert [verdict.cache for verdict in await engine.verdicts(final=True)] == ["hit", "hit"]
    assert len(looks) == (1 if how == "inotify" else 2)
    place.install()
    verdicts = await engine.verdicts(final=True)
    assert [verdict.why for verdict in verdicts] == ["installed packages changed"] * 2


class Elsewhere(Whole):
    """A probe whose scope names a folder."""

    name = "elsewhere"

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.value = "1"
        self.asked = 0

    async def skip(self, answers: Answers) -> str:
        return ""

    async def scope(self, answers: Answers) -> Scope:
        self.asked += 1
        return Scope((self.value,), outside=(self.folder,))

    async def run(self, *, behind: bool = False) -> Verdict:
        return Verdict(self.name, "passed", self.value)


@pytest.mark.parametrize("how", ["nothing tells of it", "it is told"])
async def test_a_folder_of_which_nothing_is_told_is_asked_for_each_time(bench: Bench, how: str) -> None:
    told = how == "it is told"
    if told:
        (bench.root.parent / "folder").mkdir()
    probe = Elsewhere(str(bench.root.parent / "folder") if told else "/proc/sys/kernel")
    engine = bench.engine(performance=PLAIN, probes=[probe])
    await one(engine)
    assert (await one(engine)).cache == "hit"
    before = probe.asked
    probe.value = "2"
    verdict = await one(engine)
    assert (verdict.summary, verdict.cache) == (("1", "hit") if told else ("2", "ran"))
    assert (probe.asked > before) is not told
    # At the gate nothing is taken from before.
    (verdict,) = await engine.verdicts(final=True)
    assert verdict.summary == "2"
