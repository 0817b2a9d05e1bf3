"""The report of an unexpected failure, in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from jetbox.cli.crash import report


def test_known_secrets_are_in_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-0123456789-abc"
    monkeypatch.setenv("MODEL_API_KEY", key)
    try:
        raise ValueError(f"illegal header value 'Bearer {key}'")
    except ValueError as failure:
        said, where = report(failure)
    text = Path(where.removeprefix("a report is in ")).read_text()
    assert said == "internal error: ValueError: illegal header value 'Bearer [secret:MODEL_API_KEY]'"
    assert "Traceback" in text
    assert said.removeprefix("internal error: ") in text
    assert key not in text
