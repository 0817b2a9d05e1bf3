"""The system prompt has versions: which one a session has is in its record, and a text that was used never changes."""

from __future__ import annotations

import hashlib
import json
from typing import get_args

import pytest

from engine.conftest import OpenRig
from jetbox.engine import events as e
from jetbox.engine.context.prompt import PROMPTS, system_prompt, version_of
from jetbox.engine.options import PromptVersion
from scripted import step

TEXTS = {
    "full-1": "ae7fb19029946e4f",
    "brief-1": "2549d48d62b9fec5",
}
"""Beginnings of their SHA-256: a text that is changed is another version, under another number."""
CHARS_A_TOKEN = 4


def test_a_text_that_was_used_never_changes() -> None:
    assert {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in PROMPTS.items()} == TEXTS
    assert set(PROMPTS) == set(get_args(PromptVersion))


def test_the_brief_one_is_brief() -> None:
    assert len(PROMPTS["brief-1"]) / CHARS_A_TOKEN < 150
    for word in ("tools", "Read", "edit_file", "write_file", "ruff", "pytest", "[probes]", "finish", "never weaken"):
        assert word in PROMPTS["brief-1"]


def test_what_a_text_is_known_by_follows_from_all_of_it() -> None:
    plain, with_rules = system_prompt(), system_prompt("Use tabs.")
    assert version_of("full-1", plain).startswith("full-1/")
    assert len({version_of("full-1", plain), version_of("full-1", with_rules), version_of("brief-1", plain)}) == 3


@pytest.mark.parametrize("version", ["full-1", "brief-1"])
async def test_the_record_says_which_one_it_was(rig: OpenRig, version: PromptVersion) -> None:
    live = await rig(step(text="Yes."), context={"prompt_version": version})
    await live.run()
    (system,) = [added for added in live.events(e.MessageAdded) if added.role == "system"]
    text = json.loads(system.json)["content"]
    assert text == PROMPTS[version]
    assert system.version == version_of(version, text)
    assert (await live.requests())[0][0]["content"] == text
