"""Names of models as users write them: in whatever case, such as no model can have, and while nobody answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.conftest import OpenRig
from engine.gateway import answer, gateway
from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine.errors import ModelNotFound
from jetbox.engine.loop import serve
from jetbox.engine.models.choose import choose_model
from jetbox.engine.models.connect import connect, connected
from jetbox.engine.options import ModelOptions
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, finish, step

Serve = Callable[..., ServerProcess]


@pytest.mark.parametrize("name", ["GPT-OSS:20B", "registry.ollama.ai/library/Gpt-Oss:20b", "gpt-oss:20b"])
async def test_ollama_finds_a_name_in_whatever_case_and_it_is_the_listed_one(rig: OpenRig, name: str) -> None:
    live = await rig(step(text="Yes."), finish(), name=name)
    assert live.parts.model_name == "gpt-oss:20b"
    assert live.parts.model.full_name(name) == "gpt-oss:20b"
    assert (await live.run()).outcome == "answered"
    live.submit(c.SetModel("LLAMA3.2:3B"))
    await live.run()
    assert live.events(e.ModelSwitched)[-1].new == "llama3.2:3b"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (" ", "it is empty"),
        ("gpt oss", "it holds spaces"),
        ("gpt-oss\x1b[2J", "it holds characters that cannot be printed"),
        ("gpt-oss:20b:q4", "it is not written as NAME:TAG, or as HOST/USER/NAME:TAG"),
        ("../../gpt-oss?", "it is not written as NAME:TAG, or as HOST/USER/NAME:TAG"),
    ],
)
async def test_what_cannot_be_a_name_is_told_at_once(sim_server: Serve, name: str, why: str) -> None:
    server = sim_server()
    model = connect(ModelOptions(host=server.url))
    with pytest.raises(ModelNotFound) as caught:
        await choose_model(model, name)
    assert caught.value.message == f"no model can have the name {name!r}: {why}"
    await model.close()


async def test_a_file_is_a_name_where_the_server_turns_out_to_be_llamacpps(sim_server: Serve) -> None:
    listed = {"data": [{"id": "/models/a b.gguf", "owned_by": "llamacpp", "meta": {"n_ctx": 8192}}]}

    def instead(asked: bytes) -> bytes | None:
        return answer(200, json.dumps(listed).encode()) if asked.startswith(b"GET /v1/models ") else None

    async with gateway(sim_server(flavour="llamacpp").url, instead=instead) as host:
        model = await connected(ModelOptions(host=host), {})
        assert (await choose_model(model, "/models/a b.gguf")).max_ctx == 8192
        await model.close()


async def test_a_name_of_several_words_is_the_servers_own_where_it_is_no_ollama(sim_server: Serve) -> None:
    model = connect(ModelOptions(host=f"{sim_server(flavour='vllm').url}/v1"))
    with pytest.raises(ModelNotFound, match="the server does not have my model"):
        await choose_model(model, "my model")
    await model.close()


async def test_what_cannot_be_a_name_is_no_wish(rig: OpenRig) -> None:
    live = await rig(step(text="Yes."), attended=True)
    live.submit(c.SetModel("gpt-oss\x07"))
    notice = await live.until(e.Notice)
    assert "it holds characters that cannot be printed" in notice.text
    assert live.parts.control.wish is None


async def test_another_model_that_is_named_while_the_server_is_away_is_taken_when_it_is_back(
    tmp_path: Path, write_script: WriteScript, sim_server: Serve
) -> None:
    server, away = sim_server(scripts=[str(write_script(step(text="Yes.")))]), asyncio.Event()
    async with gateway(server.url, away=away) as host:
        live = await Rig(server, tmp_path).open(client=connect(ModelOptions(host=host)), attended=True)
        serving = asyncio.create_task(serve(live.parts))
        await asyncio.sleep(0)
        away.set()
        live.submit(c.SetModel("llama3.2:3b"))
        told = await live.until(e.Notice)
        assert told.text.endswith("llama3.2:3b is queued until it answers, and not known to be there")
        away.clear()
        live.submit(c.Goal("Do it"))
        await live.has(e.GoalEnded)
        assert [event.new for event in live.events(e.ModelSwitched)] == ["llama3.2:3b"]
        assert len(live.events(e.Notice)) == 1
        live.submit(c.Close())
        await within(serving)
        await live.close()
    assert {event.name for event in live.events(e.ModelReady)} == {"gpt-oss:20b", "llama3.2:3b"}
