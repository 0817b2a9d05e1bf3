"""Which proxy stands before a server, by the variables of the environment as httpx reads them."""

from __future__ import annotations

from collections.abc import Mapping

from jetbox.engine.models.address import on_this_machine, without_scheme


def named(kind: str, environ: Mapping[str, str]) -> str:
    """The variable that names a proxy of this kind (a scheme, or `all`); empty where none does."""
    name = f"{kind}_proxy"
    return next((each for each in (name, name.upper()) if environ.get(each)), "")


def proxy_of(host: str, environ: Mapping[str, str]) -> str:
    """The variable that names the proxy for this host (a URL); empty where none stands before it."""
    scheme = host.partition("://")[0]
    variable = named(scheme, environ) or named("all", environ)
    return "" if not variable or _bypassed(host) else variable


def _bypassed(host: str) -> bool:
    """Whether it is reached without a proxy that is named: by NO_PROXY, or in plain on this machine."""
    if host.startswith("http://") and on_this_machine(host):
        return True
    import urllib.request

    bypasses = getattr(urllib.request, "proxy_bypass_environment")  # noqa: B009 - typeshed does not know it
    return bool(bypasses(without_scheme(host).partition("/")[0]))
