"""The server and the command line say the same of the same files, or the server says nothing."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import pathspec
import pytest

from engine.probes.linting import BROKEN, RULES, Ruff, said
from jetbox.engine.probes.base import Change
from jetbox.engine.safety.choose import choose_sandbox
from jetbox.engine.safety.process import ProcessRunner

if TYPE_CHECKING:
    from engine.probes.conftest import Bench

CLEAN = "x = 1\n"
UNUSED = "import os\n"
GIT = {".git/HEAD": "ref: refs/heads/main\n"}
LONG = "x = '" + "a" * 60 + "'\n"
NARROW = 'line-length = 30\nlint.select = ["E501"]\n'
NAMES = ("a-b.py", "a/b.py", "a.py", "a/b-c/x.py", "A.py", "ä b#%20?.py")
MATCH = "match x:\n  case 1: pass\n"


@pytest.fixture
async def ruff(bench: Bench) -> AsyncIterator[Ruff]:
    made = Ruff(bench)
    yield made
    await made.probe.close()


def put(ruff: Ruff, files: dict[str, str | bytes]) -> None:
    for path, content in files.items():
        target = ruff.bench.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())


TEXTS: dict[str, str | bytes] = {
    "carriage returns": 'import os\r\n\r\nx = "ü"; y = undefined\r\n',
    "old line ends": "import os\rx = 1; y = undefined\rz = 2\n",
    "odd line ends": 'import os\r\nx = 1; y = undefined\n\x0c\nz = u\x0c  \n"""a\x85 b\u2028c""" ; e=1\n',
    "zero byte": "import os\nx = 1\x00 2\n",
    "another encoding said": '# -*- coding: latin-1 -*-\nx = "ü"; y = undefined\nimport os\n',
    "tabs": "if True:\n\tx = 1;\ty = undefined\n        z = 2\n",
    "empty": "",
    "shebang": "#!/usr/bin/python\nprint()\n",
    "wide": 'x = "' + "ü€𝄞" * 100 + '"; import os\n',
    "wrong everywhere": "import os\nimport os, os\ndef f(a, a): return (yield)\nreturn\nbreak\nawait x\n",
    "excused": "import os  # noqa: F401\nimport sys  # noqa: E501\n# ruff: noqa: E\n",
    "spread": '"%s" % (1,\n2)\nif (1,\n 2): pass\nassert (x, "a\\nb")\nx = "\u202e evil"\n',
    "broken": BROKEN,
    "unclosed": "def f(:\n  (\n",
    "new syntax": MATCH + 'f"{x!r:{"a"}}"\ntype X = int\n',
}


@pytest.mark.parametrize("rules", [RULES, 'preview = true\nlint.select = ["ALL"]\n'], ids=["some", "all"])
async def test_they_agree_on_every_kind_of_text(ruff: Ruff, rules: str) -> None:
    put(ruff, {"ruff.toml": rules, "m.py": CLEAN, "stub.pyi": CLEAN})
    await ruff.run()
    for name, text in TEXTS.items():
        put(ruff, {"m.py": text, "stub.pyi": text})
        early, whole = await ruff.early(), await ruff.run()
        assert said(early) == said(whole), name
        assert early is not None
        assert early.failing == whole.failing, name


@pytest.mark.parametrize(
    ("rules", "files", "edits"),
    [
        ("", {**GIT, ".gitignore": "gen.py\n", "gen.py": CLEAN, "a.py": CLEAN}, {"gen.py": UNUSED}),
        ("", {".ignore": "gen.py\n", "gen.py": CLEAN, "a.py": CLEAN}, {"gen.py": UNUSED}),
        ("", {**GIT, ".git/info/exclude": "gen.py\n", "gen.py": CLEAN, "a.py": CLEAN}, {"gen.py": UNUSED}),
        (
            "respect-gitignore = false\n",
            {**GIT, ".gitignore": "gen.py\n", "gen.py": CLEAN, "a.py": CLEAN},
            {"gen.py": UNUSED},
        ),
        ("", {"dist/gen.py": CLEAN, "a.py": CLEAN}, {"dist/gen.py": UNUSED}),
        ('exclude = ["old"]\n', {"old/gen.py": CLEAN, "a.py": CLEAN}, {"old/gen.py": UNUSED}),
        ('[lint]\nexclude = ["gen.py"]\n', {"gen.py": CLEAN, "a.py": CLEAN}, {"gen.py": UNUSED}),
        ('include = ["old/*.py"]\n', {"old/gen.py": CLEAN, "a.py": CLEAN}, {"a.py": UNUSED}),
        ("", {"sub/ruff.toml": NARROW, "sub/a.py": CLEAN}, {"sub/a.py": "#" * 40}),
        ("", {"../ruff.toml": NARROW, "a.py": CLEAN}, {"a.py": "#" * 40}),
        (
            'lint.select = ["F", "S"]\nlint.per-file-ignores = {"tests/*" = ["S"]}\n',
            {"tests/t.py": CLEAN, "a.py": CLEAN},
            {"tests/t.py": "import os\nassert 1\n", "a.py": "assert 1\n"},
        ),
        ("", {"pyproject.toml": '[project]\nname = "a"\nrequires-python = ">=3.8"\n', "a.py": CLEAN}, {"a.py": MATCH}),
        ("", dict.fromkeys(NAMES, CLEAN), dict.fromkeys(NAMES, UNUSED)),
        ("", {"a.py": UNUSED, "README.md": "x"}, {"README.md": "```python\nimport os\n```\n"}),
    ],
    ids=[
        "gitignore", "ignore", "info-exclude", "gitignore-off", "default-exclude", "exclude", "lint-exclude", "include",
        "nested", "above", "per-file", "pyproject", "names", "prose",
    ],
)  # fmt: skip
async def test_they_agree_on_which_files_count(
    ruff: Ruff, rules: str, files: dict[str, str | bytes], edits: dict[str, str | bytes]
) -> None:
    put(ruff, {"ruff.toml": rules, **files} if rules else files)
    await ruff.run()
    put(ruff, edits)
    early = await ruff.early()
    assert said(early) == said(await ruff.run())


@pytest.mark.parametrize(
    ("rules", "files", "edits"),
    [
        ("", {"a.py": CLEAN}, {"a.py": b"\xef\xbb\xbfimport os\n"}),
        ("", {"a.py": CLEAN}, {"a.py": b'# -*- coding: latin-1 -*-\nx = "\xfc"\nimport os\n'}),
        ('include = ["*.txt", "*.py"]\n', {"a.txt": CLEAN, "a.py": CLEAN}, {"a.txt": UNUSED}),
        ('include = ["*.foo"]\nextension = {foo = "python"}\n', {"a.foo": CLEAN}, {"a.foo": UNUSED}),
        ('extension = {py = "ipynb"}\n', {"a.py": CLEAN}, {"a.py": UNUSED}),
        ("", {"x:y.py": CLEAN}, {"x:y.py": UNUSED}),
        ("", {"a\nb.py": CLEAN}, {"a\nb.py": UNUSED}),
        ('required-version = "==0.1.0"\n', {"a.py": CLEAN}, {"a.py": UNUSED}),
        ("", {"a.py": CLEAN, "b.ipynb": "{}"}, {"b.ipynb": "{ }"}),
    ],
    ids=["mark", "encoding", "suffix", "extension", "notebook", "colon", "newline", "version", "ipynb"],
)
async def test_where_they_might_not_agree_only_a_run_tells(
    ruff: Ruff, rules: str, files: dict[str, str | bytes], edits: dict[str, str | bytes]
) -> None:
    put(ruff, {"ruff.toml": rules, **files})
    await ruff.run()
    put(ruff, edits)
    assert await ruff.early() is None


async def test_a_text_that_stands_under_two_names_is_for_a_run(ruff: Ruff) -> None:
    put(ruff, {"a.py": CLEAN})
    (ruff.bench.root / "alias.py").symlink_to("a.py")
    await ruff.run()
    put(ruff, {"a.py": UNUSED})
    assert await ruff.early() is None
    assert (await ruff.run()).summary == "2 problems: F401 ×2"


@pytest.mark.parametrize("package", [click, pathspec], ids=["click", "pathspec"])
async def test_they_agree_on_real_projects_under_random_edits(ruff: Ruff, package: object) -> None:
    source = Path(str(package.__file__)).parent  # type: ignore[attr-defined]
    root = ruff.bench.root
    shutil.copytree(source, root / "src" / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    put(ruff, {"ruff.toml": RULES, "left_out.py": BROKEN, "script.py": "#!/usr/bin/env python\nprint(1)\n"})
    put(ruff, {"syntax.py": "def f(:\n    pass\n"})
    paths = sorted((root / "src").rglob("*.py"))
    chance = random.Random(11)
    await ruff.run()
    for _ in range(12):
        for path in chance.sample(paths, 2):
            lines = path.read_text().splitlines(keepends=True)
            at = chance.randrange(len(lines) + 1)
            new = chance.choice([BROKEN, UNUSED, "x=1;y=2\n", "def f(:\n", "\n\n\n\n", "    indented = 1\n", ""])
            kept = lines[at + 1 :] if chance.random() < 0.3 else lines[at:]
            path.write_text("".join([*lines[:at], new, *kept]))
        early, whole = await ruff.early(), await ruff.run()
        assert early is not None
        assert early.failing == whole.failing
        assert said(early) == said(whole)


@pytest.mark.parametrize("sandbox", ["bubblewrap", "landlock"])
async def test_they_agree_in_the_sandbox(bench: Bench, sandbox: str) -> None:
    chosen = await choose_sandbox(bench.root, enabled=True, network=False, prefer=sandbox)
    assert chosen.name == sandbox
    bench.processes = ProcessRunner(chosen, bench.root)
    ruff = Ruff(bench)
    try:
        put(ruff, {"ruff.toml": RULES, "pkg/__init__.py": "", "pkg/m.py": CLEAN})
        await ruff.run()
        put(ruff, {"pkg/m.py": BROKEN})
        assert said(await ruff.early()) == said(await ruff.run())
    finally:
        await ruff.probe.close()
        await chosen.close()


@pytest.mark.parametrize("place", ["ruff.toml", "base.toml", "../base.toml", "pkg/ruff.toml", "pkg/.ruff.toml"])
async def test_settings_that_change_are_read_anew_wherever_they_lie(ruff: Ruff, place: str) -> None:
    put(ruff, {"ruff.toml": "", "pkg/m.py": CLEAN})
    if "base" in place:
        put(ruff, {place: "line-length = 100\n", "ruff.toml": f'extend = "{place}"\n'})
    await ruff.run()
    put(ruff, {"pkg/m.py": LONG})
    assert said(await ruff.early())[0] == "passed"
    for rules, state in ((NARROW, "failed"), ("line-length = 100\n", "passed")):
        put(ruff, {place: rules})
        found = await ruff.probe.candidate("pkg/m.py", LONG)
        assert said(found)[0] == state
        assert (await ruff.run()).state == state
        put(ruff, {"pkg/m.py": LONG * 2})
        assert said(await ruff.early()) == said(await ruff.run())
        put(ruff, {"pkg/m.py": LONG})
        await ruff.run()


async def test_the_users_own_settings_count_in_key_and_server(ruff: Ruff, monkeypatch: pytest.MonkeyPatch) -> None:
    home = ruff.bench.root.parent / "home"
    monkeypatch.setenv("HOME", str(home))
    put(ruff, {"m.py": CLEAN})
    await ruff.run()
    before = await ruff.probe.scope({})
    assert said(await ruff.probe.candidate("m.py", LONG))[0] == "passed"
    put(ruff, {"../home/.config/ruff/ruff.toml": NARROW})
    after = await ruff.probe.scope({})
    assert after.versions != before.versions
    assert str(home / ".config/ruff/ruff.toml") in (before.outside or ())
    assert said(await ruff.probe.candidate("m.py", LONG))[1] == "1 problem: E501"
    put(ruff, {"m.py": LONG})
    assert (await ruff.run()).summary == "1 problem: E501"


async def test_a_run_that_says_otherwise_turns_the_server_off(ruff: Ruff) -> None:
    put(ruff, {"m.py": CLEAN})
    await ruff.run()
    put(ruff, {"m.py": UNUSED})
    assert await ruff.early() is not None
    verdict = await ruff.run()
    assert ruff.whole is not None
    moved = msgspec.structs.replace(verdict, failing=tuple(line.replace(":8 ", ":9 ") for line in verdict.failing))
    ruff.whole = (moved, ruff.whole[1])
    put(ruff, {"m.py": CLEAN})
    assert await ruff.early() is None
    assert ruff.probe.slow == "its server disagreed with a run from scratch"
    assert await ruff.probe.words("m.py", UNUSED) == ""
    assert (await ruff.run()).state == "passed"


async def test_text_on_the_disk_that_is_not_the_proved_one_is_not_judged(ruff: Ruff) -> None:
    put(ruff, {"m.py": CLEAN})
    verdict = await ruff.run()
    put(ruff, {"m.py": UNUSED})
    now = await ruff.tree.sweep()
    put(ruff, {"m.py": "import re\n"})
    assert ruff.whole is not None
    before = ruff.whole[1]
    assert await ruff.probe.early(Change(verdict, before, now, now.changed(before))) is None
    (ruff.bench.root / "m.py").unlink()
    assert await ruff.probe.early(Change(verdict, before, now, now.changed(before))) is None
    os.mkfifo(ruff.bench.root / "m.py")
    assert await ruff.probe.early(Change(verdict, before, now, now.changed(before))) is None
