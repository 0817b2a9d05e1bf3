from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetbox.engine.errors import SettingsError
from jetbox.folders import config_folder, data_folder, state_folder
from jetbox.settings.host import parse_host
from jetbox.settings.load import load
from jetbox.settings.scan import key_lines
from jetbox.settings.show import effective, schema
from jetbox.settings.values import format_value, parse_value

HOSTS = {
    "box": "http://box:11434",
    "box:80": "http://box:80",
    "http://box": "http://box:80",
    "https://box": "https://box:443",
    "HTTP://box": "http://box:80",
    "https://box/ollama/": "https://box:443/ollama",
    "box/ollama": "http://box:11434/ollama",
    "0.0.0.0": "http://127.0.0.1:11434",
    "0.0.0.0:8080": "http://127.0.0.1:8080",
    "http://0.0.0.0:11434": "http://127.0.0.1:11434",
    ":8080": "http://127.0.0.1:8080",
    "": "http://127.0.0.1:11434",
    '"box"': "http://box:11434",
    "::1": "http://[::1]:11434",
    "[::1]": "http://[::1]:11434",
    "[::1]:99": "http://[::1]:99",
    "http://[2001:db8::1]": "http://[2001:db8::1]:80",
    "[::]:5": "http://[::1]:5",
    "user:pass@box": "http://user:pass@box:11434",
}


@pytest.mark.parametrize(("text", "url"), HOSTS.items())
def test_an_address_is_read_as_ollama_reads_it(text: str, url: str) -> None:
    assert parse_host(text) == url


@pytest.mark.parametrize(
    "text", ["ftp://x", "box:x", "box:0", "box:65536", "box:-1", "[::1", "[::1]x", "[zz]", "1::2::3", "a b"]
)
def test_what_is_no_address_is_told(text: str) -> None:
    with pytest.raises(SettingsError, match="no address") as caught:
        parse_host(text)
    assert caught.value.hint


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_an_address_or_a_clear_error(text: str) -> None:
    try:
        url = parse_host(text)
    except SettingsError:
        return
    assert url.startswith(("http://", "https://"))
    assert parse_host(url) == url


keys = st.text(st.sampled_from("ab.-_ \"'\\#[]=é"), min_size=1, max_size=5)
scalars = (
    st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False, width=16)
    | st.text(st.sampled_from("ab\"'\\\n[]{}#= é\t\x00\x85"), max_size=8)
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))


@settings(deadline=None)
@given(values)
def test_a_value_written_as_toml_reads_the_same(value: Any) -> None:
    assert tomllib.loads(f"x = {format_value(value)}")["x"] == value
    if not isinstance(value, str):
        assert parse_value(format_value(value)) == value


def toml_text(tables: dict[str, dict[str, Any]], multiline: bool) -> tuple[str, dict[tuple[str, ...], int]]:
    """A TOML text and, for each key, the line on which it was put."""
    lines: list[str] = []
    at: dict[tuple[str, ...], int] = {}

    def quoted(key: str) -> str:
        return format_value(key)

    for table, pairs in tables.items():
        lines.append(f"[{quoted(table)}] # [x]\n")
        at[(table,)] = sum(line.count("\n") for line in lines)
        for key, value in pairs.items():
            at[table, key] = sum(line.count("\n") for line in lines) + 1
            shown = format_value(value)
            if multiline and isinstance(value, list):
                shown = "[ # ']\n" + "".join(f"  {format_value(item)},\n" for item in value) + "]"
            elif multiline and isinstance(value, str) and not set(value) & set("'\0\x85\\"):
                shown = "'''\n" + value + "'''"
            elif multiline and isinstance(value, str) and not set(value) & set('"\\\0\x85'):
                shown = '"""\n' + value + '\\"""""'
            lines.append(f"{quoted(key)} = {shown} # note = '''\n")
    return "".join(lines), at


@settings(deadline=None)
@given(st.dictionaries(keys, st.dictionaries(keys, values, max_size=4), max_size=4), st.booleans())
def test_the_scanner_finds_the_line_of_every_key(tables: dict[str, dict[str, Any]], multiline: bool) -> None:
    text, expected = toml_text(tables, multiline)
    tomllib.loads(text)
    found = key_lines(text)
    assert {path: line for path, line in found.items() if path in expected} == expected


def test_folders_follow_xdg_and_ignore_relative_ones(monkeypatch: pytest.MonkeyPatch, isolated: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/somewhere")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.delenv("XDG_STATE_HOME")
    assert config_folder() == "/somewhere/jetbox"
    if sys.platform.startswith("linux"):
        assert data_folder() == f"{isolated}/.local/share/jetbox"
        assert state_folder() == f"{isolated}/.local/state/jetbox"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert os.path.isabs(data_folder())
    assert data_folder().rstrip("/").endswith("jetbox")


def test_the_schema_describes_options_and_closes_sections() -> None:
    made = schema()["$defs"]
    assert made["ModelOptions"]["properties"]["host"]["description"] == "Address of the model server."
    assert made["ModelOptions"]["additionalProperties"] is False
    assert made["UiOptions"]["properties"]["theme"]["description"].startswith("Theme of the screen")
    assert made["PermissionOptions"]["properties"]["mode"]["anyOf"][0]["enum"] == ["ask", "auto", "edits"]
    assert set(made["Settings"]["properties"]) >= {"model", "performance", "keys", "profiles", "profile"}


def test_what_is_shown_hides_credentials() -> None:
    loaded = load(None, environment={"OLLAMA_HOST": "https://me:secret@box"})
    rows = {row.option: row for row in effective(loaded)}
    assert rows["model.host"].shown == '"https://***@box:443"'
    assert "secret" not in str(list(rows.values()))
    assert "secret" not in str(loaded.changed())
