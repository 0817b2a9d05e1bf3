"""What a server has, merged from its lists, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import NoReturn

import pytest
import pytest_asyncio

from engine.gateway import Loading, answer, gateway
from jetbox.engine.errors import (
    BadAnswer,
    ModelError,
    ModelNotFound,
    ModelUnfit,
    ServerBusy,
    ServerUnreachable,
    StillLoading,
)
from jetbox.engine.models import catalog
from jetbox.engine.models.catalog import Catalog
from jetbox.engine.models.manage import unload, warm
from jetbox.engine.models.ollama import OllamaModel
from jetbox.engine.models.openai_compat import OpenAIModel
from jetbox.engine.options import ModelOptions
from jetbox.sim.launch import ServerProcess

Connect = Callable[..., tuple[OllamaModel, ServerProcess]]
OPTIONS = ModelOptions()


@pytest_asyncio.fixture
async def connect(sim_server: Callable[..., ServerProcess]) -> AsyncIterator[Connect]:
    """Starts a server with these options and connects to it."""
    opened: list[OllamaModel] = []

    def connect_(**options: object) -> tuple[OllamaModel, ServerProcess]:
        server = sim_server(**options)
        opened.append(OllamaModel(server.url))
        return opened[-1], server

    yield connect_
    for model in opened:
        await model.close()


@pytest.mark.parametrize("version", ["0.33.3", "0.24.0"], ids=["told in its list", "told of each model alone"])
async def test_installed_described_and_loaded_are_one_list(connect: Connect, version: str) -> None:
    model, _ = connect(models=["nomic-embed-text", "gpt-oss:120b-cloud"], version=version)
    await warm(model, "gpt-oss:20b", OPTIONS, 8192)
    listing = await Catalog(model).look()
    assert not listing.loading
    entry = listing.find("gpt-oss:20b")
    assert entry is not None
    assert entry.loaded is not None
    assert (entry.loaded.window, entry.on_gpu, entry.lacks) == (8192, 1.0, "")
    assert (entry.info.max_ctx, entry.info.family, entry.info.parameters) == (131_072, "gptoss", "20.9B")
    assert len(entry.info.digest) == 64
    others = {e.info.name: e for e in listing.entries}
    assert others["gemma2:2b"].lacks == "cannot call tools"
    assert others["gemma2:2b"].loaded is None
    assert others["nomic-embed-text:latest"].lacks == "makes embeddings only"
    assert others["gpt-oss:120b-cloud"].info.remote == "https://ollama.com:443"
    assert listing.find("nomic-embed-text") is others["nomic-embed-text:latest"]
    assert listing.find("nix") is None


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("tiny", "tiny:latest"),
        ("library/gpt-oss:20b", "gpt-oss:20b"),
        ("registry.ollama.ai/library/tiny", "tiny:latest"),
        ("hf.co/ada/tiny-GGUF", "hf.co/ada/tiny-GGUF:latest"),
        ("box:5000/ada/tiny", "box:5000/ada/tiny:latest"),
        ("ada/tiny:1b", "ada/tiny:1b"),
    ],
)
def test_a_short_name_means_the_one_that_is_listed(short: str, full: str) -> None:
    assert OllamaModel("http://127.0.0.1:1").full_name(short) == full
    assert OllamaModel("http://127.0.0.1:1").full_name(full) == full
    assert OpenAIModel("http://127.0.0.1:1").full_name(short) == short


async def test_a_model_is_told_of_under_its_full_name(connect: Connect) -> None:
    model, _ = connect(models=["nomic-embed-text"])
    assert (await model.info("library/nomic-embed-text")).name == "nomic-embed-text:latest"


async def test_a_model_that_spills_says_how_much_of_it_is_on_the_gpu(connect: Connect) -> None:
    model, _ = connect(vram=8)
    await warm(model, "gpt-oss:20b", OPTIONS, 8192)
    entry = (await Catalog(model).look()).find("gpt-oss:20b")
    assert entry is not None
    assert entry.on_gpu is not None
    assert 0.4 < entry.on_gpu < 0.8


async def test_what_is_installed_is_not_asked_for_again_and_again(connect: Connect) -> None:
    model, server = connect()
    catalog = Catalog(model)
    before = server.stats()["requests"]
    await asyncio.gather(*(catalog.look() for _ in range(5)))
    together = server.stats()["requests"]
    assert together - before - 1 <= 2, "five askers at once are one question to each list"
    await catalog.look()
    assert server.stats()["requests"] - together - 1 == 1, "only what is loaded is asked for again"
    await catalog.look(anew=True)
    assert server.stats()["requests"] - together - 1 == 4


async def test_those_who_want_it_anew_share_what_was_asked_after_them(connect: Connect) -> None:
    model, server = connect()
    catalog = Catalog(model)
    before = server.stats()["requests"]
    await asyncio.gather(*(catalog.look(anew=True) for _ in range(5)))
    assert server.stats()["requests"] - before - 1 == 4, "the first one's question may have been too early for others"


async def test_a_failure_is_shared_by_those_who_waited_for_it() -> None:
    asked, go, heard = 0, asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        heard.set()
        await go.wait()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        model = OllamaModel(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        catalog = Catalog(model)
        looks = [asyncio.create_task(catalog.look(anew=n % 2 == 1)) for n in range(10)]
        await heard.wait()
        go.set()
        failures = await asyncio.gather(*looks, return_exceptions=True)
        assert asked == 1
        assert all(isinstance(failure, ModelError) for failure in failures)
        with pytest.raises(ModelError):
            await catalog.look()
        assert asked == 2, "who comes later asks again"
        await model.close()


async def test_a_description_that_failed_is_asked_for_again(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = connect(version="0.12.0")
    catalog = Catalog(model)

    async def busy(name: str) -> NoReturn:
        raise ServerBusy(f"{name}: not now")

    with monkeypatch.context() as patch:
        patch.setattr(model, "info", busy)
        found = (await catalog.look()).find("gpt-oss:20b")
    assert (found is not None, found and found.info.max_ctx) == (True, 0)
    found = (await catalog.look(anew=True)).find("gpt-oss:20b")
    assert found is not None
    assert found.info.max_ctx == 131_072


async def test_a_server_that_holds_back_what_it_has_loaded_is_loading(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "RUNNING_S", 0.1)
    model, _ = connect(faults=["stuck@1"])
    loading = asyncio.create_task(warm(model, "gpt-oss:20b", OPTIONS, 8192))
    other = OllamaModel(model.host)
    try:
        listing = await Catalog(other).look()
        while not listing.loading:
            listing = await Catalog(other).look()
        assert listing.find("gpt-oss:20b") is not None
    finally:
        loading.cancel()
        await asyncio.wait([loading])
        await other.close()


async def test_a_model_is_loaded_with_the_window_that_is_named_and_unloaded(connect: Connect) -> None:
    model, server = connect()
    loaded = await warm(model, "llama3.2:3b", OPTIONS, 8192)
    assert loaded.done_reason == "load"
    assert [m.window for m in await model.running()] == [8192]
    assert (await unload(model, "llama3.2:3b", OPTIONS)).done_reason == "unload"
    assert await model.running() == []
    assert server.stats()["loads"] == 1


async def test_a_model_is_fetched_with_words_about_it(connect: Connect) -> None:
    model, _ = connect()
    steps = [step async for step in model.pull("qwen3:8b")]
    assert steps[0].status == "pulling manifest"
    assert steps[-1].status == "success"
    assert any(step.total and step.completed == step.total for step in steps)
    assert (await Catalog(model).look()).find("qwen3:8b") is not None
    with pytest.raises(ModelNotFound, match="nobody has a model nix"):
        _ = [step async for step in model.pull("nix")]


STEP = b'{"status": "pulling x", "digest": "x", "total": 100, "completed": 10}\n'


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (STEP * 2, "the server broke off while it fetched m:1b"),
        (STEP + b'{"status": "pull', "the server broke off while it fetched m:1b"),
        (STEP + b'{"error": "no space left on device"}', "could not fetch m:1b: no space left on device"),
        (b"", "the server broke off while it fetched m:1b"),
    ],
)
async def test_a_download_that_does_not_end_well_is_said_to(body: bytes, words: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"m:1b")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        model = OllamaModel(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(BadAnswer, match=words):
            _ = [step async for step in model.pull("m:1b")]
        await model.close()


async def test_servers_with_openais_protocol_list_and_manage_nothing(sim_server: Callable[..., ServerProcess]) -> None:
    model = OpenAIModel(sim_server(flavour="vllm").url)
    try:
        (entry,) = (await Catalog(model).look()).entries
        assert (entry.info.name, entry.loaded, entry.lacks, entry.on_gpu) == ("gpt-oss:20b", None, "", None)
        assert entry.info.max_ctx == 32768
        for work in (warm(model, "gpt-oss:20b", OPTIONS, 8192), unload(model, "gpt-oss:20b", OPTIONS)):
            with pytest.raises(ModelUnfit, match="loaded for as long as it runs"):
                await work
        with pytest.raises(ModelUnfit, match="fetches nothing"):
            _ = [step async for step in model.pull("x")]
    finally:
        await model.close()


async def test_llama_cpp_says_what_its_model_can_do(sim_server: Callable[..., ServerProcess]) -> None:
    for lacks, can in (((), ("completion", "tools", "thinking")), (("tool-parser",), ())):
        model = OpenAIModel(sim_server(flavour="llamacpp", lacks=lacks).url)
        try:
            (entry,) = (await Catalog(model).look()).entries
            assert (entry.info.parameters, entry.info.quantisation) == ("20.9B", "MXFP4")
            assert entry.info.size == 13_793_441_244
            assert entry.info.capabilities == can
            assert not entry.lacks, "it has a form of calls for templates without one"
            assert (await model.version()).startswith("b")
        finally:
            await model.close()


@pytest.mark.parametrize("lists", [False, True])
async def test_what_is_not_known_while_llamacpp_loads_is_asked_for_again(
    sim_server: Callable[..., ServerProcess], lists: bool
) -> None:
    loading = Loading(2, lists=lists)
    async with gateway(sim_server(flavour="llamacpp", context_length=65_536).url, instead=loading) as host:
        model = OpenAIModel(host)
        catalog = Catalog(model)
        if lists:
            (entry,) = (await catalog.look()).entries
            assert (entry.info.max_ctx, entry.info.capabilities, entry.lacks) == (0, (), "")
        else:
            for ask in (catalog.look, model.version):
                with pytest.raises(StillLoading):
                    await ask()
        (entry,) = (await catalog.look(anew=True)).entries
        assert (entry.info.max_ctx, "tools" in entry.info.capabilities) == (65_536, True)
        await model.close()


async def test_a_gateway_that_bars_what_is_loaded_does_not_keep_back_what_there_is(
    sim_server: Callable[..., ServerProcess],
) -> None:
    def barred(asked: bytes) -> bytes | None:
        return answer(403, b"<h1>no</h1>") if asked.startswith(b"GET /api/ps ") else None

    async with gateway(sim_server().url, instead=barred) as host:
        model = OllamaModel(host)
        listing = await Catalog(model).look()
        await model.close()
    assert listing.find("gpt-oss:20b") is not None
    assert not listing.loading


async def test_nobody_there_is_said() -> None:
    model = OllamaModel("http://127.0.0.1:9")
    with pytest.raises(ServerUnreachable):
        await Catalog(model).look()
    await model.close()


ODD: tuple[object, ...] = (
    None,
    7,
    "gpt-oss:20b",
    [],
    {},
    {"size": 5},
    {"name": None},
    {"name": 5},
    {"name": ""},
    {"name": "a:1", "size": 5.5, "capabilities": {"tools": True}, "details": [], "digest": 3},
    {"name": "b:1", "size": 5e9, "capabilities": ["tools", 3], "details": {"context_length": "32k"}},
    {"model": "c:1", "size": "5000", "capabilities": ["tools"], "remote_host": []},
    {"name": "gpt-oss:20b", "size": 5, "capabilities": ["completion", "tools"], "digest": "d"},
)


def saying(asked: bytes, lists: dict[str, list[object]], key: str) -> bytes | None:
    """An answer with the list of the path that was asked for."""
    path = asked.split()[1].decode()
    return answer(200, json.dumps({key: lists[path]}).encode()) if path in lists else None


async def test_an_odd_entry_hides_no_other_model(sim_server: Callable[..., ServerProcess]) -> None:
    held: list[object] = [
        *ODD[:9],
        {"name": "gpt-oss:20b", "size": 5.5, "size_vram": 5, "context_length": 8192, "expires_at": 4},
    ]
    lists: dict[str, list[object]] = {"/api/tags": [*ODD], "/api/ps": held}
    async with gateway(sim_server().url, instead=lambda asked: saying(asked, lists, "models")) as host:
        model = OllamaModel(host)
        listing = await Catalog(model).look()
        await model.close()
    assert [entry.info.name for entry in listing.entries] == ["a:1", "b:1", "c:1", "gpt-oss:20b"]
    a, b, c, last = (entry.info for entry in listing.entries)
    assert (a.size, b.size, c.size, last.size) == (5, 5_000_000_000, 5000, 5)
    assert (a.digest, b.max_ctx) == ("", 0)
    assert "tools" in last.capabilities
    loaded = listing.entries[-1].loaded
    assert loaded is not None
    assert (loaded.window, loaded.size_vram, loaded.size) == (8192, 5, 5)


async def test_an_odd_entry_hides_no_model_of_another_protocol(sim_server: Callable[..., ServerProcess]) -> None:
    whole = {"id": "gpt-oss:20b", "max_model_len": 16384.0}
    odd: list[object] = [None, 3, {}, {"id": None}, {"id": 5}, {"id": ""}, {"id": "a", "meta": [], "owned_by": {}}]
    lists = {"/v1/models": [*odd, whole]}
    server = sim_server(flavour="vllm")
    async with gateway(server.url, instead=lambda asked: saying(asked, lists, "data")) as host:
        model = OpenAIModel(host)
        found = await model.installed()
        await model.close()
    assert [(info.name, info.max_ctx) for info in found] == [("a", 0), ("gpt-oss:20b", 16384)]


async def test_an_odd_description_leaves_what_can_be_read(sim_server: Callable[..., ServerProcess]) -> None:
    told = {
        "capabilities": ["completion", "tools"],
        "details": 3,
        "parameters": {"num_ctx": 4},
        "model_info": {"llama.context_length": 8192},
        "thinking": [True],
    }
    said = answer(200, json.dumps(told).encode())
    async with gateway(sim_server().url, instead=lambda asked: said if b"/api/show" in asked else None) as host:
        model = OllamaModel(host)
        info = await model.info("gpt-oss:20b")
        await model.close()
    assert (info.max_ctx, info.capabilities) == (8192, ("completion", "tools"))
