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
from jetbox.sim.__main__ import parser

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


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
    (offered,) = [
        str(each.help)
        for each in load_command("run").params
        if isinstance(each, click.Option) and each.name == "profile"
    ]
    for name in BUILT_IN:
        assert name in examples[0]
        assert name in offered


def test_configuration_on_other_pages_is_valid_too() -> None:
    pages = {path.name: re.findall(r"```toml\n(\[(?!script).*?)```", path.read_text(), re.DOTALL) for path in DOCUMENTS}
    read = {page: [parse(each.encode(), page, "user") for each in examples] for page, examples in pages.items()}
    assert read["serving-a-team.md"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_of_the_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        assert target.startswith("https://") or (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_modules_that_the_documents_name_are_there(document: Path) -> None:
    package = ROOT / "app" / "jetbox"
    for name in re.findall(r"(?<![\w/.])([a-z_]+/[\w/]+\.py)\b", document.read_text()):
        assert any((folder / name).is_file() for folder in (ROOT, package, package / "engine")), name


def test_options_that_the_documents_name_exist() -> None:
    known = {*re.findall(r"--[a-z-]+", "".join(path.read_text() for path in ROOT.glob("benchmarks/*.py")))}
    known |= {option for action in parser("simulate")._actions for option in action.option_strings}
    known |= {option for name in COMMANDS for option in options(load_command(name))} | {"--version"}
    known |= {"--quiet", "--jinja", "--enable-per-request-metrics"}  # of cargo, llama.cpp and vLLM
    for document in DOCUMENTS:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", document.read_text()))
        assert named <= known, document


def options(command: click.Command) -> set[str]:
    found = {option for parameter in command.params for option in parameter.opts}
    below = command.commands.values() if isinstance(command, click.Group) else ()
    return found.union(*(options(each) for each in below))


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    block = text.partition("dependencies = [\n")[2].partition("]\n")[0]
    assert all("# " in line for line in block.splitlines())
    assert len(block.splitlines()) == len(tomllib.loads(text)["project"]["dependencies"])


def test_the_changelog_knows_the_version() -> None:
    from jetbox import __version__

    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
