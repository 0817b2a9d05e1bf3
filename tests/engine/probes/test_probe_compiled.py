"""Sources that are compiled before a run asks for them: taken for the same text alone, and never instead of another."""

from __future__ import annotations

import os
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.probes.test_probe_forked import Suite, suite
from engine.probes.test_probe_standby import ahead, failure, idle, ran
from jetbox.engine.probes.compiled import MOST_BYTES, Compiled

if TYPE_CHECKING:
    from engine.probes.conftest import Bench

__all__ = ["suite"]
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forked runs need Linux")


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("compiled again")


def imported(path: Path) -> object:
    """What an import of this file executes."""
    return SourceFileLoader("m", str(path)).source_to_code(path.read_bytes(), str(path))


def test_the_same_text_is_compiled_once_and_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "m.py"
    source.write_bytes(b"# coding: latin-1\nX = '\xe4'\n")
    before = compile(source.read_bytes(), str(source), "exec", dont_inherit=True)
    compiled = Compiled(str(tmp_path))
    compiled.add("m.py")
    with monkeypatch.context() as patched:
        patched.setattr("builtins.compile", refuse)
        compiled.add("m.py")
        compiled.enter()
        assert imported(source) == before
        with pytest.raises(AssertionError, match="compiled again"):
            imported(source)
    assert "source_to_code" not in vars(SourceFileLoader)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("X = '\\d'\n", id="a warning"),
        pytest.param("X = (\n", id="no Python"),
        pytest.param("X = '" + "x" * MOST_BYTES + "'\n", id="a large one"),
        pytest.param("\0", id="no text"),
    ],
)
def test_what_a_compiler_has_something_to_say_of_is_left_to_the_import(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.py").write_text(text)
    os.mkfifo(tmp_path / "pipe.py")
    compiled = Compiled(str(tmp_path))
    for name in ("m.py", "pipe.py", "missing.py", "."):
        compiled.add(name)
    compiled.enter()
    assert "source_to_code" not in vars(SourceFileLoader)


PATCHED = """import builtins
real = builtins.compile
def turned(data, *more, **words):
    return real(b"X = 7" if data == b"X = 2\\n" else data, *more, **words)
builtins.compile = turned
"""
DERIVED = """from importlib._bootstrap_external import SourceLoader
real = SourceLoader.source_to_code
def turned(self, data, path):
    return real(self, b"X = 7" if bytes(data) == b"X = 2\\n" else data, path)
SourceLoader.source_to_code = turned
"""
AUDITED = """import sys
def seen(event, said):
    if event == "compile" and said[0] == b"X = 2\\n":
        sys.m = 7
sys.addaudithook(seen)
"""


def test_a_number_that_has_become_too_long_since_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "m.py"
    source.write_text(f"X = 1{'0' * 900}\n")
    compiled = Compiled(str(tmp_path))
    compiled.add("m.py")
    compiled.enter()
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        with pytest.raises(SyntaxError):
            imported(source)
    finally:
        sys.set_int_max_str_digits(before)


@linux
@pytest.mark.parametrize("deed", [PATCHED, DERIVED, AUDITED], ids=["compiler", "loader", "audit"])
async def test_whoever_has_a_say_in_what_is_compiled_is_heard(bench: Bench, suite: Suite, deed: str) -> None:
    bench.write("conftest.py", deed)
    bench.write("m.py", "X = 1\n")
    bench.write("test_a.py", "import sys, m\ndef test_a(): assert getattr(sys, 'm', m.X) == 7\n")
    assert (await ahead(suite, "test_a.py")).code == 1
    await idle(suite)
    bench.write("m.py", "X = 2\n")
    suite.probe.compile(["m.py"])
    soon, plain = await ran(suite, "test_a.py"), await suite.probe.sessions.plain(("test_a.py",))
    assert (soon.ahead, soon.code, plain.code) == (True, 0, 0), soon.output


@linux
async def test_an_edit_that_comes_after_it_counts(bench: Bench, suite: Suite) -> None:
    for n, text in enumerate(("X = 1\n", "X = 2\n")):
        bench.write("m.py", "X = 1\n")
        bench.write("test_a.py", "import m\ndef test_a(): assert m.X == 1, m.__file__\n")
        await ahead(suite, "test_a.py")
        await idle(suite)
        suite.probe.sessions.compile(["m.py"])
        bench.write("m.py", text)
        ended = await ran(suite, "test_a.py")
        assert (ended.code, ended.ahead) == (n, True), ended.output


@linux
async def test_a_warning_of_the_compiler_is_given_in_the_run(bench: Bench, suite: Suite) -> None:
    bench.write("pytest.ini", "[pytest]\nfilterwarnings = error\n")
    bench.write("m.py", "X = 1\n")
    bench.write("test_a.py", "import m\ndef test_a(): assert m.X\n")
    assert (await ahead(suite, "test_a.py")).code == 0
    await idle(suite)
    bench.write("m.py", "X = '\\d'\n")
    suite.probe.compile(["m.py", "test_a.py", "../elsewhere.py"])
    soon, plain = await ran(suite, "test_a.py"), await suite.probe.sessions.plain(("test_a.py",))
    assert (soon.ahead, soon.code) == (True, plain.code)
    assert failure(soon) == failure(plain) != []
