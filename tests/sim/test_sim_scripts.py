"""The shipped scripts do real work in a real folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jetbox.sim.workspaces import copy_workspace, goal_for, workspace_for


def test_mathx_makes_a_package_from_nothing(agent: Any) -> None:
    agent.play(goal_for("mathx"))
    assert agent.finished
    assert 6 <= len(agent.answers) <= 10
    assert max(len(answer.get("tool_calls", [])) for answer in agent.answers) >= 2
    assert any("thinking" in answer for answer in agent.answers)
    assert all("failed" not in verdict for verdict in agent.verdicts)
    assert "exit code 0" in agent.command(["ruff", "format", "--check", "."])
    assert "7 passed" in agent.command(["pytest", "-q"])
    assert (agent.folder / "mathx" / "__init__.py").is_file()


@pytest.mark.parametrize("probing", [True, False], ids=["probes", "no probes"])
@pytest.mark.parametrize("script", ["fix-test", "refactor"])
def test_a_red_test_is_repaired(agent: Any, client_of: Any, script: str, probing: bool) -> None:
    copy_workspace(script, agent.folder)
    agent.probing = probing
    agent.play(goal_for(script))
    assert agent.finished
    assert "exit code 0" in agent.command(["pytest", "-q"])
    assert "exit code 0" in agent.command(["ruff", "check", "."])
    assert "exit code 0" in agent.command(["ruff", "format", "--check", "."])
    if probing:
        assert "pytest: failed" in agent.verdicts[-2]
        assert ("ruff: failed" in agent.verdicts[-2]) == (script == "refactor")
        assert "failed" not in agent.verdicts[-1]
    answers_again(client_of(), agent.messages)


def answers_again(other: Any, messages: list[dict[str, Any]]) -> None:
    """Another server gives every answer of the conversation after what came before it."""
    for i, message in enumerate(messages):
        if message["role"] == "assistant":
            lines = other.chat(*messages[:i], stream=False, options={"num_ctx": 32768})
            assert json.dumps(lines[0]["message"], sort_keys=True) == json.dumps(message, sort_keys=True)


def test_fix_test_starts_red_and_refactor_green(agent: Any, tmp_path: Path) -> None:
    copy_workspace("fix-test", tmp_path / "a")
    copy_workspace("refactor", tmp_path / "b")
    agent.folder = tmp_path / "a"
    assert "1 failed, 2 passed" in agent.command(["pytest", "-q"])
    agent.folder = tmp_path / "b"
    assert "3 passed" in agent.command(["pytest", "-q"])
    assert "exit code 0" in agent.command(["ruff", "check", "."])


def test_the_question_is_answered_without_tools(agent: Any) -> None:
    agent.play(goal_for("question"))
    assert len(agent.answers) == 1
    text = agent.answers[0]["content"]
    assert text.startswith("# ")
    assert "\n- " in text
    assert "```python" in text


def test_workspaces_are_told() -> None:
    assert workspace_for("mathx") is None
    folder = workspace_for("fix-test")
    assert folder is not None
    assert (folder / "tests").is_dir()
    with pytest.raises(KeyError):
        workspace_for("../scripts/mathx")


def test_an_unknown_goal_gets_the_list_of_known_ones(agent: Any) -> None:
    agent.play("Paint the house")
    assert goal_for("mathx") in agent.answers[0]["content"]


def test_a_second_goal_in_the_same_conversation_starts_its_own_script(agent: Any) -> None:
    agent.executing = False
    agent.play(goal_for("question"))
    agent.play(goal_for("mathx"))
    assert agent.finished
    agent.play("And now paint the house")
    assert "scripted model" in agent.answers[-1]["content"]
    assert agent.answers[1]["tool_calls"][0]["function"]["name"] == "list_dir"


def test_words_in_mid_goal_do_not_restart_the_script(agent: Any) -> None:
    agent.messages.append({"role": "user", "content": goal_for("mathx")})
    assert agent.round()
    agent.messages.append({"role": "user", "content": "Use mathx as the name of the package, please"})
    assert agent.round()
    assert [call["function"]["name"] for call in agent.answers[1]["tool_calls"]] == ["write_file", "write_file"]


def test_identifiers_of_calls_differ_within_a_conversation(agent: Any) -> None:
    agent.executing = False
    agent.play(goal_for("mathx"))
    ids = [call["id"] for answer in agent.answers for call in answer.get("tool_calls", [])]
    assert len(set(ids)) == len(ids) > 8
    assert all(len(name) == 13 and name.startswith("call_") for name in ids)
