from __future__ import annotations

import click
import pytest

from jetbox.cli.dispatch import COMMANDS, choose, load_command
from jetbox.cli.options import OPTIONAL_VALUE, TAKES_VALUE


@pytest.mark.parametrize(
    ("line", "name", "rest"),
    [
        ([], "", []),
        (["fix it"], "", ["fix it"]),
        (["make", "it", "run"], "", ["make", "it", "run"]),
        (["run", "fix it"], "run", ["fix it"]),
        (["-m", "run", "doctor"], "doctor", ["-m", "run"]),
        (["--model=run", "doctor"], "doctor", ["--model=run"]),
        (["-mrun", "doctor"], "doctor", ["-mrun"]),
        (["-cm", "run", "doctor"], "doctor", ["-cm", "run"]),
        (["-C", "/tmp", "config", "show"], "config", ["-C", "/tmp", "show"]),
        (["--yolo", "run", "x"], "run", ["--yolo", "x"]),
        (["--set", "a.b=c", "run", "x"], "run", ["--set", "a.b=c", "x"]),
        (["-r", "run"], "", ["-r", "run"]),
        (["-r", "--demo", "run"], "run", ["-r", "--demo"]),
        (["--", "run"], "", ["--", "run"]),
        (["--", "doctr"], "", ["--", "doctr"]),
        (["-p", "fix it"], "run", ["fix it"]),
        (["--print", "doctor"], "run", ["doctor"]),
        (["fix it", "-p", "--output-format", "json"], "run", ["fix it", "--output-format", "json"]),
        (["-p", "--output-format", "json", "fix it"], "run", ["--output-format", "json", "fix it"]),
        (["-p", "--", "-p"], "run", ["--", "-p"]),
        (["run", "--", "-p"], "run", ["--", "-p"]),
        (["refactor"], "", ["refactor"]),
        (["repair"], "", ["repair"]),
        (["doctr", "please"], "", ["doctr", "please"]),
        (["-"], "", ["-"]),
    ],
)
def test_the_first_word_decides(line: list[str], name: str, rest: list[str]) -> None:
    assert choose(line) == (name, rest)


@pytest.mark.parametrize(
    ("word", "meant"),
    [("doctr", "doctor"), ("Doctor", "doctor"), ("runn", "run"), ("simulat", "simulate"), ("help", "--help")],
)
def test_a_single_word_near_a_command_is_an_error_that_names_it(word: str, meant: str) -> None:
    with pytest.raises(click.UsageError, match=meant):
        choose([word])
    with pytest.raises(click.UsageError, match=meant):
        choose(["--yolo", word])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there(name: str) -> None:
    command = load_command(name)
    assert command.name == name
    assert COMMANDS[name][1].endswith(".")


def test_the_search_for_the_first_word_knows_every_option() -> None:
    from jetbox.cli.commands import run, workbench

    options = [p for command in (workbench, run) for p in command.params if isinstance(p, click.Option)]
    valued = {name for option in options if not option.is_flag and option.name != "resume" for name in option.opts}
    assert valued == TAKES_VALUE
    assert {name for option in options if option.name == "resume" for name in option.opts} == OPTIONAL_VALUE
