"""Known secrets are replaced, whole or in pieces."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetbox.engine.safety.secrets import MARK, Redactor, StreamRedactor

ALPHABET = "ab1-"
VALUES = st.dictionaries(
    st.text(ALPHABET, min_size=8, max_size=14).filter(lambda v: v.count("1") > 0),
    st.sampled_from(["A_KEY", "B_TOKEN"]),
    max_size=4,
)


@pytest.mark.parametrize(
    "name",
    ["OPENAI_API_KEY", "GITHUB_TOKEN", "DB_PASSWORD", "MYSQL_PASSWD", "client_secret", "AWS_SECRET_ACCESS_KEY",
     "GOOGLE_CREDENTIALS", "NPM_AUTH", "GH_PAT", "HF_TOKEN_2", "DB_PASS", "APIKEY"],
)  # fmt: skip
def test_values_of_variables_with_secret_names_are_replaced(name: str) -> None:
    redactor = Redactor.from_environment({name: "s3cr3t-value"})
    assert redactor.redact("it is s3cr3t-value, s3cr3t-value") == f"it is [secret:{name}], [secret:{name}]"


@pytest.mark.parametrize(
    ("name", "value"),
    [("API_KEY", "short1"), ("SSH_AUTH_SOCK", "/tmp/ssh-abc123/agent.1"), ("PWD", "/home/me/project1"),
     ("TOKEN_KIND", "bearer"), ("MAX_TOKENS", "1638400000"), ("AUTHOR", "s3cr3t-value"), ("KEYBOARD", "s3cr3t-value"),
     ("AUTH_METHOD", "client certificate"), ("API_KEY_URL", "https://example.org/key1"), ("PATH", "/usr/bin:/bin1")],
)  # fmt: skip
def test_what_is_no_secret_stays(name: str, value: str) -> None:
    assert Redactor.from_environment({name: value}).redact(f"<{value}>") == f"<{value}>"


def test_a_path_to_a_secret_stays_and_a_secret_that_begins_like_a_path_goes(tmp_path: Path) -> None:
    redactor = Redactor.from_environment({"A_KEY": str(tmp_path / "key.pem"), "B_KEY": "/9xQ+e8zz7Wq1"})
    assert redactor.redact(f"{tmp_path}/key.pem /9xQ+e8zz7Wq1") == f"{tmp_path}/key.pem [secret:B_KEY]"


def test_a_password_in_an_address_is_replaced() -> None:
    redactor = Redactor.from_environment({"DATABASE_URL": "postgres://me:s3cr3t-value@host/db"})
    assert (
        redactor.redact("psql postgres://me:s3cr3t-value@host/db") == "psql postgres://me:[secret:DATABASE_URL]@host/db"
    )


def test_keys_of_the_configuration_are_replaced_too() -> None:
    redactor = Redactor.from_environment({}, [("model.key", "abcdefgh"), ("short", "abc")])
    assert redactor.redact("abcdefgh abc") == "[secret:model.key] abc"


def test_of_two_secrets_the_longer_is_replaced() -> None:
    redactor = Redactor({"s3cr3t-value": "A", "s3cr3t-value-2": "B"})
    assert redactor.redact("s3cr3t-value-2 s3cr3t-value") == "[secret:B] [secret:A]"


def test_a_mark_is_recognised() -> None:
    redactor = Redactor({"s3cr3t-value": "A_KEY"})
    assert MARK.search(f"key = {redactor.redact('s3cr3t-value')!r}")
    assert not MARK.search("[secret: none] secret:A_KEY")


def test_without_secrets_text_is_handed_through() -> None:
    redactor = Redactor({})
    text = "x" * 100
    assert redactor.redact(text) is text
    assert StreamRedactor(redactor).feed(text) is text


def test_what_may_begin_a_secret_waits() -> None:
    stream = Redactor({"s3cr3t-value": "A"}).stream()
    assert stream.feed("it is s3cr") == "it is "
    assert stream.feed("3t-value!") == "[secret:A]!"
    assert stream.feed("s3cret s3c") == "s3cret "
    assert stream.flush() == "s3c"
    assert stream.flush() == ""


@given(VALUES, st.lists(st.text(ALPHABET, max_size=12), max_size=12), st.data())
def test_pieces_give_the_same_as_the_whole(values: dict[str, str], pieces: list[str], data: st.DataObject) -> None:
    if values:
        for _ in range(2):
            at = data.draw(st.integers(0, len(pieces)))
            value = data.draw(st.sampled_from(sorted(values)))
            cut = data.draw(st.integers(0, len(value)))
            pieces[at:at] = [value[:cut], value[cut:]]
    redactor = Redactor(values)
    stream = StreamRedactor(redactor)
    streamed = "".join(map(stream.feed, pieces)) + stream.flush()
    assert streamed == redactor.redact("".join(pieces))
    assert not any(value in streamed for value in values)
