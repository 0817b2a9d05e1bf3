from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import pytest

from cli.conftest import Jetbox
from jetbox.cli import commands
from jetbox.cli.options import Invocation, invocation
from jetbox.engine.errors import SettingsError


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The invocation that a command line of `run` comes to."""
    monkeypatch.chdir(tmp_path)

    def parsed(*line: str) -> Invocation:
        made: list[Invocation] = []

        def keep(asked: Invocation, output_format: str) -> int:
            made.append(asked)
            return 0

        monkeypatch.setattr(commands, "_run", keep)
        commands.run.main(list(line), standalone_mode=False)
        return made[0]

    return parsed


def test_every_flag_is_a_setting(parse: Any) -> None:
    asked = parse(
        "build", "it", "-m", "gpt-oss:20b", "--host", "box", "--max-rounds", "3", "--max-tokens", "9000",
        "--max-seconds", "1.5", "--num-ctx", "8192", "--think", "low", "--keep-alive", "-1", "--theme", "jetbox-light",
        "--yolo", "--no-sandbox", "--no-session", "--profile", "baseline", "--set", "tools.concurrency=2",
    )  # fmt: skip
    settings = asked.settings
    assert asked.goal == "build it"
    assert settings.model.name == "gpt-oss:20b"
    assert settings.model.host == "http://box:11434"
    assert (settings.loop.max_rounds, settings.loop.max_tokens, settings.loop.max_seconds) == (3, 9000, 1.5)
    assert settings.context.num_ctx == 8192
    assert (settings.model.think, settings.model.keep_alive) == ("low", "-1")
    assert settings.ui.theme == "jetbox-light"
    assert asked.mode == "auto"
    assert not settings.permissions.sandbox
    assert not settings.session.record
    assert not settings.performance.probe_cache
    assert settings.tools.concurrency == 2
    assert asked.loaded.source("model.name").where == "--model"
    assert asked.loaded.source("permissions.sandbox").where == "--no-sandbox"


def test_the_mode_is_ask_and_auto_for_a_demo(parse: Any) -> None:
    assert parse("x").mode == "ask"
    assert parse("x", "--demo").mode == "auto"
    assert parse("x", "--demo", "--mode", "edits").mode == "edits"


def test_a_demo_leaves_the_project_file_of_the_present_folder_out(parse: Any, tmp_path: Path) -> None:
    (tmp_path / ".jetbox").mkdir()
    (tmp_path / ".jetbox" / "config.toml").write_text("[ui]\ntheme = 'jetbox-light'\n")
    assert parse("x").settings.ui.theme == "jetbox-light"
    assert parse("x", "--demo").settings.ui.theme == "jetbox-dark"
    assert parse("x", "--demo", "-C", ".").settings.ui.theme == "jetbox-light"


def test_sessions_are_resumed_by_name_or_by_choice(parse: Any) -> None:
    assert parse("x").resume is None
    assert parse("-r", "20261120-1").resume == "20261120-1"
    assert parse("--resume", "20261120-1", "go on").goal == "go on"
    assert parse("-c", "go on").continue_last
    asked = invocation((), resume="a goal in words")
    assert (asked.resume, asked.goal) == ("", "a goal in words")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ((), "what is the goal"),
        (("",), "the goal is empty"),
        (("x", "-c", "-r", "id"), "exclude each other"),
        (("x", "--no-session", "-c"), "--no-session excludes"),
        (("x", "--mode", "ask", "--yolo"), "--yolo and --mode ask exclude"),
        (("x", "--mode", "all"), "is not one of"),
        (("x", "-C", "/no/such/folder"), "is no folder"),
        (("x", "-r"), "needs the session's ID"),
        (("x", "--output-format", "xml"), "is not one of"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(parse: Any, line: tuple[str, ...], says: str) -> None:
    with pytest.raises(click.UsageError, match=says):
        parse(*line)


@pytest.mark.parametrize(
    ("command", "heeded"),
    [("doctor", "--host"), ("sessions list", "--set"), ("models warm", "--keep-alive"), ("probe", "--no-sandbox")],
)
def test_help_tells_of_what_a_command_heeds(jetbox: Jetbox, command: str, heeded: str) -> None:
    told = jetbox(*command.split(), "--help")
    assert (told.returncode, heeded in told.stdout) == (0, True)
    assert "--max-rounds" not in told.stdout
    refused = jetbox(*command.split(), "--max-rounds", "3", "--no-such-option")
    assert "--no-such-option" in refused.stderr  # and the other is taken all the same


def test_a_set_that_is_none_is_a_settings_error(parse: Any) -> None:
    with pytest.raises(SettingsError, match=r"SECTION\.KEY=VALUE"):
        parse("x", "--set", "nonsense")


def test_bytes_that_are_no_text_do_no_harm(parse: Any) -> None:
    raw = os.fsdecode(b"fix \xff it")
    asked = parse(raw, "--set", "model.name=" + os.fsdecode(b"\xfe"))
    assert asked.goal == "fix \N{REPLACEMENT CHARACTER} it"
    assert asked.settings.model.name == "\N{REPLACEMENT CHARACTER}"
