"""A server of the time before llama-server, as one that was built from source answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

GOAL = {"role": "user", "content": "Fix the red test"}


@pytest.fixture
def older(client_of: Any) -> Any:
    return client_of(version="0.24.0")


def test_its_list_tells_neither_capabilities_nor_window(older: Any, client_of: Any) -> None:
    before, now = (c.json("GET", "/api/tags")["models"][0] for c in (older, client_of(version="0.30.0")))
    assert now.keys() - before.keys() == {"capabilities"}
    assert now["details"].keys() - before["details"].keys() == {"context_length"}


def test_a_prompt_that_does_not_fit_is_refused_in_its_own_words(older: Any) -> None:
    long = {"role": "user", "content": "word " * 3000}
    refused = older.refused(long, truncate=False, options={"num_ctx": 256})
    assert refused == (400, "the input length exceeds the context length")


def test_a_prompt_that_is_cut_fills_the_window_and_the_answer_slides_it_on(older: Any) -> None:
    long = {"role": "user", "content": "word " * 3000}
    last = older.chat(long, options={"num_ctx": 256, "num_predict": 4})[-1]
    assert (last["prompt_eval_count"], last["eval_count"]) == (256, 4)


def test_probabilities_came_with_a_later_version(client_of: Any) -> None:
    for version, told in (("0.12.10", False), ("0.12.11", True)):
        lines = client_of(version=version).chat(GOAL, logprobs=True)
        assert ("logprobs" in lines[0]) is told


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/api/chat", "model 'nope' not found"),
        ("/api/show", "model 'nope' not found"),
        ("/api/embed", 'model "nope" not found, try pulling it first'),
    ],
)
def test_what_is_missing_is_said_without_its_tag(older: Any, path: str, words: str) -> None:
    status, _, data = older.send("POST", path, {"model": "nope", "messages": [GOAL], "input": "x"})
    assert (status, json.loads(data)["error"]) == (404, words)
