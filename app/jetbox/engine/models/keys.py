"""The key for a model server: from a variable, or from the system's keyring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from textwrap import shorten
from typing import NamedTuple, TextIO

from jetbox.engine.errors import SettingsError
from jetbox.engine.models.address import bare
from jetbox.engine.options import ModelOptions

KEYRING = "keyring:"
OLLAMAS = "OLLAMA_API_KEY"
"""Holds the key for Ollama's own servers, and is sent to no other unless `model.api_key_env` names it."""


class Unset(str):
    """No key: the variable that is to hold it is not set."""

    def __new__(cls, variable: str) -> Unset:
        """An empty text that knows the variable's name."""
        self = super().__new__(cls, "")
        self.variable = variable
        return self

    variable: str


class Entry(NamedTuple):
    """Where in the keyring a key is kept."""

    service: str
    user: str


def keyring_entry(options: ModelOptions) -> Entry | None:
    """The entry that is configured; None where none is.

    Raises:
        SettingsError: what is configured names no entry. The error does not repeat it: it could be a key.
    """
    if not options.api_key:
        return None
    service, _, user = options.api_key.removeprefix(KEYRING).rpartition("/")
    if not options.api_key.startswith(KEYRING) or not service or not user:
        raise SettingsError(
            "model.api_key must be keyring:SERVICE/USER",
            "a key itself belongs in no file: keep it in the keyring, or in a variable that model.api_key_env names",
        )
    if options.api_key_env:
        raise SettingsError("model.api_key and model.api_key_env are both set", "leave one of them out")
    return Entry(service, user)


class _AsksHere(Exception):
    """A keyring wants its password typed where what is typed is the session's."""


async def api_key(options: ModelOptions, environ: Mapping[str, str], *, prompts: bool = True) -> str:
    """The key; empty where none is configured. Somebody may have to unlock the keyring first.

    `prompts`: a keyring may ask for its password on the terminal.

    Raises:
        SettingsError: the keyring does not give it, or it is none that could be sent.
    """
    entry = keyring_entry(options)
    if entry is None:
        name = options.api_key_env or (OLLAMAS if _is_ollamas(options.host) else "")
        key = _sendable(environ.get(name, ""), f"the variable {name}") if name else ""
        return key or (Unset(name) if options.api_key_env else "")
    import asyncio

    return _sendable(await asyncio.to_thread(_from_keyring, entry, prompts), f"the keyring's entry of {entry.user}")


def _is_ollamas(host: str) -> bool:
    name = bare(host).removeprefix("https://").partition("/")[0].partition(":")[0].lower()
    return host.startswith("https://") and (name == "ollama.com" or name.endswith(".ollama.com"))


def _sendable(key: str, place: str) -> str:
    """The key without the white space around it, such as the line end of the file that it was read from.

    Raises:
        SettingsError: no header can carry it. The error does not repeat it.
    """
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(
            f"{place} holds what cannot be a key: a line break, or other signs that no header can carry",
            "put the key there alone, in one line",
        )
    return key


@contextmanager
def _unasked() -> Iterator[None]:
    """What is typed is the session's: a question of this thread's would take keys from it and wait for ever."""
    import getpass
    from threading import get_ident

    asking, ours = getpass.getpass, get_ident()

    def refuse(prompt: str = "Password: ", stream: TextIO | None = None) -> str:
        if get_ident() != ours:
            return asking(prompt, stream)
        raise _AsksHere

    getpass.getpass = refuse
    try:
        yield
    finally:
        getpass.getpass = asking


def _from_keyring(entry: Entry, prompts: bool) -> str:
    try:
        import keyring
    except ImportError:
        raise SettingsError(
            "model.api_key names the keyring, but the library for it is not installed",
            "pip install 'jetbox-tui[keyring]', or put the key into a variable that model.api_key_env names",
        ) from None
    try:
        with nullcontext() if prompts else _unasked():
            key = keyring.get_password(entry.service, entry.user)
    except _AsksHere:
        raise SettingsError(
            "the keyring asks for its password on the terminal, where what is typed is the session's",
            "take a keyring that is unlocked otherwise, or put the key into a variable that model.api_key_env names",
        ) from None
    except Exception as error:  # backends raise what their services raise
        raise SettingsError(
            f"the keyring cannot be read: {type(error).__name__}: {shorten(str(error), 120, placeholder=' …')}",
            "unlock it, see `keyring --list-backends`, or put the key into a variable that model.api_key_env names",
        ) from error
    if not key:
        raise SettingsError(
            f"the keyring holds no key of {entry.user} for {entry.service}",
            f"put it there: keyring set {entry.service} {entry.user}",
        )
    return key
