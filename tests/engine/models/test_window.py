"""One window for everyone: where it comes from, and how much memory there is, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from engine.rig import Rig
from jetbox.engine import events as e
from jetbox.engine.control import Wish
from jetbox.engine.models import memory
from jetbox.engine.models.base import ModelInfo
from jetbox.engine.models.manage import warm
from jetbox.engine.models.ollama import OllamaModel
from jetbox.engine.models.ollama_lists import Show, shown
from jetbox.engine.models.openai_compat import OpenAIModel
from jetbox.engine.models.window import DEFAULT, Window, choose_window, rung_below, too_small
from jetbox.engine.options import ContextOptions, ModelOptions
from jetbox.engine.switching import switch_as_wished
from jetbox.sim.launch import ServerProcess

NAME = "gpt-oss:20b"
Decide = Callable[..., "asyncio.Future[Window]"]


@pytest_asyncio.fixture
async def server(sim_server: Callable[..., ServerProcess]) -> ServerProcess:
    return sim_server()


@pytest_asyncio.fixture
async def model(server: ServerProcess) -> AsyncIterator[OllamaModel]:
    made = OllamaModel(server.url)
    yield made
    await made.close()


async def decided(
    model: OllamaModel | OpenAIModel, options: ContextOptions | None = None, name: str = NAME, **environ: str
) -> Window:
    return await choose_window(model, await model.info(name), options or ContextOptions(), environ)


async def test_what_is_set_comes_before_everything(model: OllamaModel) -> None:
    await warm(model, NAME, ModelOptions(), 32768)
    window = await decided(model, ContextOptions(num_ctx=8192, gpu_gib=80), OLLAMA_CONTEXT_LENGTH="65536")
    assert window == Window(8192, "as it is set")


async def test_it_is_never_more_than_the_model_has(model: OllamaModel) -> None:
    window = await decided(model, ContextOptions(num_ctx=1_000_000), "qwen2.5-coder:7b")
    said = "1,000,000 tokens asked for (as it is set), 32,768 are qwen2.5-coder:7b's most and will be used"
    wanted = "the model's most; 1,000,000 were wanted, as it is set"
    assert window == Window(32768, wanted, lowered=f"a window of {said}")


async def test_that_a_window_was_lowered_is_told_once_whoever_asked_for_it(
    server: ServerProcess, tmp_path: Path
) -> None:
    for asked, environ, how in (
        (10_000_000, {}, "as it is set"),
        (0, {"OLLAMA_CONTEXT_LENGTH": "10000000"}, "as OLLAMA_CONTEXT_LENGTH says"),
    ):
        client = OllamaModel(server.url)
        window = await choose_window(client, await client.info(NAME), ContextOptions(num_ctx=asked), environ)
        live = await Rig(server, tmp_path).open(
            client=client, window=window, context={"num_ctx": asked}, environ=environ
        )
        for name in ("llama3.2:3b", NAME, "llama3.2:3b"):
            live.parts.control.wish = Wish(name)
            assert await switch_as_wished(live.parts)
        notices = live.events(e.Notice)
        await live.close()
        assert [notice.text.startswith("a window of 10,000,000 tokens asked for") for notice in notices] == [True] * 2
        assert f"({how}), 131,072 are {NAME}'s most and will be used" in notices[0].text
        assert "llama3.2:3b's most" in notices[1].text
        assert "--num-ctx 131072" in notices[0].hint


async def test_the_models_own_file_comes_before_the_servers_variable(model: OllamaModel) -> None:
    info = msgspec.structs.replace(await model.info(NAME), own_ctx=24576)
    environ = {"OLLAMA_CONTEXT_LENGTH": "65536"}
    assert (await choose_window(model, info, ContextOptions(), environ)).tokens == 24576
    window = await decided(model, OLLAMA_CONTEXT_LENGTH="65536")
    assert window == Window(65536, "as OLLAMA_CONTEXT_LENGTH says")


@pytest.mark.parametrize("value", ["", "lots", "-1", "0"])
async def test_a_variable_that_says_nothing_is_passed_over(model: OllamaModel, value: str) -> None:
    assert (await decided(model, OLLAMA_CONTEXT_LENGTH=value)).tokens == DEFAULT


async def test_a_model_that_is_loaded_is_not_loaded_again(model: OllamaModel) -> None:
    await warm(model, NAME, ModelOptions(), 40_000)
    assert await decided(model) == Window(40_000, "the server has the model loaded with it")


async def test_a_window_that_is_too_small_is_not_taken_over_from_another_client(
    model: OllamaModel, server: ServerProcess
) -> None:
    await asyncio.to_thread(server.other_client, NAME, num_ctx=4096)
    window = await decided(model)
    assert window.tokens == DEFAULT
    assert window.why.endswith("another client had it loaded with 4,096, too few for an agent")


@pytest.mark.parametrize(
    ("gib", "name", "tokens"),
    [
        (15.0, NAME, 8192),
        (24.0, NAME, 131_072),
        (8.0, "qwen2.5-coder:7b", 32768),
        (6.5, "qwen2.5-coder:7b", 8192),
        (4.0, NAME, DEFAULT),
    ],
)
async def test_the_ladder_goes_by_weights_and_window(model: OllamaModel, gib: float, name: str, tokens: int) -> None:
    info = next(m for m in await model.installed() if m.name == name)
    per_token = (await model.info(name)).kv_bytes
    window = await decided(model, ContextOptions(gpu_gib=gib), name)
    fits = info.size + window.tokens * per_token + 1.5 * memory.GIB < gib * memory.GIB
    assert (window.tokens, fits) == (tokens, "does not fit" not in window.why)
    assert bool(window.spills) is not fits
    assert bool(window.cure) is (fits and "most that fits" in window.why), "--num-ctx would not help"
    assert "GiB of memory for models" in window.why


async def test_where_no_rung_fits_it_is_told_what_that_means(model: OllamaModel) -> None:
    window = await decided(model, ContextOptions(gpu_gib=4.0))
    assert window.why == "the default: the model does not fit into 4.0 GiB of memory for models"
    assert window.spills.startswith(f"{NAME} with a window of {DEFAULT:,} tokens needs about ")
    assert "there are 4.0 GiB of memory for models: the CPU will work on a part of it" in window.spills
    info = msgspec.structs.replace(await model.info(NAME), max_ctx=4096)
    small = await choose_window(model, info, ContextOptions(gpu_gib=14.7), {})
    assert small == Window(4096, "the model's most, and there are 14.7 GiB of memory for models")
    less = await choose_window(model, info, ContextOptions(gpu_gib=4.0), {})
    assert less.tokens == 4096
    assert "with a window of 4,096 tokens" in less.spills


async def test_what_models_take_that_are_loaded_now_counts_as_free(
    model: OllamaModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The server makes room: what our model will displace is not lost to it."""
    await warm(model, "llama3.2:3b", ModelOptions(), 8192)
    (other,) = await model.running()
    card = tmp_path / "card0" / "device"
    card.mkdir(parents=True)
    (card / "mem_info_vram_total").write_text(str(24 * memory.GIB))
    (card / "mem_info_vram_used").write_text(str(other.size_vram))
    monkeypatch.setattr(memory, "DRM", str(tmp_path))
    window = await decided(model)
    assert window == Window(131_072, "the model's most, and there are 24.0 GiB of memory for models")


async def test_the_drivers_own_program_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "DRM", str(tmp_path / "none"))
    monkeypatch.setattr(memory, "NVIDIA", (sys.executable, "-c", "print(8000); print(4000)"))
    assert await memory.model_memory("http://127.0.0.1:1", 0) == memory.Memory(12_000 * 1024**2)
    monkeypatch.setattr(memory, "NVIDIA", (str(tmp_path / "missing"),))
    assert await memory.model_memory("http://127.0.0.1:1", 0) is None
    assert await memory.model_memory("http://gpu-box:11434", 0) is None


async def test_a_program_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "DRM", str(tmp_path / "none"))
    monkeypatch.setattr(memory, "ASK_S", 0.1)
    monkeypatch.setattr(memory, "NVIDIA", (sys.executable, "-c", "input()", "hangs"))
    assert await memory.model_memory("http://127.0.0.1:1", 0) is None


async def test_a_server_that_is_busy_loading_is_not_waited_for(
    sim_server: Callable[..., ServerProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetbox.engine.models.window.ASK_S", 0.05)
    server = sim_server(faults=["stuck@1"])
    model, loader = OllamaModel(server.url), OllamaModel(server.url)
    info = await model.info(NAME)
    loading = asyncio.create_task(warm(loader, NAME, ModelOptions(), 8192))
    try:
        await asyncio.to_thread(server.stats, stalled=1)
        window = await asyncio.wait_for(choose_window(model, info, ContextOptions(), {}), 120)
        assert window.tokens == DEFAULT
    finally:
        loading.cancel()
        await asyncio.wait([loading])
        await model.close()
        await loader.close()


async def test_where_requests_cannot_name_a_window_it_is_the_servers(
    sim_server: Callable[..., ServerProcess],
) -> None:
    model = OpenAIModel(sim_server(flavour="vllm", context_length=20_000).url)
    try:
        assert await decided(model) == Window(20_000, "what the server has")
        assert (await decided(model, ContextOptions(num_ctx=9000))).tokens == 9000
    finally:
        await model.close()


def test_memory_for_each_token_by_what_show_tells() -> None:
    info = {"a.block_count": 28, "a.attention.head_count_kv": 4, "a.attention.key_length": 128}
    assert shown("m", Show(model_info=info)).kv_bytes == 56 * 1024
    widths = {"a.block_count": 28, "a.attention.head_count_kv": [0, 8], "a.embedding_length": 3072}
    assert shown("m", Show(model_info={**widths, "a.attention.head_count": 24})).kv_bytes == 112 * 1024
    assert shown("m", Show(model_info={})).kv_bytes == 0
    told = shown("m", Show(parameters='stop "<|end|>"\nnum_ctx    24576\ntemperature   0.7\n'))
    assert (told.own_ctx, told.own_temperature) == (24576, 0.7)


def test_the_next_rung_below() -> None:
    assert [rung_below(n) for n in (200_000, 131_072, 20_000, 8192)] == [131_072, 65_536, 16_384, 0]


async def test_what_is_not_known_yet_is_asked_for(model: OllamaModel) -> None:
    bare = ModelInfo(name=NAME, max_ctx=131_072)
    known = await choose_window(model, bare, ContextOptions(gpu_gib=40), {})
    assert known.tokens == 131_072


def test_the_journal_has_the_reason() -> None:
    from jetbox.engine.parts import model_ready

    event = model_ready(ModelInfo(name=NAME), 8192, "30m", "as it is set")
    assert json.loads(msgspec.json.encode(event))["why"] == "as it is set"


async def test_what_helps_a_small_window_is_never_more_than_the_model_has(model: OllamaModel) -> None:
    said, cure = too_small(model, ModelInfo(name=NAME, max_ctx=131_072), Window(8192, "as it is set"))
    assert "8,192 tokens (as it is set); below 16k" in said
    assert cure == "raise --num-ctx, or choose a model with a larger window"
    assert (
        too_small(model, ModelInfo(name=NAME, max_ctx=8192), Window(8192, ""))[1]
        == "choose a model with a larger window"
    )
    assert too_small(model, ModelInfo(name=NAME, max_ctx=16_000), Window(16_000, "")) == ("", "")
