"""A session that is begun while llama.cpp's server still loads its model, or while nobody answers yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from engine.gateway import Loading, answer, gateway
from jetbox.cli.live import Live, Start
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine import retries
from jetbox.engine.errors import ExitCode, StillLoading
from jetbox.engine.models import away
from jetbox.engine.options import EngineOptions, ModelOptions, PermissionOptions, ProbeOptions, SessionOptions
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, step

E = TypeVar("E", bound=e.Event)
ServeOne = Callable[..., ServerProcess]
WINDOW = 65_536
YES = step(text="Yes.")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "BACKOFF_S", (0.01, 0.01))
    monkeypatch.setattr(away, "EVERY_S", 0.01)


class Begun:
    """A session with a goal, at this host."""

    def __init__(self, folder: Path, host: str, *, attended: bool = False, retries: int = 4, resume: str | None = None):
        root = folder / "work"
        root.mkdir(exist_ok=True)
        options = EngineOptions(
            model=ModelOptions(name="gpt-oss:20b", host=host, retries=retries),
            permissions=PermissionOptions(mode="auto", sandbox=False),
            probes=ProbeOptions(enabled=False),
            session=SessionOptions(folder=str(folder / "data")),
        )
        start = Start(root=root, options=options, goal="Is it so?", resume=resume, attended=attended, asks=attended)
        self.live, self.attended = Live(start), attended
        self.seen: list[e.Event] = []

    async def run(self) -> int:
        driving = asyncio.create_task(self.live.drive())
        while self.attended and not self.events(e.GoalEnded) and not driving.done():
            await asyncio.wait({asyncio.ensure_future(self.live.feed.ready()), driving}, return_when="FIRST_COMPLETED")
        if self.attended:
            self.live.session.submit(c.Close())
        return await asyncio.wait_for(driving, 120)

    def events(self, kind: type[E]) -> list[E]:
        self.seen += [stamped.event for stamped in self.live.feed.drain().events]
        return [event for event in self.seen if isinstance(event, kind)]


@pytest.mark.parametrize("attended", [False, True])
@pytest.mark.parametrize(("lists", "path"), [(False, ""), (True, ""), (False, "/v1"), (True, "/v1")])
async def test_what_a_server_says_of_its_model_is_asked_for_when_it_is_there(
    tmp_path: Path, write_script: WriteScript, sim_server: ServeOne, lists: bool, path: str, attended: bool
) -> None:
    server = sim_server(scripts=[str(write_script(YES))], flavour="llamacpp", context_length=WINDOW)
    loading = Loading(7, lists=lists)
    async with gateway(server.url, instead=loading) as host:
        begun = Begun(tmp_path, host + path, attended=attended)
        assert await begun.run() == ExitCode.DONE
    assert loading.left == 0
    assert not [path for path in loading.refused if "chat" in path], "nothing is sent before the window is known"
    assert {ready.num_ctx for ready in begun.events(e.ModelReady)} == {WINDOW}
    assert all("tools" in ready.capabilities for ready in begun.events(e.ModelReady))
    assert [sent.attempt for sent in begun.events(e.RequestSent)] == [1]
    assert begun.events(e.Waiting)[0].what == "loading"
    told = [notice.text for notice in begun.events(e.Notice) if "loads its model" in notice.text]
    assert told == ["the server still loads its model (503: Loading model)"]


@pytest.mark.parametrize(("tries", "most"), [(0, 75), (4, 3)])
async def test_where_nobody_sits_there_a_load_is_waited_for_as_long_as_one_may_take(
    tmp_path: Path, sim_server: ServeOne, monkeypatch: pytest.MonkeyPatch, tries: int, most: int
) -> None:
    monkeypatch.setattr(retries, "LOADS", most)
    loading = Loading(99)
    async with gateway(sim_server(flavour="llamacpp").url, instead=loading) as host:
        begun = Begun(tmp_path, f"{host}/v1", retries=tries)
        with pytest.raises(StillLoading):
            await begun.run()
    assert len(loading.refused) == (1 + most if tries else 1)
    (ended,) = begun.events(e.GoalEnded)
    assert (ended.outcome, ended.reason) == ("failed", "the server still loads its model (503: Loading model)")


@pytest.mark.parametrize("flavour", ["ollama", "llamacpp"])
async def test_a_server_that_comes_up_later_behind_a_gateway_is_waited_for_by_whoever_sits_there(
    tmp_path: Path, write_script: WriteScript, sim_server: ServeOne, flavour: str
) -> None:
    server = sim_server(scripts=[str(write_script(YES))], flavour=flavour, context_length=WINDOW)
    left = [answer(502)] * 4
    async with gateway(server.url, instead=lambda asked: left.pop() if left else None) as host:
        begun = Begun(tmp_path, host, attended=True)
        assert await begun.run() == ExitCode.DONE
    assert [ended.outcome for ended in begun.events(e.GoalEnded)] == ["answered"]
    assert all("tools" in ready.capabilities for ready in begun.events(e.ModelReady))
    assert begun.events(e.ModelReady)[-1].num_ctx == (WINDOW if flavour == "llamacpp" else 16_384)
    assert begun.events(e.Waiting)[0].what == "connecting"


async def test_a_session_that_goes_on_has_the_window_with_which_its_server_was_started_since(
    tmp_path: Path, write_script: WriteScript, sim_server: ServeOne
) -> None:
    script = str(write_script(YES))
    for window, resume in ((16_384, None), (WINDOW, ""), (24_576, "")):
        server = sim_server(scripts=[script], flavour="llamacpp", context_length=window)
        begun = Begun(tmp_path, f"{server.url}/v1", resume=resume)
        assert await begun.run() == ExitCode.DONE
        ready = begun.events(e.ModelReady)[-1]
        assert (ready.num_ctx, ready.why) == (window, "what the server has")
