"""What is wrong with a proxy, or a file of certificates, that a variable of the environment names."""

from __future__ import annotations

from collections.abc import Mapping

from jetbox.engine.errors import SettingsError
from jetbox.engine.models.lean import import_httpx
from jetbox.engine.models.proxies import named

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def unusable(error: Exception, environ: Mapping[str, str]) -> SettingsError:
    """Why no client could be made in this environment, in words that name the variable."""
    if isinstance(error, OSError):
        name = next(filter(environ.get, CERTIFICATES), CERTIFICATES[0])
        why = error.strerror or str(error)
        return SettingsError(
            f"{name} names no certificates that can be read: {environ.get(name, '')!r} ({why})",
            f"let it name a PEM file with the certificate of whoever signed the server's, or unset {name}",
        )
    for name in filter(None, (named(kind, environ) for kind in ("http", "https", "all"))):
        if why := _wrong(environ[name]):
            hint = f"write it as http://HOST:PORT, or unset {name}; NO_PROXY names servers that are reached without it"
            return SettingsError(f"{name} names no proxy that can be used: {why}", hint)
    return SettingsError(f"NO_PROXY cannot be read: {error}", "write it as HOST,HOST, or unset it")


def _wrong(value: str) -> str:
    """What is wrong with an address of a proxy, which may hold a password; empty where nothing is."""
    address = value if "://" in value else f"http://{value}"
    scheme = address.partition("://")[0].lower()
    if scheme.startswith("socks"):
        return f"{scheme} is not spoken here"
    if scheme not in ("http", "https"):
        return f"{scheme!r} is no protocol of a proxy"
    httpx = import_httpx()
    try:
        httpx.Proxy(address)
    except (ValueError, httpx.InvalidURL):
        return "it is no address"
    return ""
