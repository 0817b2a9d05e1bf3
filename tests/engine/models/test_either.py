"""A server whose protocol nobody named: Ollama's own or OpenAI's, found out by the first question."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from engine.gateway import answer, gateway
from jetbox.engine.context.wire import OllamaWire, OpenAIWire
from jetbox.engine.errors import ForeignServer, KeyWanted, ModelError, ServerBusy
from jetbox.engine.models.base import ChatModel
from jetbox.engine.models.choose import choose_model
from jetbox.engine.models.connect import connected, key_of
from jetbox.engine.options import ModelOptions
from jetbox.sim.launch import ServerProcess

KEY = "sk-0123456789abcdef"
OpenSim = Callable[..., ServerProcess]


async def at(url: str, **options: Any) -> ChatModel:
    return await connected(ModelOptions(host=url, **options), {"THE_KEY": KEY})


@pytest.mark.parametrize(("flavour", "key"), [("vllm", KEY), ("llamacpp", KEY), ("lmstudio", "")])
async def test_openai_without_its_path_is_found_and_gets_the_key(sim_server: OpenSim, flavour: str, key: str) -> None:
    server = sim_server(flavour=flavour, api_key=key)
    async with aclosing(_Closing(await at(server.url, api_key_env="THE_KEY"))) as closing:
        model = closing.model
        info = await choose_model(model, "gpt-oss:20b")
        assert (info.name, model.manages) == ("gpt-oss:20b", False)
        assert isinstance(model.wire(), OpenAIWire)
        assert key_of(model) == KEY


async def test_what_a_server_speaks_is_found_out_later_where_it_does_not_say_yet(sim_server: OpenSim) -> None:
    busy = [answer(502)]

    def instead(asked: bytes) -> bytes | None:
        return busy.pop() if busy and asked.startswith(b"GET /v1/models ") else None

    url = sim_server(flavour="vllm").url
    async with gateway(url, instead=instead) as host, aclosing(_Closing(await at(host))) as closing:
        with pytest.raises(ServerBusy):
            await choose_model(closing.model, "gpt-oss:20b")
        assert (await choose_model(closing.model, "gpt-oss:20b")).name == "gpt-oss:20b"
        assert isinstance(closing.model.wire(), OpenAIWire)


async def test_a_key_that_is_missing_is_said_with_the_path_and_the_setting(sim_server: OpenSim) -> None:
    server = sim_server(flavour="vllm", api_key=KEY)
    async with aclosing(_Closing(await at(server.url))) as closing:
        with pytest.raises(KeyWanted) as caught:
            await choose_model(closing.model, "gpt-oss:20b")
    assert f"{server.url}/v1 wants a key (401)" in caught.value.message
    assert "model.api_key_env" in caught.value.hint


async def test_ollama_stays_ollama(sim_server: OpenSim) -> None:
    server = sim_server()
    async with aclosing(_Closing(await at(server.url))) as closing:
        model = closing.model
        with pytest.raises(ModelError, match="does not have nope"):
            await choose_model(model, "nope")
        assert model.manages
        assert isinstance(model.wire(), OllamaWire)
        assert key_of(model) == ""


@pytest.mark.parametrize("flavour", ["vllm", "llamacpp", "lmstudio"])
async def test_a_named_protocol_is_kept_and_another_server_told_in_words(sim_server: OpenSim, flavour: str) -> None:
    server = sim_server(flavour=flavour)
    async with aclosing(_Closing(await at(server.url, protocol="ollama"))) as closing:
        with pytest.raises(ForeignServer) as caught:
            await choose_model(closing.model, "gpt-oss:20b")
    assert "does not speak Ollama's protocol" in caught.value.message
    assert f"--host {server.url}/v1" in caught.value.hint
    assert "{" not in caught.value.message


async def test_a_model_is_fetched_with_the_key_though_nothing_was_asked_before(sim_server: OpenSim) -> None:
    server = sim_server(api_key=KEY)
    async with aclosing(_Closing(await at(server.url, api_key_env="THE_KEY"))) as closing:
        steps = [step async for step in closing.model.pull("llama3.2:3b")]
    assert steps[-1].status == "success"


class _Closing:
    def __init__(self, model: ChatModel) -> None:
        self.model = model

    async def aclose(self) -> None:
        await self.model.close()
