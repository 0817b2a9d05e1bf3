"""The table of modes, row by row, and what is remembered."""

from __future__ import annotations

from typing import Literal

import pytest

from jetbox.engine.events import Mode
from jetbox.engine.options import PermissionOptions
from jetbox.engine.safety.permissions import Permissions
from jetbox.engine.tools.base import Plan, ToolResult

MODES: tuple[Mode, ...] = ("ask", "edits", "auto")


async def nothing() -> ToolResult:
    return ToolResult("")


def plan(
    kind: Literal["read", "write", "command", "none"], *, outside: bool = False, confined: bool = True, scope: str = ""
) -> Plan:
    return Plan(kind, "title", nothing, outside=outside, confined=confined, scope=scope)


TABLE = [
    ("read inside", plan("read"), ("allow", "allow", "allow")),
    ("read outside", plan("read", outside=True), ("ask", "ask", "deny")),
    ("write inside", plan("write"), ("ask", "allow", "allow")),
    ("write outside", plan("write", outside=True), ("deny", "deny", "deny")),
    ("command in the sandbox", plan("command"), ("ask", "ask", "allow")),
    ("command, no sandbox works", plan("command", confined=False), ("ask", "ask", "ask")),
    ("nothing touched", plan("none"), ("allow", "allow", "allow")),
]


@pytest.mark.parametrize(("planned", "answers"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_table_of_modes(planned: Plan, answers: tuple[str, ...]) -> None:
    for mode, answer in zip(MODES, answers, strict=True):
        decision = Permissions(mode, PermissionOptions()).decide(planned, "tool")
        assert (mode, decision.answer) == (mode, answer)
        assert bool(decision.why) == (answer != "allow")


def test_where_the_user_turned_the_sandbox_off_auto_means_auto() -> None:
    options = PermissionOptions(sandbox=False)
    answers = [Permissions(mode, options).decide(plan("command", confined=False), "run_cmd").answer for mode in MODES]
    assert answers == ["ask", "ask", "allow"]


def test_the_mode_can_change() -> None:
    permissions = Permissions("ask", PermissionOptions())
    permissions.mode = "auto"
    assert permissions.decide(plan("command"), "run_cmd").answer == "allow"


@pytest.mark.parametrize(
    ("answer", "later", "entry"),
    [("once", "ask", ""), ("no", "ask", ""), ("session", "allow", ""), ("always", "allow", "run_cmd pytest")],
)
def test_an_answer_holds_as_long_as_it_says(
    answer: Literal["once", "session", "always", "no"], later: str, entry: str
) -> None:
    permissions = Permissions("ask", PermissionOptions())
    asked = plan("command", scope="run_cmd pytest")
    assert permissions.remember(asked, "run_cmd", answer) == entry
    assert permissions.decide(asked, "run_cmd").answer == later
    assert permissions.decide(plan("command", scope="run_cmd rm"), "run_cmd").answer == "ask"


def test_the_configuration_allows_calls() -> None:
    permissions = Permissions("ask", PermissionOptions(allow=("write_file", "run_cmd pytest")))
    assert permissions.decide(plan("write"), "write_file").answer == "allow"
    assert permissions.decide(plan("write"), "edit_file").answer == "ask"
    assert permissions.decide(plan("command", scope="run_cmd pytest"), "run_cmd").answer == "allow"
    assert permissions.decide(plan("command", scope="run_cmd make"), "run_cmd").answer == "ask"


def test_what_is_allowed_inside_opens_nothing_outside() -> None:
    permissions = Permissions("ask", PermissionOptions(allow=("read_file", "write_file")))
    assert permissions.decide(plan("read", outside=True, scope="read_file /etc"), "read_file").answer == "ask"
    assert permissions.decide(plan("read", outside=True, scope="read_file"), "read_file").answer == "ask"
    assert permissions.decide(plan("write", outside=True), "write_file").answer == "deny"


def test_a_hard_link_out_is_asked_about_by_its_name_alone() -> None:
    linked = Plan("read", "read_file a", nothing, outside=True, linked=True, scope="read_file /ws/a")
    words = {mode: Permissions(mode, PermissionOptions()).decide(linked, "read_file") for mode in MODES}
    assert {mode: decision.answer for mode, decision in words.items()} == {"ask": "ask", "edits": "ask", "auto": "deny"}
    assert all("hard link out of the workspace" in decision.why for decision in words.values())
    permissions = Permissions("ask", PermissionOptions())
    assert (
        permissions.scope_words(linked, "read_file") == "`read_file /ws/a`, which is a hard link out of the workspace"
    )
    permissions.remember(linked, "read_file", "session")
    assert permissions.decide(linked, "read_file").answer == "allow"
    other = Plan("read", "read_file b", nothing, outside=True, linked=True, scope="read_file /ws/b")
    assert permissions.decide(other, "read_file").answer == "ask"


def test_a_folder_outside_can_be_allowed() -> None:
    permissions = Permissions("ask", PermissionOptions())
    asked = plan("read", outside=True, scope="read_file /etc")
    assert permissions.remember(asked, "read_file", "always") == "read_file /etc"
    assert permissions.decide(asked, "read_file").answer == "allow"
    other = plan("read", outside=True, scope="read_file /home/me/.ssh")
    assert permissions.decide(other, "read_file").answer == "ask"
    permissions.mode = "auto"
    assert permissions.decide(other, "read_file").answer == "deny"


def test_an_entry_for_the_sandbox_does_not_hold_without_one() -> None:
    permissions = Permissions("auto", PermissionOptions(allow=("run_cmd", "run_cmd pytest")))
    asked = plan("command", confined=False, scope="run_cmd pytest")
    assert permissions.decide(asked, "run_cmd").answer == "ask"
    assert permissions.remember(asked, "run_cmd", "always") == ""
    assert permissions.decide(asked, "run_cmd").answer == "allow"


def test_the_scope_is_said_in_words() -> None:
    permissions = Permissions("ask", PermissionOptions())
    assert (
        permissions.scope_words(plan("command", scope="run_cmd pytest"), "run_cmd")
        == "every `run_cmd pytest` in the sandbox"
    )
    assert permissions.scope_words(plan("command", confined=False), "run_cmd") == "every `run_cmd` without a sandbox"
    assert permissions.scope_words(plan("write"), "write_file") == "every `write_file` in the workspace"
    assert "outside" in permissions.scope_words(plan("read", outside=True, scope="read_file /etc"), "read_file")
