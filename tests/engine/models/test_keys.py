"""The key for a server out of the system's keyring: a real library, a backend that keeps its entries in a file."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from jetbox.engine.errors import JetboxError, KeyWanted, SettingsError
from jetbox.engine.models.connect import connected, key_for
from jetbox.engine.models.keys import api_key, keyring_entry
from jetbox.engine.options import ModelOptions
from jetbox.sim.launch import ServerProcess

KEY = "sk-from-the-ring-0123"
NAMED = ModelOptions(protocol="openai", host="http://gpu-box:8000", api_key="keyring:gpu-box/ada")


class FileRing(KeyringBackend):
    """Keeps its entries in a file."""

    priority = 1

    def __init__(self, path: Path) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.path = path
        self.locked = False
        self.asks = False
        self.beside = ""

    def _entries(self) -> dict[str, str]:
        entries: dict[str, str] = json.loads(self.path.read_text()) if self.path.exists() else {}
        return entries

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked("the collection is locked")
        if self.asks:
            self.beside = _beside()
        if self.asks and getpass.getpass("Please enter password for encrypted keyring") != "pw":
            raise ValueError("Incorrect Password")
        return self._entries().get(f"{service}\0{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self.path.write_text(json.dumps(self._entries() | {f"{service}\0{username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        entries = self._entries()
        del entries[f"{service}\0{username}"]
        self.path.write_text(json.dumps(entries))


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[FileRing]:
    before = keyring.get_keyring()
    made = FileRing(tmp_path / "ring.json")
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


async def test_a_server_that_wants_a_key_gets_the_one_of_the_keyring(
    ring: FileRing, sim_server: Callable[..., ServerProcess]
) -> None:
    server = sim_server(flavour="vllm", api_key=KEY)
    named = ModelOptions(protocol="openai", host=server.url, api_key="keyring:gpu-box/ada")
    keyring.set_password("gpu-box", "ada", "another-key-0123")
    refused = await connected(named, {})
    with pytest.raises(JetboxError, match="does not take the key"):
        await refused.installed()
    await refused.close()
    keyring.set_password("gpu-box", "ada", KEY)
    model = await connected(named, {})
    assert [info.name for info in await model.installed()] == ["gpt-oss:20b"]
    await model.close()


async def test_an_entry_that_is_not_there_is_said_with_what_puts_it_there(ring: FileRing) -> None:
    with pytest.raises(SettingsError) as caught:
        await api_key(NAMED, {})
    assert caught.value.message == "the keyring holds no key of ada for gpu-box"
    assert caught.value.hint == "put it there: keyring set gpu-box ada"


async def test_a_locked_keyring_is_said(ring: FileRing) -> None:
    ring.locked = True
    with pytest.raises(SettingsError, match="cannot be read: KeyringLocked: the collection is locked"):
        await api_key(NAMED, {})


def _beside() -> str:
    with ThreadPoolExecutor(1) as other:
        return other.submit(getpass.getpass, "Another's password").result()


async def test_a_keyring_that_asks_on_the_terminal_asks_no_workbench(
    ring: FileRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring.set_password("gpu-box", "ada", KEY)
    ring.asks = True
    monkeypatch.setattr(getpass, "getpass", lambda prompt, stream=None: "pw")  # what a person types
    with pytest.raises(SettingsError, match="asks for its password on the terminal") as caught:
        await key_for(NAMED, {}, prompts=False)
    assert ring.beside == "pw", "whoever else asks is let ask"
    assert "model.api_key_env" in caught.value.hint
    assert await key_for(NAMED, {}) == KEY, "without a screen it may"


async def test_without_the_library_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(SettingsError, match="is not installed") as caught:
        await api_key(NAMED, {})
    assert "jetbox-tui[keyring]" in caught.value.hint


@pytest.mark.parametrize("value", ["sk-0123456789", "keyring:", "keyring:gpu-box", "keyring:/ada", "keyring:gpu-box/"])
def test_what_is_no_entry_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        keyring_entry(ModelOptions(api_key=value))
    assert caught.value.message == "model.api_key must be keyring:SERVICE/USER"
    assert "sk-" not in caught.value.hint


def test_only_one_place_can_be_named() -> None:
    with pytest.raises(SettingsError, match="both set"):
        keyring_entry(ModelOptions(api_key="keyring:a/b", api_key_env="KEY"))
    assert keyring_entry(ModelOptions(api_key="keyring:http://box/v1/ada")) == ("http://box/v1", "ada")


async def test_the_keyring_is_asked_where_it_is_named_alone(ring: FileRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)  # an import would fail
    assert await api_key(ModelOptions(api_key_env="KEY"), {"KEY": "k"}) == "k"
    assert await api_key(ModelOptions(), {"KEY": "k"}) == ""
    assert await key_for(ModelOptions(host="http://box:11434", api_key="keyring:a/b"), {}) == ""


@pytest.mark.parametrize("raw", [f"{KEY}\n", f" {KEY}\r\n", KEY])
async def test_a_line_end_behind_a_key_is_no_part_of_it(ring: FileRing, raw: str) -> None:
    assert await api_key(ModelOptions(api_key_env="KEY"), {"KEY": raw}) == KEY
    keyring.set_password("gpu-box", "ada", raw)
    assert await api_key(NAMED, {}) == KEY


@pytest.mark.parametrize("raw", [f"{KEY}\nand more", f"{KEY}\x00", f"{KEY}é", f"{KEY}\x7f1"])
async def test_what_no_header_can_carry_is_refused_and_not_repeated(ring: FileRing, raw: str) -> None:
    keyring.set_password("gpu-box", "ada", raw)
    for named in (NAMED, ModelOptions(api_key_env="KEY")):
        with pytest.raises(SettingsError, match="holds what cannot be a key") as caught:
            await api_key(named, {"KEY": raw})
        assert KEY not in f"{caught.value.message} {caught.value.hint}"
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("protocol", ["ollama", "auto"])
async def test_an_ollama_behind_a_key_gets_it(sim_server: Callable[..., ServerProcess], protocol: Any) -> None:
    server = sim_server(api_key=KEY)
    wanted = ModelOptions(protocol=protocol, host=server.url, api_key_env="MY_KEY")
    model = await connected(wanted, {"MY_KEY": KEY})
    try:
        assert "gpt-oss:20b" in [info.name for info in await model.installed()]
        assert (model.manages, model.product) == (True, "Ollama")
        body = b'{"model":"gpt-oss:20b","messages":[{"role":"user","content":"Hello"}]}'
        async with model.chat(body) as chunks:
            assert [chunk async for chunk in chunks][-1].done
    finally:
        await model.close()
    other = await connected(wanted, {"MY_KEY": "wrong-key-0123"})
    try:
        with pytest.raises(KeyWanted):
            await other.installed()
    finally:
        await other.close()


@pytest.mark.parametrize("protocol", ["openai", "auto"])
async def test_a_variable_that_is_not_set_is_named(sim_server: Callable[..., ServerProcess], protocol: Any) -> None:
    host = sim_server(api_key=KEY, flavour="vllm").url
    model = await connected(ModelOptions(protocol=protocol, host=host, api_key_env="MY_KEY"), {})
    try:
        with pytest.raises(KeyWanted) as caught:
            await model.info("gpt-oss:20b")
    finally:
        await model.close()
    assert caught.value.hint == "put it into MY_KEY, which model.api_key_env names: it is not set"


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("https://ollama.com", KEY),
        ("https://api.ollama.com:443/x", KEY),
        ("http://ollama.com", ""),
        ("https://notollama.com", ""),
        ("https://ollama.com.example.org", ""),
        ("http://127.0.0.1:11434", ""),
    ],
)
async def test_the_key_of_ollamas_own_servers_goes_to_no_other(host: str, key: str) -> None:
    for protocol in ("ollama", "openai"):
        options = ModelOptions(protocol=protocol, host=host)
        assert await key_for(options, {"OLLAMA_API_KEY": KEY}) == key
        named = ModelOptions(protocol=protocol, host=host, api_key_env="OLLAMA_API_KEY")
        assert await key_for(named, {"OLLAMA_API_KEY": KEY}) == KEY
