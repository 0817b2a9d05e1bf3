from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import jetbox
from jetbox.cli import main as entry
from jetbox.cli.plain import plain
from jetbox.engine import errors
from jetbox.engine.errors import ExitCode, JetboxError, SettingsError
from jetbox.settings.themes import shipped_folder

Run = Any


def test_the_version_is_told(from_scratch: Run) -> None:
    done = from_scratch("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"jetbox-tui {jetbox.__version__}\n", "")


def test_the_version_needs_next_to_nothing() -> None:
    code = (
        "import sys; from jetbox.cli.main import main; main(['--version']);"
        "print(*[m for m in ('msgspec', 'asyncio', 'httpx', 'textual', 'jetbox.settings') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == [""]


def test_help_lists_options_and_commands(from_scratch: Run) -> None:
    done = from_scratch("--help")
    assert done.returncode == 0
    for word in ("--model", "--yolo, --auto-approve", "--resume", "doctor", "Play a recorded session"):
        assert word in done.stdout
    assert from_scratch("run", "-h").returncode == 0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["doctr"], "did you mean 'doctor'"),
        (["--modle", "x"], "No such option '--modle'"),
        (["run"], "what is the goal"),
        (["run", "x", "--set", "model.nme=y"], "--set: unknown key model.nme"),
        (["config", "shw"], "No such command 'shw'"),
        (["run", "x", "-C", "/no/such"], "is no folder"),
        (["some goal"], "there is no terminal; without a screen it is: jetbox-tui run GOAL"),
        (["replay", "x"], "there is no terminal"),
        (["replay"], "Missing argument 'SESSION'"),
        (["config", "trust"], "there is no "),
    ],
)
def test_a_usage_error_is_two_lines_and_code_2(jetbox: Run, line: list[str], says: str) -> None:
    done = jetbox(*line)
    assert done.returncode == ExitCode.USAGE
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first.startswith("jetbox-tui: ")
    assert says in first
    assert second.startswith("  ")


def test_an_error_in_a_file_names_its_line(jetbox: Run) -> None:
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "jetbox" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("[model]\n\nnme = 'x'\n")
    for line in (["run", "x"], ["config", "show"]):
        done = jetbox(*line)
        assert done.returncode == ExitCode.USAGE
        assert done.stderr == f"jetbox-tui: {path}:3: unknown key model.nme\n  did you mean 'name'?\n"


def test_a_theme_that_is_not_there_is_told_with_those_that_are(jetbox: Run) -> None:
    """Without a screen too, where nobody would see the difference until the next start."""
    themes = Path(os.environ["XDG_CONFIG_HOME"]) / "jetbox" / "themes"
    themes.mkdir(parents=True)
    (themes / "a-file.toml").write_text('name = "mine"\n')
    (themes / "broken.toml").write_text("= =")
    for line in (["run", "x", "--set", "ui.theme=jetbox-drak"], ["run", "x", "--theme", "jetbox-drak"]):
        done = jetbox(*line)
        assert done.returncode == ExitCode.USAGE
        first, second = done.stderr.splitlines()
        assert first.endswith("no theme 'jetbox-drak'")
        known = sorted({*(path.stem for path in shipped_folder().glob("*.toml")), "broken", "mine"})
        assert second == f"  themes: {', '.join(known)}; your own lie in {themes}"
    path = themes.parent / "config.toml"
    path.write_text("[ui]\ntheme = 'a-file'\n")
    refused = jetbox("run", "x").stderr
    assert f"{path}:2: no theme 'a-file'" in refused
    assert refused.endswith("; a-file.toml calls itself 'mine'\n")
    path.write_text("[ui]\ntheme = 'mine'\n")
    assert jetbox("config", "show").returncode == 0


def test_nothing_in_an_error_can_steer_the_terminal(jetbox: Run) -> None:
    done = jetbox("run", "x", "--set", "\x1b]0;owned\x07\x9b31m.a=\u202e")
    assert done.returncode == ExitCode.USAGE
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.stderr)
    assert plain("a\x1b[31mb\nc\td\u200b") == "a\N{REPLACEMENT CHARACTER}[31mb c d\N{REPLACEMENT CHARACTER}"


def test_a_reader_that_went_away_is_no_failure_to_tell_of(jetbox: Run) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = jetbox("config", "schema", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (ExitCode.HANGUP, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux")
def test_a_full_disk_behind_the_output_is_told(jetbox: Run) -> None:
    with open("/dev/full", "w") as full:
        done = jetbox("config", "show", stdout=full)
    assert done.returncode == ExitCode.STORAGE
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_output_that_is_not_utf_8_gets_question_marks(jetbox: Run) -> None:
    done = jetbox("config", "show", "--set", "model.name=π", "--changed", env={"PYTHONIOENCODING": "latin-1"})
    assert done.returncode == 0
    assert 'model.name  "?"' in done.stdout


SCRIPT = """
import sys
from jetbox.cli import commands, main
{body}
commands.COMMANDS["run"] = ("__main__:run", "")
import click
@click.command()
def run(**_):
    work()
sys.exit(main.main(["run"]))
"""


def started(body: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(body=body)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_an_unexpected_failure_is_one_line_and_a_report() -> None:
    done = started("def work():\n    raise ValueError('what \\x1b[2J nobody expected')")
    out, err = done.communicate(timeout=120)
    assert done.returncode == ExitCode.INTERNAL
    assert out == ""
    first, second = err.splitlines()
    assert first == "jetbox-tui: internal error: ValueError: what \N{REPLACEMENT CHARACTER}[2J nobody expected"
    report = Path(second.removeprefix("  a report is in "))
    assert report.parent == Path(os.environ["XDG_STATE_HOME"]) / "jetbox" / "crashes"
    assert report.stat().st_mode & 0o777 == 0o600
    assert "in work" in report.read_text()


def test_a_report_that_cannot_be_written_is_told() -> None:
    state = Path(os.environ["XDG_STATE_HOME"])
    state.parent.mkdir(parents=True)
    state.write_text("a file in its place")
    done = started("def work():\n    raise KeyError('x')")
    err = done.communicate(timeout=120)[1]
    assert done.returncode == ExitCode.INTERNAL
    assert "no report could be written" in err
    assert "Traceback" not in err


WAITS = """
import asyncio
def work():
    try:
        asyncio.run(wait())
    finally:
        print("cleaned up", flush=True)
async def wait():
    print("waiting", flush=True)
    await asyncio.Event().wait()
"""
BLOCKS = """
import signal
def work():
    try:
        print("waiting", flush=True)
        signal.pause()
    finally:
        print("cleaned up", flush=True)
"""


@pytest.mark.parametrize("body", [WAITS, BLOCKS], ids=["loop", "blocking"])
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_a_signal_ends_in_good_order_and_with_its_code(body: str, number: int, code: int) -> None:
    done = started(body)
    assert done.stdout is not None
    assert done.stdout.readline() == "waiting\n"
    done.send_signal(number)
    out, err = done.communicate(timeout=120)
    assert (done.returncode, out, err) == (code, "cleaned up\n", "")


def test_a_hangup_that_was_ignored_at_start_stays_ignored() -> None:
    body = (
        "import os, signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "def work():\n    os.kill(os.getpid(), signal.SIGHUP)\n    print('still here')"
    )
    done = started(body)
    assert done.communicate(timeout=120)[0] == "still here\n"
    assert done.returncode == 0


def _errors(kind: type[JetboxError]) -> list[type[JetboxError]]:
    return [kind, *(found for sub in kind.__subclasses__() for found in _errors(sub))]


@pytest.mark.parametrize("kind", _errors(JetboxError), ids=lambda kind: kind.__name__)
def test_every_error_for_people_is_told_with_its_code(
    kind: type[JetboxError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_: list[str], skeleton: None) -> int:
        raise ExceptionGroup("wrapped", [OSError("beside"), kind("what failed", "what to do")])

    monkeypatch.setattr("jetbox.cli.dispatch.dispatch", fails)
    assert entry.main(["x"]) == kind.exit_code
    assert capsys.readouterr().err == "jetbox-tui: what failed\n  what to do\n"


def test_the_tree_of_errors_names_every_exit_code_it_uses() -> None:
    assert errors.__doc__ is not None
    for kind in _errors(JetboxError):
        assert kind.__name__ in errors.__doc__
    assert SettingsError.exit_code == ExitCode.USAGE


def test_without_a_terminal_the_demo_says_so(jetbox: Run) -> None:
    done = jetbox("--demo", "--set", "model.nme=x")
    assert done.stderr.splitlines()[0] == "jetbox-tui: there is no terminal, so the demo runs without a screen"
    assert done.returncode == ExitCode.USAGE


def test_the_package_has_a_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", jetbox.__version__)
