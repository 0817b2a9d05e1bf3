from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from jetbox.cli import probe as probe_command
from jetbox.engine.options import PerformanceOptions, ProbeOptions
from jetbox.engine.probes.base import Scope, Verdict, Whole
from jetbox.engine.probes.cache import KEPT, VerdictCache
from jetbox.engine.probes.fingerprint import Snapshot, Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.judging import last_error
from jetbox.engine.probes.reasons import explained
from jetbox.engine.probes.runner import ProbeEngine
from jetbox.engine.probes.verdicts import AGE_S, BYTES, FILE, OF_ONE
from jetbox.ui.verdicts import came

if TYPE_CHECKING:
    from engine.probes.conftest import Bench
    from jetbox.engine.probes.interpreter import Answers

SCOPE = Scope(("-q",), {"ruff": "1", "python": "3.12"}, {"TZ": "UTC", "TOKENISH": "s3cr3t-value"})
FILE_MODE = stat.S_IFREG | 0o644


def files(**content: str) -> Snapshot:
    """A state of the files `a.py`, `b.py` and so on."""
    listed = {f"{name}.py": (FILE_MODE, text) for name, text in content.items()}
    return Snapshot(repr(sorted(listed.items())), listed)


def verdict(summary: str = "ok", output: str = "") -> Verdict:
    return Verdict("ruff", "passed", summary, output, duration_ns=7, key="k")


async def kept(store: Path, *states: Snapshot, output: str = "") -> VerdictCache:
    cache = VerdictCache(store)
    for state in states:
        cache.put("ruff", state, SCOPE, verdict(output=output))
        cache.judged("ruff", state, SCOPE, "passed")
    assert await cache.save()
    return cache


async def later(store: Path) -> VerdictCache:
    cache = VerdictCache(store)
    await cache.load()
    return cache


async def test_a_later_process_serves_the_verdict_of_equal_content(tmp_path: Path) -> None:
    await kept(tmp_path, files(a="1"))
    cache = await later(tmp_path)
    hit = cache.get("ruff", files(a="1"), SCOPE)
    assert hit is not None
    assert (hit.state, hit.cache, hit.saved_ns, hit.summary) == ("passed", "hit", 7, "ok")
    assert cache.get("ruff", files(a="2"), SCOPE) is None
    assert cache.get("ruff", files(a="1"), Scope(("-q",), {"ruff": "2"})) is None
    assert cache.get("pytest", files(a="1"), SCOPE) is None


async def test_a_later_process_says_what_changed_since_the_last_verdict(tmp_path: Path) -> None:
    await kept(tmp_path, files(a="1", b="1"))
    cache = await later(tmp_path)
    assert cache.why("ruff", files(a="1", b="2"), SCOPE) == "b.py changed"
    other = Scope(("-q",), {"ruff": "1", "python": "3.13"}, {"TZ": "UTC", "TOKENISH": "another"})
    assert cache.why("ruff", files(a="1", b="1"), other) == "interpreter changed, variable TOKENISH changed"
    assert cache.why("pytest", files(a="1"), SCOPE) == "first run"


async def test_values_of_variables_are_not_on_the_disk_and_the_file_is_the_owners(tmp_path: Path) -> None:
    await kept(tmp_path / "deep" / "store", files(a="1"))
    path = tmp_path / "deep" / "store" / FILE
    assert "s3cr3t" not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == [FILE]


async def test_text_is_redacted_before_it_is_kept(tmp_path: Path) -> None:
    cache = VerdictCache(tmp_path, redact=lambda text: text.replace("hunter2", "***"))
    cache.put("ruff", files(a="1"), SCOPE, verdict("said hunter2", output="hunter2\n"))
    assert await cache.save()
    assert "hunter2" not in (tmp_path / FILE).read_text()
    hit = (await later(tmp_path)).get("ruff", files(a="1"), SCOPE)
    assert hit is not None
    assert (hit.summary, hit.output) == ("said ***", "***\n")


@pytest.mark.parametrize("change", [{"durable": False}, {"proved": False}, {"cache": "partial"}, {"state": "timeout"}])
async def test_what_is_no_proved_whole_verdict_is_not_kept(tmp_path: Path, change: dict[str, object]) -> None:
    cache = VerdictCache(tmp_path)
    cache.put("ruff", files(a="1"), SCOPE, msgspec.structs.replace(verdict(), **change))
    assert await cache.save()
    assert (await later(tmp_path)).get("ruff", files(a="1"), SCOPE) is None


async def test_damaged_and_foreign_files_are_read_as_nothing(tmp_path: Path) -> None:
    await kept(tmp_path, files(a="1"))
    path = tmp_path / FILE
    good = path.read_bytes()
    said = json.loads(good)
    bad = [
        b"",
        good[: len(good) // 2],
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 100_000,
        json.dumps({**said, "format": said["format"] + 1}).encode(),
        json.dumps({**said, "made_by": "0.0.0"}).encode(),
        json.dumps({**said, "machine": "another"}).encode(),
        json.dumps({**said, "probes": [{**said["probes"][0], "verdicts": [{"key": 3}]}]}).encode(),
    ]
    for data in bad:
        path.write_bytes(data)
        cache = await later(tmp_path)
        assert cache.get("ruff", files(a="1"), SCOPE) is None, data[:80]
        assert cache.why("ruff", files(a="1"), SCOPE) == "first run"
    path.write_bytes(good)
    assert (await later(tmp_path)).get("ruff", files(a="1"), SCOPE) is not None


@pytest.mark.parametrize("moved", [AGE_S + 60, -3600.0], ids=["old", "clock set back"])
async def test_old_verdicts_and_those_of_the_future_are_found_out_anew(tmp_path: Path, moved: float) -> None:
    now = 1_800_000_000.0
    cache = VerdictCache(tmp_path, wall=lambda: now)
    cache.put("ruff", files(a="1"), SCOPE, verdict())
    assert await cache.save()
    cache = VerdictCache(tmp_path, wall=lambda: now + moved)
    await cache.load()
    assert cache.get("ruff", files(a="1"), SCOPE) is None


async def test_what_is_kept_is_bounded_and_the_newest_stay(tmp_path: Path) -> None:
    states = [files(a=str(n)) for n in range(KEPT + 10)]
    await kept(tmp_path, *states)
    cache = await later(tmp_path)
    assert [cache.get("ruff", state, SCOPE) is not None for state in states[-OF_ONE - 1 :]] == [False] + [True] * OF_ONE
    await kept(tmp_path / "large", *states, output="x" * (BYTES // 4))
    assert (tmp_path / "large" / FILE).stat().st_size < 2 * BYTES
    cache = await later(tmp_path / "large")
    assert cache.get("ruff", states[-1], SCOPE) is not None
    assert cache.get("ruff", states[-9], SCOPE) is None


async def test_two_processes_keep_both_their_verdicts(tmp_path: Path) -> None:
    one, two = await later(tmp_path), await later(tmp_path)
    one.put("ruff", files(a="1"), SCOPE, verdict())
    two.put("ruff", files(a="2"), SCOPE, verdict())
    assert await one.save()
    assert await two.save()
    cache = await later(tmp_path)
    assert cache.get("ruff", files(a="1"), SCOPE) is not None
    assert cache.get("ruff", files(a="2"), SCOPE) is not None


async def test_what_was_forgotten_is_served_by_no_later_process(tmp_path: Path) -> None:
    cache = await kept(tmp_path, files(a="1"))
    cache.forget()
    assert cache.get("ruff", files(a="1"), SCOPE) is None
    assert (await later(tmp_path)).get("ruff", files(a="1"), SCOPE) is None
    cache.put("ruff", files(a="2"), SCOPE, verdict())
    assert await cache.save()
    cache = await later(tmp_path)
    assert cache.get("ruff", files(a="1"), SCOPE) is None
    assert cache.get("ruff", files(a="2"), SCOPE) is not None


async def test_a_store_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = VerdictCache(tmp_path / "file" / "below")
    await cache.load()
    cache.put("ruff", files(a="1"), SCOPE, verdict())
    assert await cache.save() is False
    assert cache.get("ruff", files(a="1"), SCOPE) is not None
    cache.forget()


async def test_names_that_are_no_text_cost_the_list_and_not_the_verdict(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    root.mkdir()
    (root / os.fsdecode(b"caf\xe9.py")).write_text("1")
    state = await Tree(root, out_of_scope).sweep()
    await kept(tmp_path / "store", state)
    cache = await later(tmp_path / "store")
    assert cache.get("ruff", state, SCOPE) is not None
    assert cache.why("ruff", files(a="1"), SCOPE) == "files changed"


async def test_a_save_without_news_does_not_touch_the_file(tmp_path: Path) -> None:
    cache = await kept(tmp_path, files(a="1"))
    (tmp_path / FILE).unlink()
    assert await cache.save()
    assert not (tmp_path / FILE).exists()


def test_a_miss_names_who_and_when() -> None:
    now = [0]
    cache = VerdictCache(clock=lambda: now[0])
    cache.judged("pytest", files(a="1", b="1"), SCOPE, "passed")

    def why(state: Snapshot) -> str:
        return cache.why("pytest", state, SCOPE)

    cache.heard(["a.py"], "you")
    now[0] = 3_400_000_000
    assert why(files(a="2", b="1")) == "a.py changed by you 3 s ago"
    assert why(files(a="2", b="2")) == "2 files changed: a.py, b.py"
    cache.heard(["b.py"], "git")
    assert why(files(a="2", b="2")) == "2 files changed: a.py, b.py"
    cache.heard(["a.py"], "git")
    assert why(files(a="2", b="2")) == "2 files changed by git just now: a.py, b.py"
    now[0] += 100_000_000_000
    assert why(files(a="1")) == "deleted: b.py, by git 100 s ago"
    cache.heard(["c.py"], "agent")
    assert why(files(a="1", b="1", c="1")) == "new file: c.py, by the agent just now"


def test_a_miss_names_nobody_for_what_was_judged_since() -> None:
    now = [0]
    cache = VerdictCache(clock=lambda: now[0])
    cache.heard(["a.py"], "git")
    now[0] = 4_000_000_000
    cache.judged("pytest", files(a="1"), SCOPE, "passed")
    assert cache.why("pytest", files(a="2"), SCOPE) == "a.py changed"
    cache.heard(["a.py"], "you")
    assert cache.why("pytest", files(a="2"), SCOPE) == "a.py changed by you just now"


class Counting(Whole):
    """Counts its runs; passes."""

    def __init__(self) -> None:
        self.name = "pytest"
        self.runs = 0

    async def skip(self, answers: Answers) -> str:
        return ""

    async def scope(self, answers: Answers) -> Scope:
        return SCOPE

    async def run(self, *, behind: bool = False) -> Verdict:
        self.runs += 1
        return Verdict(self.name, "passed", "3 passed", duration_ns=64_000_000)


async def test_engines_one_after_another_share_their_verdicts(bench: Bench, tmp_path: Path) -> None:
    bench.write("a.py", "1")
    probe = Counting()

    async def judge() -> Verdict:
        engine = ProbeEngine(
            bench.root,
            bench.processes,
            ProbeOptions(),
            PerformanceOptions(),
            on_start=lambda name, why: None,
            on_end=lambda verdict: None,
            probes=[probe],
            store=tmp_path / "store",
        )
        try:
            (given,) = await engine.verdicts(final=True)
        finally:
            await engine.close()
        return given

    first = await judge()
    hit = await judge()
    assert (first.cache, hit.cache, hit.key, probe.runs) == ("ran", "hit", first.key, 1)
    assert dict(explained(hit)) == {
        "key": first.key,
        "files": hit.inputs["files"],
        "arguments": "-q",
        "versions": "python 3.12, ruff 1",
        "variables": "TOKENISH, TZ",
        "hit": "nothing that it depends on has changed; the run took 64 ms",
    }
    assert hit.inputs["files"].startswith("1, digest ")
    bench.write("a.py", "2")
    again = await judge()
    assert (again.cache, again.why, probe.runs) == ("ran", "a.py changed", 2)
    assert explained(again)[-1] == ("miss", "a.py changed")


def test_an_error_without_a_run_is_told_as_one() -> None:
    verdict = Verdict("pytest", "error", "files keep changing while it runs: a.py", cache="none")
    assert dict(explained(verdict)) == {"error": "no run came to an end"}
    assert came(verdict.state, verdict.cache) == "error"


def test_an_option_that_pytest_does_not_know_is_named() -> None:
    said = "ERROR: usage: pytest [options] [file]\npytest: error: unrecognized arguments: --nope\n  inifile: /x"
    assert last_error(said) == "unrecognized arguments: --nope"
    assert last_error("ERROR: /ws/pytest.ini:2: unexpected line") == "/ws/pytest.ini:2: unexpected line"


async def test_watching_wakes_for_configuration_above(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_command, "_LOOK_S", 0.01)
    engine = bench.engine(probes=[])
    await engine.files.now()
    waiting = asyncio.create_task(probe_command._woken(engine, asyncio.Event()))
    (bench.root.parent / "pyproject.toml").write_text("[tool.ruff]\n")
    await waiting
