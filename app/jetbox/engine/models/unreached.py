"""Why no answer of the server's came (nobody there, TLS, a proxy, a name, another server, a redirect), and the cure."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

from jetbox.engine.errors import ForeignServer, ModelError, ServerUnreachable
from jetbox.engine.models.address import bare
from jetbox.engine.models.http import ASK_S, Refused
from jetbox.engine.models.lean import import_httpx
from jetbox.engine.models.proxies import proxy_of
from jetbox.engine.models.transport import NoHttp, Silent

CLOSED = "see whether it is well; where it speaks TLS, write https:// in --host"
NOTHING = "disconnected without sending"
"""What httpx's own transport says of a server that did not say a word."""
NO_METHOD = 501
SHOWN = 40
"""Bytes that are shown of what something else says."""


def unreached(error: Exception, host: str, nobody: ModelError) -> ModelError:
    """What an error of httpx's means for a question to this host (a URL); `nobody` where nothing listens there."""
    return _tls(error, host) or _proxy(error, host) or _name(error, host) or _other(error, host) or nobody


def redirected(host: str, refused: Refused) -> ModelError:
    """The server sends everybody elsewhere: followed by hand, for a prompt is not sent to where nobody wanted it."""
    status, location, path = refused.status, refused.location, refused.path
    if not location:
        return ForeignServer(
            f"the server at {host} answers with a redirect that leads nowhere ({status})",
            "check --host; see what stands before the server",
        )
    where = urlsplit(urljoin(f"{host}{path}", location))
    plain = bare(where._replace(query="", fragment="").geturl())
    base = plain.removesuffix(path)
    said = f"the server at {host} redirects to {plain} ({status})"
    if base == host:
        return ForeignServer(f"{said}, which is itself", "see what stands before the server")
    if base == plain:
        return ForeignServer(said, "name with --host an address that answers by itself; a sign-in may stand before it")
    return ForeignServer(said, f"name that one: --host {base}")


def like_a_web_server(status: int, body: bytes) -> bool:
    """Whether a refusal is one that servers of models do not give: a page, or a method that is not known."""
    return status == NO_METHOD or body.lstrip()[:1] == b"<"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What led to it, each once: a cause that was raised again in another's handling leads back to that."""
    told: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and not any(following is each for each in told):
        yield following
        told.append(following)
        following = following.__cause__ or following.__context__


def _tls(error: Exception, host: str) -> ModelError | None:
    found = next((each for each in _causes(error) if isinstance(each, ssl.SSLError)), None)
    if isinstance(found, ssl.SSLCertVerificationError):
        return ServerUnreachable(
            f"the certificate of the server at {host} is not trusted: {found.verify_message}",
            "where it is yours, have SSL_CERT_FILE name a file with it, or with the authority that signed it",
        )
    plainly = f"where it speaks plain HTTP, write http{host.removeprefix('https')}"
    if isinstance(found, ssl.SSLWantReadError):
        return ServerUnreachable(f"the server at {host} takes the connection and does not answer in TLS", plainly)
    if found is not None and found.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
        return ServerUnreachable(f"the server at {host} speaks no TLS", f"write http{host.removeprefix('https')}")
    if found is not None:
        return ServerUnreachable(f"the server at {host} breaks off in TLS: {found.reason or found}", plainly)
    return None


def speaks_tls(host: str) -> ModelError:
    """A server with TLS that was spoken to without."""
    return ServerUnreachable(f"the server at {host} speaks TLS", f"write https{host.removeprefix('http')}")


def _proxy(error: Exception, host: str) -> ModelError | None:
    httpx = import_httpx()
    variable = proxy_of(host, os.environ)
    if not variable or not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        return None
    where = bare(os.environ[variable])
    cure = f"or have it passed by: NO_PROXY={urlsplit(host).hostname}"
    if isinstance(error, httpx.ProxyError):
        return ServerUnreachable(f"the proxy of {variable} ({where}) refuses {host}: {error}", f"see its log, {cure}")
    return ServerUnreachable(f"the proxy of {variable} ({where}) does not answer", f"start it, {cure}")


def _name(error: Exception, host: str) -> ModelError | None:
    if not any(isinstance(each, socket.gaierror) for each in _causes(error)):
        return None
    return ServerUnreachable(
        f"no machine of the name {urlsplit(host).hostname} is known here", "check --host and OLLAMA_HOST"
    )


def _other(error: Exception, host: str) -> ModelError | None:
    httpx = import_httpx()
    if isinstance(error, httpx.ReadTimeout):
        return ServerUnreachable(
            f"the server at {host} took the question and did not answer within {ASK_S:g} s",
            "it may be loading a model; else see the server's log, and whether the port in --host is its own",
        )
    if isinstance(error, NoHttp) and error.first[:1] == b"\x15":  # an alert of TLS: the request was no greeting
        return speaks_tls(host)
    if isinstance(error, NoHttp):
        said = error.first[:SHOWN].split(b"\n")[0].strip().decode("ascii", "backslashreplace")
        return ServerUnreachable(
            f"what listens at {host} speaks no HTTP: it says {said!r}", "check the port in --host and OLLAMA_HOST"
        )
    if isinstance(error, httpx.ReadError | Silent) or NOTHING in str(error):
        return ServerUnreachable(f"what listens at {host} closes the connection without an answer", CLOSED, away=True)
    if isinstance(error, httpx.RemoteProtocolError):
        return ServerUnreachable(f"what listens at {host} speaks no proper HTTP: {error}", CLOSED)
    return None
