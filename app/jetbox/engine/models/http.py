"""The HTTP client of an adapter: plain to servers nearby, httpx's own transport for TLS and proxies."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jetbox.engine.models.lean import import_httpx

if TYPE_CHECKING:
    import httpx

    from jetbox.engine.models.transport import PlainTransport

CONNECT_S = 3.0
ASK_S = 10.0
"""Time limit of short questions; chat has none, its watchdog does."""
PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
LOOPBACK = ("127.", "localhost", "[::1]")


def word_of(status: int) -> str:
    """The field of an answer's head that says more about this status."""
    return "location" if 300 <= status < 400 else "retry-after"


def never_began(error: Exception) -> bool:
    """Whether no answer can have begun: nobody is there, a proxy does not reach it, or what is there speaks no HTTP."""
    httpx = import_httpx()
    never = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
    return never or bool(getattr(error, "first", b""))


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
        SettingsError: a variable of the environment names a proxy or certificates that cannot be used.
    """
    httpx = import_httpx()
    timeout = httpx.Timeout(ASK_S, connect=CONNECT_S, write=30.0, pool=5.0)
    headers = {"Authorization": authorization} if authorization else {}
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
    """Plain HTTP without a proxy; one from the environment never stands between us and this machine."""
    if not host.startswith("http:"):
        return False
    address = host.split("://", 1)[-1]
    if address.startswith(LOOPBACK) or not any(os.environ.get(name) for name in PROXIES):
        return True
    import urllib.request

    bypasses = getattr(urllib.request, "proxy_bypass_environment")  # noqa: B009 - typeshed does not know it
    return bool(bypasses(address.partition("/")[0]))
