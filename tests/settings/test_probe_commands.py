from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jetbox.engine.errors import SettingsError
from jetbox.engine.options import PerformanceOptions, ProbeCommand, ProbeOptions
from jetbox.settings.load import load, parse_assignment
from jetbox.settings.profiles import BUILT_IN
from jetbox.settings.show import effective, schema
from jetbox.settings.trust import trust

TWO = """\
[probes]
mypy = true

[[probes.commands]]
name = "cargo"
command = "cargo test --quiet"
scope = ["*.rs", "Cargo.*"]
time_s = 300

[[probes.commands]]
name = "links"
command = ["./tools/links", "docs"]
"""
CARGO = ProbeCommand(name="cargo", command="cargo test --quiet", scope=("*.rs", "Cargo.*"), time_s=300.0)
LINKS = ProbeCommand(name="links", command=("./tools/links", "docs"))


@pytest.fixture
def user_file() -> Path:
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "jetbox" / "config.toml"
    path.parent.mkdir(parents=True)
    return path


def test_commands_are_read_in_their_order(user_file: Path) -> None:
    user_file.write_text(TWO)
    loaded = load(None, environment={})
    assert loaded.settings.probes == ProbeOptions(mypy=True, commands=(CARGO, LINKS))
    assert str(loaded.source("probes.commands")) == f"user {user_file}:4"


def test_commands_of_a_project_wait_for_trust(tmp_path: Path) -> None:
    path = tmp_path / ".jetbox" / "config.toml"
    path.parent.mkdir()
    path.write_text(TWO + "[[profiles.evil.probes.commands]]\nname = 'x'\ncommand = 'y'\n")
    loaded = load(str(tmp_path), environment={})
    assert loaded.settings.probes.commands == ()
    assert loaded.untrusted == ("probes.commands",)
    assert "probes.commands ignored" in loaded.notices[0]
    chosen = load(str(tmp_path), environment={}, profile="evil")
    assert chosen.settings.probes.commands == ()
    trust(str(path), path.read_bytes())
    assert load(str(tmp_path), environment={}).settings.probes.commands == (CARGO, LINKS)
    path.write_text(TWO.replace("--quiet", "--release"))
    assert load(str(tmp_path), environment={}).settings.probes.commands == ()


def test_an_untrusted_project_leaves_the_commands_of_the_user(user_file: Path, tmp_path: Path) -> None:
    user_file.write_text(TWO)
    path = tmp_path / ".jetbox" / "config.toml"
    path.parent.mkdir()
    path.write_text("[[probes.commands]]\nname = 'cargo'\ncommand = 'true'\n")
    assert load(str(tmp_path), environment={}).settings.probes.commands == (CARGO, LINKS)


def test_trusting_a_file_shows_its_commands_before(tmp_path: Path) -> None:
    path = tmp_path / ".jetbox" / "config.toml"
    path.parent.mkdir()
    path.write_text(TWO)
    command = [f"{sys.prefix}/bin/jetbox-tui", "config", "trust", "-C", str(tmp_path)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert 'command = "cargo test --quiet"' in shown
    assert 'name = "links", command = ["./tools/links", "docs"]' in shown


@pytest.mark.parametrize(
    ("text", "line", "says", "hint"),
    [
        ("\n[[probes.commands]]\nname = 'a'\ncomand = 'b'\n", 4, "unknown key probes.commands.comand", "'command'"),
        ("[[probes.commands]]\nname = 'a'\n", 1, "probes.commands: a table has no command", "its keys: name"),
        ("[[probes.commands]]\nname = 'a'\ncommand = 3\n", 3, "probes.commands.command must be a text or a list", ""),
        ("[[probes.commands]]\nname = 'a'\ncommand = []\n", 3, "probes.commands.command is empty", "cargo"),
        ("[[probes.commands]]\nname = 'a'\ncommand = ' '\n", 3, "probes.commands.command is empty", "cargo"),
        ('[[probes.commands]]\nname = "a"\ncommand = "b\\u202e"\n', 3, "probes.commands.command holds control", ""),
        ("[[probes.commands]]\nname = 'a b'\ncommand = 'b'\n", 2, "probes.commands.name cannot be", "letters"),
        ("[[probes.commands]]\nname = 'Ruff'\ncommand = 'b'\n", 2, "probes.commands.name cannot be 'Ruff'", "another"),
        (
            "[[probes.commands]]\nname = 'a'\ncommand = 'b'\n[[probes.commands]]\ncommand = 'c'\nname = 'a'\n",
            6,
            "probes.commands: there are two named 'a'",
            "rename",
        ),
        (
            "[[probes.commands]]\nname = 'a'\ncommand = 'b'\nscope = '*.rs'\n",
            4,
            "probes.commands.scope must be a list of texts",
            "",
        ),
        (
            "[[probes.commands]]\nname = 'a'\ncommand = 'b'\nscope = ['../x']\n",
            4,
            'probes.commands.scope cannot hold the text "../x"',
            "below the folder",
        ),
        ("[[probes.commands]]\nname = 'a'\ncommand = 'b'\ntime_s = -1\n", 4, "probes.commands.time_s must be 0 or", ""),
        ("[[probes.commands]]\nname = 'a'\ncommand = 'b'\ntime_s = nan\n", 4, "probes.commands.time_s must be 0", ""),
        ("[[probes.commands]]\nname = 'a'\ncommand = 'b'\noutput_bytes = 9\n", 4, "probes.commands.output_bytes", ""),
        ("[probes.commands]\nname = 'a'\n", 1, "probes.commands must be a list of tables", "[[probes.commands]]"),
        ("[probes]\n\ncommands = ['make']\n", 3, "probes.commands must be a list of tables", "[[probes.commands]]"),
        ("[probes]\ncommands = [\n {name = 'a'}]\n", 2, "probes.commands: a table has no command", ""),
        ("[[probes.comands]]\nname = 'a'\n", 1, "unknown key probes.comands", "did you mean 'commands'?"),
    ],
)
def test_an_error_names_file_line_key_and_what_is_right(
    user_file: Path, text: str, line: int, says: str, hint: str
) -> None:
    user_file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(None, environment={})
    assert caught.value.message.startswith(f"{user_file}:{line}: {says}")
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("text", ["make", "[1]", "{ name = 'a' }", "[{ nam = 'a' }]"])
def test_a_variable_or_flag_that_is_no_list_of_commands_is_told(text: str) -> None:
    with pytest.raises(SettingsError, match=r"JETBOX_PROBES_COMMANDS: .*probes\.commands"):
        load(None, environment={"JETBOX_PROBES_COMMANDS": text})
    with pytest.raises(SettingsError, match=r"--set: .*probes\.commands"):
        load(None, environment={}, flags=[parse_assignment(f"probes.commands={text}")])


def test_commands_are_shown_as_they_can_be_set_without_credentials() -> None:
    text = "[{ name = 'a', command = ['curl', 'https://me:secret@box/x'] }]"
    loaded = load(None, environment={"JETBOX_PROBES_COMMANDS": text})
    (row,) = (row for row in effective(loaded) if row.option == "probes.commands")
    assert row.shown == '[{ name = "a", command = ["curl", "https://***@box/x"] }]'
    assert "secret" not in str(row)
    again = load(None, environment={"JETBOX_PROBES_COMMANDS": row.shown})
    assert again.settings.probes.commands[0].name == "a"


def test_the_schema_describes_a_command() -> None:
    made = json.loads(json.dumps(schema()))["$defs"]
    command = made["ProbeCommand"]
    assert command["required"] == ["name", "command"]
    assert command["additionalProperties"] is False
    assert "`sh`" in command["properties"]["command"]["description"]
    assert made["ProbeOptions"]["properties"]["commands"]["items"] == {"$ref": "#/$defs/ProbeCommand"}


SWITCHES = [
    name for name, default in zip(
        PerformanceOptions.__struct_fields__, PerformanceOptions.__struct_defaults__, strict=True
    ) if default is True
]  # fmt: skip


@pytest.mark.parametrize("switch", SWITCHES)
def test_an_experiment_can_turn_off_exactly_one_switch(switch: str) -> None:
    everything = {name: name != switch for name in SWITCHES}
    by_flag = load(None, environment={}, flags=[parse_assignment(f"performance.{switch}=false")])
    by_variable = load(None, environment={f"JETBOX_PERFORMANCE_{switch.upper()}": "off"})
    for loaded in (by_flag, by_variable):
        performance = loaded.settings.performance
        assert {name: getattr(performance, name) for name in SWITCHES} == everything
        assert loaded.changed() == {f"performance.{switch}": "false"}


def test_baseline_has_none_of_the_optimisations() -> None:
    settings = load(None, environment={}, profile="baseline").settings
    on = {name for name in SWITCHES if getattr(settings.performance, name)}
    # How changes are noticed makes nothing quicker that is not kept.
    assert on == {"probe_inotify"}
    assert settings.performance.probe_ttl_s == 0
    assert settings.probes.wait == "verdict"


def test_seed_is_what_the_fast_agent_had() -> None:
    settings = load(None, environment={}, profile="seed").settings
    on = {name for name in SWITCHES if getattr(settings.performance, name)}
    assert on == {"probe_inotify", "probe_parallel", "probe_skip_without_tests", "parallel_tools"}
    assert settings.performance.probe_ttl_s == 3.0
    assert settings.probes.wait == "verdict"


@pytest.mark.parametrize("profile", BUILT_IN)
def test_a_built_in_profile_gives_way_to_a_flag(profile: str) -> None:
    loaded = load(None, environment={}, profile=profile, flags=[parse_assignment("performance.probe_cache=true")])
    assert loaded.settings.performance.probe_cache
    assert loaded.source("performance.probe_cache").kind == "flag"
