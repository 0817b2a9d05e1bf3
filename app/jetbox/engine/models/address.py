"""A server's address: what of it is shown and recorded, and the user in it, who is sent along and never shown."""

from __future__ import annotations

LOOPBACK = ("127.", "localhost", "[::1]")


def bare(host: str) -> str:
    """The address without a user and a password in it."""
    scheme, separator, rest = host.partition("://") if "://" in host else ("", "", host)
    place, slash, path = rest.partition("/")
    return f"{scheme}{separator}{place.rpartition('@')[2]}{slash}{path}"


def without_scheme(host: str) -> str:
    """The address from its host on."""
    return host.split("://", 1)[-1]


def on_this_machine(host: str) -> bool:
    """Whether the address, one without a user, leads to where we run."""
    return without_scheme(host).startswith(LOOPBACK)


def secrets_in(host: str) -> tuple[str, ...]:
    """What in an address (a URL) nobody else may know: the password, else the user; decoded, and as it stands there."""
    user, _, password = _user(host).partition(":")
    secret = password or user
    return tuple(dict.fromkeys(filter(None, (_decoded(secret), secret))))


def authorization(host: str, key: str) -> str:
    """What every request to the address says of who asks: the key, else the user in it; empty where neither is."""
    if key:
        return f"Bearer {key}"
    user, _, password = _user(host).partition(":")
    if not (user or password):
        return ""
    from base64 import b64encode

    return "Basic " + b64encode(f"{_decoded(user)}:{_decoded(password)}".encode()).decode()


def _user(host: str) -> str:
    return host.partition("://")[2].partition("/")[0].rpartition("@")[0]


def _decoded(text: str) -> str:
    if "%" not in text:
        return text
    from urllib.parse import unquote

    return unquote(text)
