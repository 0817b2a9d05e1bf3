"""A call whose arguments stream: what it will need is begun before it is whole; over HTTP, from the embedded server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.probes.test_probe_forked import until
from engine.rig import Rig, within
from jetbox.engine import events as e
from jetbox.engine.models.openai_compat import OpenAIModel
from jetbox.engine.probes.ruff_server import Finding
from jetbox.engine.probes.runner import ProbeEngine
from jetbox.sim import answer
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, call, finish, step

WRITE: dict[str, Any] = {"path": "a.py", "content": "import os\n\nx = 'y'\n"}
PIECES = answer.split(json.dumps(WRITE))
WHOLE = 1 + len(PIECES)
"""Chunks of the call: its name, then its arguments."""
PATH = 2 + next(n for n in range(len(PIECES)) if '",' in "".join(PIECES[: n + 1]))
"""Those after which the path is known, and the content is not."""

Streams = Callable[..., Any]


@pytest.fixture
async def streams(
    tmp_path: Path,
    write_script: WriteScript,
    sim_server: Callable[..., ServerProcess],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Streams]:
    """Opens a session whose first answer stops after so many chunks until it is released."""
    # A cold server is not waited for, and here its words are wanted, however busy the machine is.
    monkeypatch.setattr("jetbox.engine.probes.ruff.CANDIDATE_S", 20)
    root = tmp_path / "work"
    root.mkdir()
    opened: list[Rig] = []

    async def open_(chunks: int, *, steps: tuple[Any, ...] = (), **options: Any) -> Rig:
        script = write_script(*(steps or (step(call("write_file", **WRITE)), finish())))
        server = sim_server(scripts=[str(script)], faults=(f"stall@1:{chunks}",), flavour="vllm")
        made = await Rig(server, root).open(client=OpenAIModel(server.url), **{"probes": {"pytest": False}, **options})
        opened.append(made)
        return made

    yield open_
    for each in opened:
        await each.close()


class Watched:
    """Counts what ruff's server is asked, and tells when it has answered."""

    def __init__(self, live: Rig) -> None:
        probes = live.parts.probes
        assert isinstance(probes, ProbeEngine)
        assert probes._ruff is not None
        assert probes._ruff._server is not None
        self.server = probes._ruff._server
        self.asked: list[tuple[str, str]] = []
        self.answered = asyncio.Event()
        self._check = self.server.check
        self.server.check = self.check  # type: ignore[method-assign]

    async def check(self, path: str, text: str) -> list[Finding] | None:
        self.asked.append((path, text))
        found = await self._check(path, text)
        self.answered.set()
        return found


async def test_the_text_is_judged_before_the_call_is_whole(streams: Streams) -> None:
    live = await streams(WHOLE)
    ruff = Watched(live)
    running = live.start()
    await within(ruff.answered.wait())
    assert ruff.asked == [("a.py", WRITE["content"])]
    assert not live.events(e.ToolCalled)
    assert list(live.root.iterdir()) == []
    await live.release()
    ended = await live.until(e.ToolEnded)
    assert ended.text.splitlines()[1:] == ["ruff: 1 problem: F401", "a.py:1:8 F401 `os` imported but unused"]
    assert ruff.asked[1:] in ([], [("a.py", WRITE["content"])]), "the call itself asks only where something changed"
    await within(running)


async def test_with_the_path_alone_the_server_is_started(streams: Streams) -> None:
    live = await streams(PATH)
    ruff = Watched(live)
    assert not ruff.server.ready
    running = live.start()
    expected = asyncio.Event()
    expect = live.parts.context.expect
    assert expect is not None

    def heard(path: str, text: str | None) -> None:
        expect(path, text)
        if (path, text) == ("a.py", None):
            expected.set()

    live.parts.context.expect = heard
    await within(expected.wait())
    starting = ruff.server._starting
    if starting is not None:
        await within(starting)
    assert ruff.server.ready
    assert ruff.asked == []
    assert not live.events(e.ToolCalled)
    await live.release()
    await within(running)


async def test_what_changed_since_is_judged_anew(streams: Streams) -> None:
    live = await streams(WHOLE)
    ruff = Watched(live)
    running = live.start()
    await within(ruff.answered.wait())
    (live.root / "ruff.toml").write_text('lint.ignore = ["F401"]\n')
    await live.release()
    assert (await live.until(e.ToolEnded)).text.splitlines()[1:] == ["ruff: clean"]
    await within(running)


async def test_where_probes_may_not_run_nothing_is_begun(streams: Streams) -> None:
    live = await streams(WHOLE, permissions={"sandbox": True}, probes={"pytest": False}, attended=True)
    ruff = Watched(live)
    running = live.start()
    await live.stats(stalled=1)
    await live.release()
    asked = await live.until(e.PermissionAsked)
    assert "without a sandbox" in asked.title
    assert ruff.asked == []
    assert not ruff.server.ready
    assert [ended.text for ended in live.events(e.ToolEnded)] == ["created a.py: +3"]
    running.cancel()
    await asyncio.wait({running})


HANGS = "import pathlib\nimport time\n\n\ndef test_a():\n    pathlib.Path('../begun').touch()\n    time.sleep(600)\n"
TEST: dict[str, Any] = {"path": "test_a.py", "content": HANGS}
MENDED: dict[str, Any] = {"path": "test_a.py", "content": "def test_a():\n    pass\n"}
TEST_WHOLE = 1 + len(answer.split(json.dumps(TEST)))


async def test_a_probe_that_a_call_began_is_over_with_the_next_call_of_the_same_answer(streams: Streams) -> None:
    steps = (step(call("write_file", **TEST), call("write_file", **MENDED)), finish())
    # The next call is known by its name, and so the one before it is whole; then the stream stops.
    live = await streams(TEST_WHOLE + 1, steps=steps, probes={"ruff": False})
    running = live.start()
    await until(live.root.parent / "begun")
    assert journal(live) == ["tool.called", "tool.ended ok", "probe.started"]
    await live.stats(stalled=1)
    assert not live.events(e.ModelAnswered), "the model still streams"
    await live.release()
    assert (await within(running)).outcome == "done"
    assert journal(live)[3:8] == [
        "tool.called",
        "tool.ended ok",
        "probe.ended cancelled",
        "probe.started",
        "probe.ended passed",
    ]
    cancelled = live.events(e.ProbeEnded)[0]
    assert (cancelled.name, cancelled.summary) == ("pytest", "the files changed")


def journal(live: Rig) -> list[str]:
    """Names of what came of calls and probes, and how each ended."""
    events = live.of(e.ToolCalled, e.ToolEnded, e.ProbeStarted, e.ProbeEnded)
    return [f"{type(each).__struct_config__.tag} {getattr(each, 'state', '')}".strip() for each in events]
