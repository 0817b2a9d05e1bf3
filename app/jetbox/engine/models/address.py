"""A server's address: what of it is shown and recorded, and the user in it, who is sent along and never shown."""

from __future__ import annotations


def bare(host: str) -> str:
    """The address (a URL) without a user and a password in it."""
    scheme, separator, rest = host.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{separator}{place.rpartition('@')[2]}{slash}{path}"


def password_in(host: str) -> str:
    """The password in an address; empty where there is none."""
    return _user(host)[1]


def authorization(host: str, key: str) -> str:
    """What every request to the address says of who asks: the key, else the user in it; empty where neither is."""
    if key:
        return f"Bearer {key}"
    user, password = _user(host)
    if not (user or password):
        return ""
    from base64 import b64encode

    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def _user(host: str) -> tuple[str, str]:
    user, _, password = host.partition("://")[2].partition("/")[0].rpartition("@")[0].partition(":")
    if "%" not in user + password:
        return user, password
    from urllib.parse import unquote

    return unquote(user), unquote(password)
