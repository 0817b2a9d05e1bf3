"""The HTTP client of an adapter: plain to servers nearby, httpx's own transport for TLS and proxies."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from jetbox.engine.errors import SettingsError
from jetbox.engine.models.lean import import_httpx
from jetbox.engine.models.proxies import proxy_of

if TYPE_CHECKING:
    import httpx

    from jetbox.engine.models.transport import PlainTransport

CONNECT_S = 3.0
ASK_S = 10.0
"""Time limit of short questions; chat has none, its watchdog does."""
PLAIN = "identity"
"""Streams are read as they come: what compresses an answer would hold its tokens back besides."""
Fields = Iterable[tuple[bytes, bytes]]
"""Of an answer's head."""


class Refused(msgspec.Struct, frozen=True):
    """An answer that is none: its status, what came with it, and the path that was asked."""

    status: int
    body: bytes
    path: str
    retry_after: str = ""
    location: str = ""


def refused(status: int, body: bytes, path: str, fields: Fields) -> Refused:
    """Such an answer, with what the fields of its head say."""
    found = {name.lower(): value.decode("ascii", "replace") for name, value in fields}
    return Refused(status, body, path, found.get(b"retry-after", ""), found.get(b"location", ""))


def never_began(error: Exception) -> bool:
    """Whether no answer can have begun: nobody is there, a proxy does not reach it, or what is there speaks no HTTP."""
    from jetbox.engine.models.transport import NoHttp

    httpx = import_httpx()
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError | NoHttp)


def retry_after(value: str) -> float:
    """Seconds that a `Retry-After` asks for, as a number or as a date; 0 where it says nothing."""
    value = value.strip()
    if not value:
        return 0.0
    try:
        return max(0.0, float(value)) if value[0].isdigit() and value[-1].isdigit() else _until(value)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _until(date: str) -> float:
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    return max(0.0, (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds())


def client_for(host: str, authorization: str = "") -> tuple[httpx.AsyncClient, PlainTransport | None]:
    """A client for this host (a URL without a user), and its transport where that is ours.

    `authorization` goes with every request.

    Raises:
        SettingsError: a variable of the environment names a proxy or certificates that cannot be used, or the host
            cannot be one.
    """
    httpx = import_httpx()
    try:
        httpx.URL(host)
    except httpx.InvalidURL as error:
        raise SettingsError(f"{host!r} is no address of a server: {error}", "check --host and OLLAMA_HOST") from error
    timeout = httpx.Timeout(ASK_S, connect=CONNECT_S, write=30.0, pool=5.0)
    headers = {"Accept-Encoding": PLAIN, **({"Authorization": authorization} if authorization else {})}
    if not is_plain(host):
        try:
            return httpx.AsyncClient(base_url=host, timeout=timeout, headers=headers), None
        except (ImportError, ValueError, httpx.InvalidURL, OSError) as error:
            from jetbox.engine.models.variables import unusable

            raise unusable(error, os.environ) from error
    from jetbox.engine.models.transport import PlainTransport

    plain = PlainTransport()
    return httpx.AsyncClient(base_url=host, timeout=timeout, headers=headers, transport=plain), plain


def is_plain(host: str) -> bool:
    """Plain HTTP without a proxy."""
    return host.startswith("http:") and not proxy_of(host, os.environ)
