"""Addresses of a model server, read as Ollama reads `OLLAMA_HOST`."""

from __future__ import annotations

from jetbox.engine.errors import SettingsError

DEFAULT_PORT = 11434
_SCHEME_PORTS = {"http": 80, "https": 443}
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # a server listens there, a client cannot connect to it
_HINT = "write it as http://127.0.0.1:11434, gpu-box:11434 or https://models.example"
_USER_HINT = "write it as http://USER:PASSWORD@HOST:PORT; in a password %2F stands for /, %40 for @"


def parse_host(text: str) -> str:
    """The address as a URL with its port.

    A bare host gets port 11434, `http://host` port 80 and `https://host` port 443; a path is kept.

    Raises:
        SettingsError: it is no address.
    """
    cleaned = text.strip().strip("\"'").strip()
    scheme, separator, rest = cleaned.partition("://")
    if not separator:
        scheme, rest = "http", cleaned
    scheme = scheme.lower()
    if scheme not in _SCHEME_PORTS:
        raise SettingsError(f"{_shown(text)!r} is no address of a server: the scheme must be http or https", _HINT)
    default_port = _SCHEME_PORTS[scheme] if separator else DEFAULT_PORT
    address, slash, path = rest.partition("/")
    user, at, address = address.rpartition("@")
    try:
        host, port = _split_port(address, default_port, text)
    except SettingsError:
        if "@" not in text:
            raise
        raise SettingsError(f"{_shown(text)!r} is no address of a server", _USER_HINT) from None
    return f"{scheme}://{user}{at}{host}:{port}{slash}{path}".rstrip("/")


def _shown(text: str) -> str:
    """The text without what may be a user and a password in it."""
    begin, at, rest = text.rpartition("@")
    return f"{begin.partition('://')[0]}://***@{rest}" if at and "://" in begin else f"***{at}{rest}" if at else rest


def _split_port(address: str, default_port: int, text: str) -> tuple[str, int]:
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise SettingsError(f"{text!r} is no address of a server: a bracket is not closed", _HINT)
        return _ipv6(host, text), _port(rest[1:], default_port, text)
    if address.count(":") > 1:
        return _ipv6(address, text), default_port
    host, _, port = address.partition(":")
    host = _ANY_ADDRESS.get(host, host) or "127.0.0.1"
    if not all(c.isalnum() or c in "-._~%" for c in host):
        raise SettingsError(f"{text!r} is no address of a server: {host!r} cannot be a host", _HINT)
    return host, _port(port, default_port, text)


def _ipv6(host: str, text: str) -> str:
    import ipaddress

    try:
        address = str(ipaddress.IPv6Address(host))
    except ValueError:
        raise SettingsError(f"{text!r} is no address of a server: {host!r} is no IPv6 address", _HINT) from None
    return f"[{_ANY_ADDRESS.get(address, address)}]"


def _port(port: str, default_port: int, text: str) -> int:
    if not port:
        return default_port
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise SettingsError(f"{text!r} is no address of a server: {port!r} is no port", _HINT)
    return int(port)
