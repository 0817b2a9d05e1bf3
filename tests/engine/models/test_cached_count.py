"""A zero is absent on the wire: what that means is known by the server's version."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from engine.gateway import saying
from jetbox.engine.errors import BadAnswer
from jetbox.engine.models.base import EVALUATED
from jetbox.engine.models.figures import Figures, sample
from jetbox.engine.models.manage import last
from jetbox.engine.models.ollama import OllamaModel

FIGURES = b'"load_duration":50000000,"prompt_eval_count":2000,"prompt_eval_duration":1000000000'
Versioned = Callable[..., Awaitable[OllamaModel]]


@pytest_asyncio.fixture
async def versioned() -> AsyncIterator[Versioned]:
    """Makes an adapter to a server of this version, whose answer ends with these fields."""
    async with AsyncExitStack() as ends:

        async def make(version: bytes, fields: bytes = FIGURES) -> OllamaModel:
            def said(asked: bytes) -> list[bytes]:
                chat = b'{"message":{"content":"x"},"done":true,' + fields + b"}\n"
                body = chat if b"/api/chat" in asked else b'{"version":"' + version + b'"}'
                status = b"200 OK" if chat is body or version else b"500 broken"
                return [b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)]

            model = OllamaModel(await ends.enter_async_context(saying(said)))
            ends.push_async_callback(model.close)
            return model

        yield make


@pytest.mark.parametrize(
    ("version", "counts"),
    [
        (b"0.33.3", True),
        (b"0.33.3-rc1", True),
        (b"0.40.12", True),
        (b"0.33.2", False),
        (b"0.30.0", False),
        (b"", False),
    ],
)
async def test_absent_is_none_where_the_server_counts_and_unknown_where_it_does_not(
    versioned: Versioned, version: bytes, counts: bool
) -> None:
    metrics = (await last(await versioned(version), b"{}")).metrics
    assert metrics.get("prompt_eval_cached_count") == (0 if counts else None)


async def test_a_count_of_what_was_evaluated_is_no_count_of_the_prompt(versioned: Versioned) -> None:
    metrics = (await last(await versioned(b"0.30.0"), b"{}")).metrics
    assert "prompt_eval_count" not in metrics
    assert metrics[EVALUATED] == 2000
    figures = Figures()
    sample(figures, metrics, 1)
    assert figures.prefill == [2000.0], "as many tokens in that time"


async def test_a_miss_of_a_warm_model_teaches_how_fast_it_reads(versioned: Versioned) -> None:
    figures = Figures()
    sample(figures, (await last(await versioned(b"0.33.3"), b"{}")).metrics, 1)
    assert figures.prefill == [2000.0]
    sample(figures, (await last(await versioned(b"0.33.2"), b"{}")).metrics, 1)
    assert figures.prefill == [2000.0], "what was cached is not known there"


@pytest.mark.parametrize(
    ("fields", "cached"),
    [
        (FIGURES + b',"prompt_eval_cached_count":7', 7),
        (FIGURES + b',"remote_host":"https://ollama.com"', None),
        (b'"done_reason":"load"', None),
    ],
)
async def test_what_is_told_stands_and_nothing_is_made_up_elsewhere(
    versioned: Versioned, fields: bytes, cached: int | None
) -> None:
    metrics = (await last(await versioned(b"0.33.3", fields), b"{}")).metrics
    assert metrics.get("prompt_eval_cached_count") == cached


@pytest.mark.parametrize("broken", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"])
async def test_a_server_that_comes_back_as_another_version_is_asked_for_it_again(broken: bytes) -> None:
    releases = iter([b"0.33.2", b"0.33.3"])
    whole = b'{"done":true,' + FIGURES + b"}"
    chats = iter([b"HTTP/1.1 200 OK\r\n\r\n" + whole, broken, b"HTTP/1.1 200 OK\r\n\r\n" + whole])

    def said(asked: bytes) -> list[bytes]:
        if b"/api/chat" in asked:
            return [next(chats)]
        return [b'HTTP/1.1 200 OK\r\n\r\n{"version":"' + next(releases) + b'"}']

    async with saying(said) as host:
        model = OllamaModel(host)
        assert "prompt_eval_cached_count" not in (await last(model, b"{}")).metrics
        with pytest.raises(BadAnswer):
            await last(model, b"{}")
        assert (await last(model, b"{}")).metrics["prompt_eval_cached_count"] == 0
        await model.close()
