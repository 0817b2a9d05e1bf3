"""What is said of the models that the server holds."""

from __future__ import annotations

from jetbox.engine import events as e
from jetbox.ui.accounts import held_words
from jetbox.ui.lineup import in_memory

GB = 10**9
BASE = e.ListedModel(name="coder:7b", loaded=True, memory=5 * GB, memory_gpu=5 * GB)
MADE = e.ListedModel(name="coder-16k:latest", loaded=True, memory=5 * GB, memory_gpu=5 * GB, loaded_as="coder:7b")


def test_what_is_held_once_is_told_once_under_its_name() -> None:
    assert held_words(e.ModelsListed(models=(MADE, BASE)), 0) == ["coder:7b: 5.0 GB"]
    assert held_words(e.ModelsListed(models=(MADE,)), 0) == ["coder-16k:latest: 5.0 GB, as coder:7b"]


def test_the_entry_of_another_name_says_which_is_held() -> None:
    assert in_memory(MADE, 0)[-1] == "as coder:7b"
