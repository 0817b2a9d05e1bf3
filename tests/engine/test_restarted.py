"""llama.cpp's server is started anew in mid-session, with another window or another model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.gateway import Loading, answer, gateway
from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine import retries
from jetbox.engine.models.connect import connect
from jetbox.engine.models.window import Window
from jetbox.engine.options import ModelOptions
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, call, finish, step

LOOK = step(call("list_dir", path="."))
WINDOW = 32_768


class Restarting:
    """Before the second chat it goes and loads; afterwards it lists this model with this window."""

    def __init__(self, name: str, window: int) -> None:
        self._name, self._window = name, window
        self._chats = 0
        self.loading = Loading(0)

    def __call__(self, asked: bytes) -> bytes | None:
        chat = asked.startswith(b"POST /v1/chat/completions ")
        self._chats += chat
        if chat and self._chats == 2:
            self.loading.left = 5
        if (said := self.loading(asked)) is not None:
            return said
        if self._chats > 1 and asked.startswith(b"GET /v1/models "):
            model = {"id": self._name, "owned_by": "llamacpp", "meta": {"n_ctx": self._window}}
            return answer(200, json.dumps({"data": [model]}).encode())
        return None


@pytest.fixture
def serve(
    write_script: WriteScript, sim_server: Callable[..., ServerProcess], monkeypatch: pytest.MonkeyPatch
) -> ServerProcess:
    monkeypatch.setattr(retries, "BACKOFF_S", (0.01, 0.01))
    return sim_server(scripts=[str(write_script(LOOK, finish()))], flavour="llamacpp", context_length=WINDOW)


@pytest.mark.parametrize("window", [WINDOW, 2 * WINDOW, WINDOW // 2])
async def test_the_window_that_it_has_then_is_gone_by(tmp_path: Path, serve: ServerProcess, window: int) -> None:
    restarting = Restarting("gpt-oss:20b", window)
    async with gateway(serve.url, instead=restarting) as host:
        client = connect(ModelOptions(host=f"{host}/v1"))
        live = await Rig(serve, tmp_path).open(client=client, window=Window(WINDOW, "what the server has"))
        ended = await live.run()
        await live.close()
    assert (ended.outcome, ended.rounds) == ("unverified", 2), ended.reason
    assert [path for path in restarting.loading.refused if "chat" in path] == ["/v1/chat/completions"]
    assert len(live.events(e.RequestSent)) == 3
    told = [notice.text for notice in live.events(e.Notice)]
    assert live.parts.budget.window == window
    if window == WINDOW:
        assert not told
        assert {ready.num_ctx for ready in live.events(e.ModelReady)} == {window}
    else:
        assert told == [f"the window is {window:,} tokens now, not {WINDOW:,}: what the server has"]
        assert live.events(e.ModelReady)[-1].num_ctx == window


async def test_where_it_has_another_model_then_whoever_sits_there_is_asked(
    tmp_path: Path, serve: ServerProcess
) -> None:
    async with gateway(serve.url, instead=Restarting("other:7b", 2 * WINDOW)) as host:
        live = await Rig(serve, tmp_path).open(client=connect(ModelOptions(host=f"{host}/v1")), attended=True)
        goal = live.start()
        missing = await live.until(e.ModelMissing)
        assert (missing.name, missing.there, missing.pull) == ("gpt-oss:20b", ("other:7b",), "")
        live.submit(c.SetModel("other:7b"))
        assert (await within(goal)).outcome == "unverified"
        await live.close()
    assert live.parts.budget.window == 2 * WINDOW
    assert [json.loads(body["body"])["model"] for body in (await live.stats())["bodies"]] == ["gpt-oss:20b", "other:7b"]


async def test_where_it_has_another_model_then_and_nobody_sits_there_that_is_said(
    tmp_path: Path, serve: ServerProcess
) -> None:
    async with gateway(serve.url, instead=Restarting("other:7b", WINDOW)) as host:
        live = await Rig(serve, tmp_path).open(client=connect(ModelOptions(host=f"{host}/v1")))
        ended = await live.run()
        await live.close()
    assert (ended.outcome, ended.reason) == ("failed", "the server does not have gpt-oss:20b; it has: other:7b")
