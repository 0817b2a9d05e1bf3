"""What stands before a server may compress its answers, where it is told that it may."""

from __future__ import annotations

import gzip
from collections.abc import Iterable

import pytest

from engine.gateway import answer, saying
from jetbox.engine.models.connect import connect
from jetbox.engine.options import ModelOptions

OLLAMA = b'{"message": {"content": "So."}, "done": true, "done_reason": "stop"}\n'
OPENAI = b'data: {"choices": [{"delta": {"content": "So."}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


def compressed_where_it_may_be(asked: bytes) -> Iterable[bytes]:
    """As nginx and others do it: what no field speaks of may be compressed as well."""
    head = asked.partition(b"\r\n\r\n")[0].lower()
    body = OPENAI if b"/chat/completions" in head else OLLAMA
    plain = b"\r\naccept-encoding: identity" in head
    yield answer(200, body) if plain else answer(200, gzip.compress(body), "Content-Encoding: gzip")


@pytest.mark.parametrize("path", ["", "/v1"])
@pytest.mark.parametrize("proxied", [False, True])
async def test_no_answer_is_asked_for_that_would_be_compressed(
    monkeypatch: pytest.MonkeyPatch, path: str, proxied: bool
) -> None:
    async with saying(compressed_where_it_may_be) as url:
        if proxied:
            monkeypatch.setenv("http_proxy", url)
        client = connect(ModelOptions(host=("http://models.example" if proxied else url) + path))
        async with client.chat(b"{}") as chunks:
            assert "".join([chunk.text async for chunk in chunks]) == "So."
        await client.close()
