"""What is said where no answer of the server's comes: each cause with its cure, over real connections."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from engine.gateway import PAGE, answer
from jetbox.engine.errors import BadAnswer, ForeignServer, KeyWanted, ModelError, OtherProtocol, ServerUnreachable
from jetbox.engine.models.base import ChatModel
from jetbox.engine.models.connect import connected
from jetbox.engine.models.either import EitherModel
from jetbox.engine.models.ollama import OllamaModel
from jetbox.engine.models.openai_compat import OpenAIModel
from jetbox.engine.options import ModelOptions

VERSION = answer(200, b'{"version": "0.33.3"}')
ALERT = b"\x15\x03\x01\x00\x02\x02\x46"
HTTPS_WANTED = b"Client sent an HTTP request to an HTTPS server.\n"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
# Made for this test: nobody else trusts it.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBjDCCATKgAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDEwlsb2NhbGhv
c3QwIBcNMDAwMTAxMDAwMDAwWhgPMjEyNjAxMDEwMDAwMDBaMBQxEjAQBgNVBAMT
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAVV4esHWx+rzOa4
HBvInkqJLa+LzGED0DJqz5yIJWW0EAfzHVbq/h91w7I+Y/KOePTzca7w/pf0EYC6
um8sdg2jczBxMA4GA1UdDwEB/wQEAwIChDATBgNVHSUEDDAKBggrBgEFBQcDATAP
BgNVHRMBAf8EBTADAQH/MB0GA1UdDgQWBBSoG2YJThWrSDyJbds5naddWTf5ajAa
BgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZIzj0EAwIDSAAwRQIgIp4X
MfxWs+CfSrleUE6KrUQffjOBQsRvWNQuf/7TXLUCIQD2+0TK1y+7MHiqndYXPQQ6
dZRNyQhyVr7C+BCzHDi6SQ==
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPm6M4Mm2dTbbKFHo
mhVc6EPPpXbtQSd45dKdt1lOzKKhRANCAAQFVeHrB1sfq8zmuBwbyJ5KiS2vi8xh
A9Ayas+ciCVltBAH8x1W6v4fdcOyPmPyjnj083Gu8P6X9BGAurpvLHYN
-----END PRIVATE KEY-----
"""
Listening = Callable[..., Awaitable[str]]
ADAPTERS = [OllamaModel, OpenAIModel]
Adapter = type[OllamaModel] | type[OpenAIModel]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "server.pem"
    path.write_text(CERTIFICATE)
    return path


@pytest_asyncio.fixture
async def listening() -> AsyncIterator[Listening]:
    """Listens on a port, and says to whoever connects and sent something these bytes; `tls` is its certificate."""
    async with AsyncExitStack() as ends:

        async def listen(said: bytes, tls: Path | None = None) -> str:
            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.read(65536)
                writer.write(said.replace(b"HERE", here.encode()))
                await writer.drain()
                writer.close()

            context = None
            if tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(tls)
            server = await ends.enter_async_context(await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
            here = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return here

        yield listen


@pytest.fixture
def dead(dead_port: int) -> str:
    return f"127.0.0.1:{dead_port}"


async def chat(model: ChatModel) -> None:
    async with model.chat(b"{}") as chunks:
        async for _ in chunks:
            pass


async def refused(model: ChatModel, ask: Callable[[ChatModel], Awaitable[Any]]) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await ask(model)
    return caught.value


async def asked(adapter: Adapter, host: str) -> list[ModelError]:
    """What lists and chat say; the first is what `doctor` tells too."""
    model = adapter(host)
    try:
        return [await refused(model, lambda it: it.installed()), await refused(model, chat)]
    finally:
        await model.close()


@pytest.mark.parametrize("adapter", ADAPTERS)
async def test_a_redirect_is_said_with_where_it_leads_and_not_followed(adapter: Adapter, listening: Listening) -> None:
    path = "/v1/models" if adapter is OpenAIModel else "/api/tags"
    here = await listening(answer(302, b"", f"Location: https://user:secret@box:8443{path}"))
    first, _ = await asked(adapter, f"http://{here}")
    assert type(first) is ForeignServer, "which is not sent again"
    assert first.message == f"the server at http://{here} redirects to https://box:8443{path} (302)"
    assert first.hint == "name that one: --host https://box:8443"
    here = await listening(answer(308, b"", f"Location: https://box/gw{path}"))
    first, _ = await asked(adapter, f"http://{here}/gw")
    assert first.message == f"the server at http://{here}/gw redirects to https://box/gw{path} (308)"
    assert first.hint == "name that one: --host https://box/gw"


@pytest.mark.parametrize("adapter", ADAPTERS)
async def test_a_redirect_to_a_sign_in_to_itself_or_nowhere(adapter: Adapter, listening: Listening) -> None:
    here = await listening(answer(302, b"", "Location: https://login.example.invalid/sso?next=secret"))
    for error in await asked(adapter, f"http://{here}"):
        assert type(error) is ForeignServer
        assert error.message.endswith("redirects to https://login.example.invalid/sso (302)")
        assert "a sign-in may stand before it" in error.hint
    path = "/v1/chat/completions" if adapter is OpenAIModel else "/api/chat"
    here = await listening(answer(307, b"", f"Location: {path}"))
    _, error = await asked(adapter, f"http://{here}")
    assert error.message.endswith(f"redirects to http://{here}{path} (307), which is itself")
    here = await listening(answer(301))
    for error in await asked(adapter, f"http://{here}"):
        assert type(error) is ForeignServer
        assert "leads nowhere (301)" in error.message


@pytest.mark.parametrize("adapter", ADAPTERS)
async def test_a_certificate_that_nobody_trusts_is_named_and_its_cure_works(
    adapter: Adapter, listening: Listening, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await listening(VERSION, certificate)
    for error in await asked(adapter, f"https://{here}"):
        assert type(error) is ServerUnreachable
        assert (
            error.message == f"the certificate of the server at https://{here} is not trusted: self-signed certificate"
        )
        assert "SSL_CERT_FILE" in error.hint
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    model = adapter(f"https://{here}")
    assert await model.version() == "0.33.3"
    await model.close()


@pytest.mark.parametrize("adapter", ADAPTERS)
async def test_tls_and_none_are_not_mixed_up(adapter: Adapter, listening: Listening) -> None:
    here = await listening(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    for error in await asked(adapter, f"https://{here}"):
        assert (error.message, error.hint) == (
            f"the server at https://{here} speaks no TLS",
            f"write http://{here}",
        )
    for said in (
        ALERT,
        answer(400, HTTPS_WANTED),
        answer(400, b"<p>The plain HTTP request was sent to HTTPS port</p>"),
    ):
        here = await listening(said)
        for error in await asked(adapter, f"http://{here}"):
            assert (error.message, error.hint) == (f"the server at http://{here} speaks TLS", f"write https://{here}")


@pytest.mark.parametrize("adapter", ADAPTERS)
async def test_what_is_no_server_of_models_is_told_by_what_it_says(adapter: Adapter, listening: Listening) -> None:
    here = await listening(b"SSH-2.0-OpenSSH_9.6\r\nmore")
    for error in await asked(adapter, f"http://{here}"):
        assert error.message == f"what listens at http://{here} speaks no HTTP: it says 'SSH-2.0-OpenSSH_9.6'"
        assert "port" in error.hint
    here = await listening(b"")
    first, second = await asked(adapter, f"http://{here}")
    assert first.message == f"what listens at http://{here} closes the connection without an answer"
    assert "https://" in first.hint
    assert type(second) is BadAnswer, "a request that may have been read is not one that never arrived"


@pytest.mark.parametrize("adapter", ADAPTERS)
async def test_a_name_that_no_machine_has_is_told(adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for scheme in ("http", "https"):
        for error in await asked(adapter, f"{scheme}://nosuch.invalid:11434"):
            assert error.message == "no machine of the name nosuch.invalid is known here"
            assert "--host" in error.hint


@pytest.mark.parametrize("adapter", ADAPTERS)
async def test_a_proxy_that_is_dead_or_refuses_is_named_with_its_variable(
    adapter: Adapter, listening: Listening, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:secret@{dead}")
    for error in await asked(adapter, "http://192.0.2.2:11434"):
        assert error.message == f"the proxy of http_proxy (http://{dead}) does not answer"
        assert "NO_PROXY=192.0.2.2" in error.hint
    monkeypatch.setenv("http_proxy", f"user:secret@{dead}")
    for error in await asked(adapter, "http://192.0.2.2:11434"):
        assert error.message == f"the proxy of http_proxy ({dead}) does not answer"
    for error in await asked(adapter, f"http://{dead}"):
        assert "proxy" not in error.message, "none stands between us and this machine"
    monkeypatch.setenv("https_proxy", f"http://{await listening(answer(403))}")
    for error in await asked(adapter, "https://192.0.2.2:11434"):
        assert "the proxy of https_proxy (http://127.0.0.1:" in error.message
        assert "refuses https://192.0.2.2:11434: 403" in error.message


@pytest.mark.parametrize("adapter", ADAPTERS)
async def test_nobody_there_is_said_as_ever(adapter: Adapter, dead: str) -> None:
    for scheme in ("http", "https"):
        for error in await asked(adapter, f"{scheme}://{dead}"):
            assert type(error) is ServerUnreachable
            assert error.message.endswith(f"server answers at {scheme}://{dead}")


async def test_a_page_before_every_path_is_no_wish_for_a_key(listening: Listening) -> None:
    model = await connected(ModelOptions(host=f"http://{await listening(answer(403, PAGE))}"), {})
    assert isinstance(model, EitherModel)
    error = await refused(model, lambda it: it.installed())
    assert not isinstance(error, KeyWanted)
    assert error.message.endswith("refused (403, a page of HTML)")
    assert "what stands before it" in error.hint
    await model.close()


@pytest.mark.parametrize("status", [200, 404, 405, 500, 501])
@pytest.mark.parametrize("path", ["", "/v1"])
async def test_a_web_server_is_no_server_of_models_whatever_it_is_asked(
    listening: Listening, status: int, path: str
) -> None:
    here = f"http://{await listening(answer(status, PAGE))}"
    model = await connected(ModelOptions(host=here + path), {})
    for ask in (lambda it: it.installed(), lambda it: it.info("gpt-oss:20b")):
        error = await refused(model, ask)
        assert type(error) is OtherProtocol
        words = "does not speak OpenAI's protocol" if path else "is neither Ollama nor a server with OpenAI's protocol"
        assert error.message == f"what answers at {here} {words}{f' (status {status})' if status > 200 else ''}"
        assert "--host" in error.hint
        assert f"{here}/v1" not in error.hint, "that was tried"
    await model.close()


async def test_a_page_of_a_server_that_has_spoken_is_an_error_of_the_servers(listening: Listening) -> None:
    model = OllamaModel(f"http://{await listening(VERSION)}")
    await model.version()
    model.host = f"http://{await listening(answer(500, PAGE))}"
    await model.close()
    error = await refused(model, chat)
    await model.close()
    assert (type(error), error.message) == (BadAnswer, "the server answered 500: a page of HTML")


@pytest.mark.parametrize("adapter", ADAPTERS)
async def test_a_port_that_takes_a_question_and_says_nothing(adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jetbox.engine.models.http.ASK_S", 0.05)
    monkeypatch.setattr("jetbox.engine.models.openai_compat.ASK_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        model = adapter(f"http://127.0.0.1:{mute.getsockname()[1]}")
        error = await refused(model, lambda it: it.installed())
        await model.close()
    assert type(error) is ServerUnreachable
    assert "took the question and did not answer" in error.message
    assert "the port in --host" in error.hint
