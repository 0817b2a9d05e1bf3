"""Streams that other servers and what stands before them really send, over HTTP, byte for byte."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from engine.gateway import saying
from jetbox.engine.errors import BadAnswer, ModelNotFound
from jetbox.engine.models import openai_stream
from jetbox.engine.models.base import ChatModel, Chunk
from jetbox.engine.models.choose import choose_model
from jetbox.engine.models.mendlines import LONGEST
from jetbox.engine.models.ollama import OllamaModel
from jetbox.engine.models.openai_compat import OpenAIModel
from jetbox.engine.models.openai_lines import Line, decode_line

Answering = Callable[..., Awaitable[str]]
YES = b'{"message":{"content":"Y"}}\n{"message":{"content":"es"}}\n'
DONE = b'{"message":{"content":""},"done":true,"done_reason":"stop","eval_count":2}\n'
PAGES = (b"<html><body>\n<h1>Sign in</h1>\n</body></html>\n", b"\n <!DOCTYPE html>")
PIECES = (
    '{"choices":[{"delta":{"content":"Y"}}]}',
    '{"choices":[{"delta":{"content":"es"}}]}',
    '{"choices":[{"delta":{},"finish_reason":"stop"}]}',
    '{"choices":null,"usage":{"prompt_tokens":3,"completion_tokens":2}}',
    "[DONE]",
)
WHOLE = {
    "choices": [{"message": {"role": "assistant", "content": "Yes"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}


def events(end: str = "\n", pieces: tuple[str, ...] = PIECES) -> bytes:
    return "".join(f"data: {piece}{end}{end}" for piece in pieces).encode()


@pytest_asyncio.fixture
async def said() -> AsyncIterator[Answering]:
    """The text of the answer that an adapter reads out of these pieces of a body; it must be whole."""
    async with AsyncExitStack() as ends:

        async def read(kind: Callable[[str], ChatModel], *body: bytes, content: str = "text/event-stream") -> str:
            head = f"HTTP/1.1 200 x\r\nContent-Type: {content}\r\nConnection: close\r\n\r\n".encode()
            model = kind(await ends.enter_async_context(saying(lambda _: (head, *body))))
            ends.push_async_callback(model.close)
            found: list[Chunk] = []
            async with model.chat(b"{}") as chunks:
                found += [chunk async for chunk in chunks]
            assert [chunk.done for chunk in found if chunk.done] == [True]
            assert found[-1].metrics["eval_count"] == 2
            return "".join(chunk.text for chunk in found)

        yield read


@pytest.mark.parametrize(
    "body",
    [
        (YES + b"\r\n" + DONE + b"\r\n",),
        (b"\xef\xbb\xbf" + YES + DONE,),
        (YES + DONE + b"<html>the proxy says good-bye</html>\n",),
        (YES + DONE + b'{"error":"the runner ended"}\n',),
        (YES + DONE, b"nobody asked for this\n"),
        (b'\xef\xbb\xbf{"message":{"content":"Yes"},"done":true,"done_reason":"stop","eval_count":2}',),
    ],
)
async def test_what_stands_around_an_answer_of_ollamas_is_nobodys(said: Answering, body: tuple[bytes, ...]) -> None:
    assert await said(OllamaModel, *body, content="application/x-ndjson") == "Yes"


async def test_arguments_that_are_null_are_none() -> None:
    call = b'{"id":null,"function":{"index":null,"name":"list_dir","arguments":null}}'
    line = b'{"message":{"content":null,"tool_calls":[' + call + b']},"done":true,"done_reason":null}'
    async with saying(b"HTTP/1.1 200 x\r\nConnection: close\r\n\r\n" + line) as host:
        model = OllamaModel(host)
        async with model.chat(b"{}") as chunks:
            (chunk,) = [chunk async for chunk in chunks]
        await model.close()
    (made,) = chunk.calls
    assert (made.id, made.function.name, bytes(made.function.arguments)) == ("", "list_dir", b"{}")


async def test_half_of_a_character_costs_that_character_alone(said: Answering) -> None:
    torn = rb'"a\\ud83d \ud83d\ude00 \ud83d"'
    mended = "a\\ud83d \N{GRINNING FACE} \N{REPLACEMENT CHARACTER}"
    assert await said(OllamaModel, b'{"message":{"content":' + torn + b"}}\n" + DONE) == mended
    piece = '{"choices":[{"delta":{"content":' + torn.decode() + "}}]}"
    assert await said(OpenAIModel, events(pieces=(piece, *PIECES[2:]))) == mended


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
async def test_events_end_their_lines_in_three_ways(said: Answering, end: str) -> None:
    body = events(end)
    assert await said(OpenAIModel, body) == "Yes"
    assert await said(OpenAIModel, *(body[at : at + 1] for at in range(len(body)))) == "Yes"
    assert await said(OpenAIModel, b"\xef\xbb\xbf" + body) == "Yes"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_an_event_may_stand_in_several_lines(said: Answering, end: str) -> None:
    pieces = tuple(json.dumps(json.loads(p), indent=1).replace("\n", f"{end}data: ") for p in PIECES[:-1])
    assert await said(OpenAIModel, events(end, (*pieces, "[DONE]"))) == "Yes"


@pytest.mark.parametrize("after", ["\n\ndata: [DONE]\n\n", "\ndata: [DONE]\n\n", "\n\n", ""])
async def test_the_last_event_may_stand_in_several_lines_too(said: Answering, after: str) -> None:
    last = json.dumps(json.loads(PIECES[3]), indent=1).replace("\n", "\ndata: ")
    assert await said(OpenAIModel, events(pieces=PIECES[:3]), f"data: {last}{after}".encode()) == "Yes"


async def test_an_event_of_many_lines_is_read_when_it_is_whole(
    said: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0

    def counted(data: bytes) -> Line:
        nonlocal read
        read += len(data)
        return decode_line(data)

    monkeypatch.setattr(openai_stream, "decode_line", counted)
    event = json.dumps({"choices": [{"delta": {"content": "Y"}}], "of no use": [0] * 5000}, indent=0)
    body = events(pieces=(event.replace("\n", "\ndata: "), *PIECES[1:]))
    assert await said(OpenAIModel, body) == "Yes"
    assert read < 2 * len(body), "no line is read again with each one that follows it"


@pytest.mark.parametrize("torn", ["", 'data: {"choices":null,"usa'])
async def test_an_answer_whose_end_was_said_is_whole_though_the_connection_breaks(torn: str) -> None:
    head = b"HTTP/1.1 200 x\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n"

    async def heard(pieces: tuple[str, ...]) -> list[Chunk]:
        async with saying(lambda _: (head, events(pieces=pieces) + torn.encode())) as host:
            model = OpenAIModel(host)
            try:
                async with model.chat(b"{}") as chunks:
                    return [chunk async for chunk in chunks]
            finally:
                await model.close()

    found = await heard(PIECES[:3])
    assert "".join(chunk.text for chunk in found) == "Yes"
    assert (found[-1].done, found[-1].done_reason) == (True, "stop")
    with pytest.raises(BadAnswer, match="broke off"):
        await heard(PIECES[:2])


@pytest.mark.parametrize("indent", [None, 2])
async def test_a_server_that_does_not_stream_is_heard_all_the_same(said: Answering, indent: int | None) -> None:
    body = json.dumps(WHOLE, indent=indent).encode()
    assert await said(OpenAIModel, body[:20], body[20:], content="application/json; charset=utf-8") == "Yes"


@pytest.mark.parametrize(("kind", "body"), [(kind, body) for kind in (OllamaModel, OpenAIModel) for body in PAGES])
async def test_a_page_in_an_answers_place_is_named(
    said: Answering, kind: Callable[[str], ChatModel], body: bytes
) -> None:
    with pytest.raises(BadAnswer, match=r"^a page of HTML stands in the answer's place$"):
        await said(kind, body, content="text/html")


@pytest.mark.parametrize(
    "body",
    [
        events(pieces=(PIECES[0], "{no json", *PIECES[1:])),
        f"data: {PIECES[0]}\ndata: {{no json\ndata: {PIECES[1]}\n\n".encode(),
        b"data: {" + b"x" * LONGEST + b"\n",
        b'data: {"error":' + b"[" * 9999 + b"\n\n",
    ],
)
async def test_an_event_that_cannot_be_read_is_still_garbage(said: Answering, body: bytes) -> None:
    with pytest.raises(BadAnswer, match="garbage in the answer's stream"):
        await said(OpenAIModel, body)


@pytest.mark.parametrize("kind", [OllamaModel, OpenAIModel])
async def test_a_line_without_an_end_is_not_heard_out(said: Answering, kind: Callable[[str], ChatModel]) -> None:
    taken = 0

    def endless(asked: bytes) -> Iterator[bytes]:
        nonlocal taken
        yield b"HTTP/1.1 200 x\r\nConnection: close\r\n\r\n"
        while taken < 8 * LONGEST:
            yield b"x" * 65_536
            taken += 65_536

    async with saying(endless) as host:
        model = kind(host)
        with pytest.raises(BadAnswer, match="garbage in the answer's stream: 'xxx"):
            await heard_of(model)
        if model.manages:
            with pytest.raises(BadAnswer, match="garbage in the answer's stream: 'xxx"):
                [step async for step in model.pull("x")]
        await model.close()
    assert LONGEST < taken < 8 * LONGEST


async def heard_of(model: ChatModel) -> list[Chunk]:
    async with model.chat(b"{}") as chunks:
        return [chunk async for chunk in chunks]


REFUSALS = {
    "cut": (b"Content-Length: 99\r\n", b'{"error"', "the server answered 500: "),
    "not gzip": (b"Content-Encoding: gzip\r\n", b"abcde", "the server answered 500: "),
    "deep": (b"", b'{"error":' * 9999, "the server answered 500: "),
    "long": (b"", b"x" * (LONGEST + 99), "the server answered 500: xxx"),
}


@pytest.mark.parametrize("how", REFUSALS)
@pytest.mark.parametrize("kind", [OllamaModel, OpenAIModel])
async def test_a_refusal_that_cannot_be_read_is_one_all_the_same(kind: Callable[[str], ChatModel], how: str) -> None:
    field, body, words = REFUSALS[how]
    async with saying(b"HTTP/1.1 500 x\r\nConnection: close\r\n" + field + b"\r\n" + body) as host:
        model = kind(host)
        with pytest.raises(BadAnswer) as caught:
            await heard_of(model)
        await model.close()
    broke = f"the server at {host} broke off before it answered"
    assert caught.value.message.startswith(broke if how == "cut" and kind is OllamaModel else words)


async def test_what_is_null_in_figures_is_unknown_and_no_garbage() -> None:
    usage = '{"choices":[],"usage":{"prompt_tokens":null,"completion_tokens":2}}'
    logprobs = '{"choices":[{"delta":{},"logprobs":{"content":[{"logprob":null},{"logprob":-1}]}}]}'
    body = events(pieces=(logprobs, *PIECES[:3], usage, "[DONE]"))
    async with saying(b"HTTP/1.1 200 x\r\nConnection: close\r\n\r\n" + body) as host:
        model = OpenAIModel(host)
        chunks = await heard_of(model)
        await model.close()
    assert chunks[0].logprobs == (-1.0,)
    assert chunks[-1].metrics == {"eval_count": 2}


async def test_arguments_nested_beyond_reading_stay_text() -> None:
    deep = json.dumps("[" * 9999)
    call = f'{{"choices":[{{"delta":{{"tool_calls":[{{"function":{{"name":"f","arguments":{deep}}}}}]}}}}]}}'
    body = events(pieces=(call, *PIECES[2:]))
    async with saying(b"HTTP/1.1 200 x\r\nConnection: close\r\n\r\n" + body) as host:
        model = OpenAIModel(host)
        (made,) = [each for chunk in await heard_of(model) for each in chunk.calls]
        await model.close()
    assert bytes(made.function.arguments) == deep.encode()


async def test_a_list_that_is_null_is_empty() -> None:
    said = b'{"object":"list","data":null}\n'
    async with saying(b"HTTP/1.1 200 x\r\nConnection: close\r\n\r\n" + said) as host:
        model = OpenAIModel(host)
        with pytest.raises(ModelNotFound, match="no model was named, and the server has: nothing yet"):
            await choose_model(model, "")
        await model.close()
