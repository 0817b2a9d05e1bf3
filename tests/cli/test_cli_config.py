from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from jetbox.engine.errors import ExitCode
from jetbox.settings.fields import option_names

Run = Any


@pytest.fixture
def user_file() -> Path:
    return Path(os.environ["XDG_CONFIG_HOME"]) / "jetbox" / "config.toml"


@pytest.fixture
def project_file(tmp_path: Path) -> Path:
    path = tmp_path / "work" / ".jetbox" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("[permissions]\nnetwork = true\n[ui]\ntheme = 'jetbox-light'\n")
    return path


def test_show_has_every_option_aligned_with_its_source(jetbox: Run, user_file: Path) -> None:
    user_file.parent.mkdir(parents=True)
    user_file.write_text("[model]\nname = 'one'\n")
    lines = jetbox("config", "show").stdout.splitlines()
    assert [line.split()[0] for line in lines] == option_names()
    assert lines[0].split() == ["model.name", '"one"', "user", f"{user_file}:2"]
    assert lines[1].split() == ["model.host", '"http://127.0.0.1:11434"', "default"]
    assert len({line.index(line.split(maxsplit=1)[1]) for line in lines}) == 1


def test_show_as_json_holds_values_and_sources(jetbox: Run) -> None:
    done = jetbox("config", "show", "--json", "--changed", "-m", "x", env={"OLLAMA_HOST": "http://me:word@box"})
    assert json.loads(done.stdout) == {
        "model.name": {"value": "x", "source": {"kind": "flag", "where": "--model", "line": 0}},
        "model.host": {
            "value": "http://***@box:80",
            "source": {"kind": "environment", "where": "OLLAMA_HOST", "line": 0},
        },
    }


def test_a_project_file_is_trusted_and_forgotten(jetbox: Run, project_file: Path, tmp_path: Path) -> None:
    (tmp_path / "work").rename(tmp_path / "elsewhere")
    folder = str(tmp_path / "elsewhere")
    (tmp_path / "work").mkdir()

    def shown() -> Any:
        return jetbox("config", "-C", folder, "show", "--changed")

    before = shown()
    assert before.stdout.split()[:2] == ["ui.theme", '"jetbox-light"']
    assert "permissions.network" not in before.stdout
    assert "permissions.network ignored; look at the file, then `jetbox-tui config trust`" in before.stderr
    assert "not trusted" in jetbox("config", "path", "-C", folder).stdout
    trusted = jetbox("config", "trust", "-C", folder)
    assert trusted.returncode == 0
    assert "  permissions.network = true\n" in trusted.stdout
    after = shown()
    assert after.stdout.split()[:2] == ["permissions.network", "true"]
    assert after.stderr == ""
    assert "(trusted)" in jetbox("config", "path", "-C", folder).stdout
    assert "no longer trusted" in jetbox("config", "trust", "--revoke", "-C", folder).stdout
    assert shown().stdout == before.stdout


def test_path_names_the_files(jetbox: Run, user_file: Path, tmp_path: Path) -> None:
    done = jetbox("config", "path")
    project = tmp_path / "work" / ".jetbox" / "config.toml"
    assert done.stdout == f"project  {project}  (none)\nuser     {user_file}  (none)\n"


def test_the_schema_is_json(jetbox: Run) -> None:
    made = json.loads(jetbox("config", "schema").stdout)
    assert made["$ref"] == "#/$defs/Settings"


def test_edit_makes_the_file_opens_it_and_checks_it(jetbox: Run, user_file: Path, tmp_path: Path) -> None:
    editor = tmp_path / "my editor"
    editor.write_text('#!/bin/sh\nprintf "[ui]\\ncolor = %s\\n" "$1" > "$2"\n')
    editor.chmod(0o755)
    good = jetbox("config", "edit", env={"VISUAL": f"'{editor}' false", "EDITOR": "/bin/false"})
    assert (good.returncode, good.stdout) == (0, f"{user_file} is well-formed\n")
    bad = jetbox("config", "edit", env={"EDITOR": f"'{editor}' 3"})
    assert bad.returncode == ExitCode.USAGE
    assert f"{user_file}:2: ui.color must be true or false, not 3" in bad.stderr


@pytest.mark.parametrize(
    ("editor", "says"),
    [("/bin/false", "ended with 1"), ("/no/such/editor", "cannot be started"), ("'", "cannot be started")],
)
def test_an_editor_that_fails_is_told(jetbox: Run, editor: str, says: str) -> None:
    done = jetbox("config", "edit", env={"VISUAL": editor})
    assert done.returncode == ExitCode.USAGE
    assert says in done.stderr


def test_edit_of_a_projects_file_reminds_of_trust(jetbox: Run, tmp_path: Path) -> None:
    done = jetbox("config", "edit", "--project", env={"VISUAL": "true"})
    assert (tmp_path / "work" / ".jetbox" / "config.toml").exists()
    assert "jetbox-tui config trust" in done.stdout
