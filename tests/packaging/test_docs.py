from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest

from jetbox.cli.dispatch import COMMANDS, load_command
from jetbox.engine.errors import ExitCode
from jetbox.settings.files import parse
from jetbox.settings.profiles import BUILT_IN

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()


def test_the_table_of_exit_codes_is_the_enum() -> None:
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", README, re.MULTILINE)
    assert rows == [(str(int(code)), code.name) for code in ExitCode]


def test_the_two_commands_stand_on_the_first_screen() -> None:
    screen = "\n".join(README.splitlines()[:20])
    assert "make demo" in screen
    assert "make test" in screen


def test_the_commands_of_the_readme_are_those_that_exist() -> None:
    named = set(re.findall(r"^\| `jetbox-tui (\w+)", README, re.MULTILINE))
    assert named == set(COMMANDS)
    config = load_command("config")
    assert isinstance(config, click.Group)
    (row,) = re.findall(r"^\| `jetbox-tui config (.*)$", README, re.MULTILINE)
    assert set(config.commands) == set(re.findall(r"`?(show|path|edit|schema|trust)`", row))


def test_the_configuration_of_the_readme_is_valid() -> None:
    examples = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    read = [entry.option for example in examples for entry in parse(example.encode(), "README.md", "user").entries]
    assert {"model.name", "context.num_ctx", "profile", "probes.mypy", "probes.commands"} <= set(read)
    for name in BUILT_IN:
        assert name in examples[0]


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "ARCHITECTURE.md"])
def test_links_of_the_documents_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    block = text.partition("dependencies = [\n")[2].partition("]\n")[0]
    assert all("# " in line for line in block.splitlines())
    assert len(block.splitlines()) == len(tomllib.loads(text)["project"]["dependencies"])


def test_the_changelog_knows_the_version() -> None:
    from jetbox import __version__

    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
