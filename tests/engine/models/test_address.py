"""A user and a password in a server's address: sent with every request, and shown and recorded nowhere."""

from __future__ import annotations

import pytest

from jetbox.engine.errors import SettingsError
from jetbox.engine.models.address import authorization, bare, secrets_in
from jetbox.engine.models.http import client_for
from jetbox.engine.models.transport import PlainTransport
from jetbox.settings.host import parse_host


@pytest.mark.parametrize(
    ("host", "shown", "secrets", "sent"),
    [
        ("http://box:11434", "http://box:11434", (), ""),
        ("http://ada:secret@box:80/api", "http://box:80/api", ("secret",), "Basic YWRhOnNlY3JldA=="),
        ("http://ada:p@ss@box:80", "http://box:80", ("p@ss",), "Basic YWRhOnBAc3M="),
        ("http://a%64a:p%2Fss@box:80", "http://box:80", ("p/ss", "p%2Fss"), "Basic YWRhOnAvc3M="),
        ("http://token@[::1]:80/a@b", "http://[::1]:80/a@b", ("token",), "Basic dG9rZW46"),
    ],
)
def test_a_user_in_an_address_is_sent_and_not_shown(host: str, shown: str, secrets: tuple[str, ...], sent: str) -> None:
    assert (bare(host), secrets_in(host), authorization(host, "")) == (shown, secrets, sent)
    assert authorization(host, "key") == "Bearer key"


@pytest.mark.parametrize("text", ["http://ada:hush/hush@box:80", "ftp://ada:hush@box", "ada:hush@box:none"])
def test_an_address_that_cannot_be_read_is_told_without_its_password(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_host(text)
    assert "hush" not in caught.value.message + caught.value.hint
    assert "***@box" in caught.value.message


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9", "socks5 is not spoken here"),
        ("HTTPS_PROXY", "socks5h://127.0.0.1:9", "socks5h is not spoken here"),
        ("http_proxy", "foo:bar", "it is no address"),
        ("http_proxy", "http://ada:hush@[::1", "it is no address"),
        ("http_proxy", "htp://x:1", "'htp' is no protocol of a proxy"),
        ("SSL_CERT_FILE", "/no/such.pem", "No such file or directory"),
        ("SSL_CERT_FILE", __file__, "no certificate or crl found"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        client_for("https://192.0.2.2:443")
    assert caught.value.message.startswith(f"{name} names no ")
    assert says in caught.value.message
    assert f"unset {name}" in caught.value.hint
    assert "hush" not in caught.value.message


def test_a_list_of_servers_without_a_proxy_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "[::1")
    with pytest.raises(SettingsError, match="NO_PROXY cannot be read"):
        client_for("https://192.0.2.2:443")


def test_a_server_that_no_proxy_stands_before_needs_none_that_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "gpu-box")
    assert isinstance(client_for("http://gpu-box:11434")[1], PlainTransport)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_address_that_is_none_is_not_blamed_on_a_variable(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(SettingsError) as caught:
        client_for(parse_host(f"{scheme}://box:80/a\x07b"))
    assert "is no address of a server" in caught.value.message
    assert "\x07" not in caught.value.message
    assert "--host" in caught.value.hint
