from __future__ import annotations

import pytest

from jetbox.engine.safety.likely import LikelySecrets

LONG = "aB3" * 12
JWT = f"eyJ{LONG}.eyJ{LONG}.{LONG}"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"push with ghp_{LONG}", "push with [secret:GITHUB_TOKEN]"),
        (f"glpat-{LONG}", "[secret:GITLAB_TOKEN]"),
        ("id AKIAIOSFODNN7EXAMPLE.", "id [secret:AWS_KEY]."),
        (f"sk-proj-{LONG}", "[secret:API_KEY]"),
        (f"sk-ant-api03-{LONG}", "[secret:API_KEY]"),
        (f"hf_{LONG}", "[secret:HUGGING_FACE_TOKEN]"),
        (f"{KEY}\nrest", "[secret:PRIVATE_KEY]\nrest"),
        (f"a {JWT} b", "a [secret:JWT] b"),
        (f"Authorization: Bearer {LONG}", "Authorization: Bearer [secret:AUTHORIZATION]"),
        ("postgres://me:hunter2@db/x", "postgres://me:[secret:PASSWORD]@db/x"),
        ('API_KEY = "9f8e7d6c5b4a39281706"', 'API_KEY = "[secret:SECRET]"'),
        ("DB_PASSWORD=9f8e7d6c5b4a39281706\n", "DB_PASSWORD=[secret:SECRET]\n"),
        ('{"token": "9f8e7d6c5b4a39281706"}', '{"token": "[secret:SECRET]"}'),
    ],
)
def test_what_has_the_form_of_a_secret_is_replaced(text: str, left: str) -> None:
    likely = LikelySecrets()
    assert (likely.redact(text), likely.found) == (left, 1)
    assert (likely.redact(left), likely.found) == (left, 1)


@pytest.mark.parametrize(
    "text",
    [
        "token = get_token_from_request2(request)",
        "password: str = field(default_factory=make_password2)",
        'secret = os.environ["APP_SECRET_2"]',
        "tokens = 128_000_000_000_000_000",
        "see https://example.org:8080/path and me@example.org",
        "sha256 ae7fb19029946e4f54f0118d0393c464e0ac21ff836a9f9aee316974fa9872af",
        "the basic idea behind bearer tokens",
        "skip-this-test-because-it-is-slow",
        "widget(password_field=custom_password_widget_v2, secret_key=settings_default_key_2)",
        "bearer authentication-middleware-for-everyone",
        "from sk-learn_like_estimators_with_names import x",
        'token = ""  # nothing',
        'password = "please enter your password"',
        "max_tokens=self.settings.max_tokens_v2",
    ],
)
def test_code_and_words_stay(text: str) -> None:
    likely = LikelySecrets()
    assert (likely.redact(text), likely.found) == (text, 0)
