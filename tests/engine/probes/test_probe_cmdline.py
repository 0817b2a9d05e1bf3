"""What a command line runs: a script of the workspace that it runs counts, and where that cannot be told, all does."""

from __future__ import annotations

import pytest

from jetbox.engine.probes.cmdline import runs

ROOT = "/ws"
SCRIPT = "tools/check.sh"


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("./check", "check"),
        ("cd tools && sh check.sh", SCRIPT),
        ("(cd src/../tools; ./check.sh)", SCRIPT),
        ("cd tools && cd sub && ./x", "tools/sub/x"),
        ("cd src; sh ../tools/check.sh", SCRIPT),
        ("sh -c 'sh tools/check.sh'", SCRIPT),
        ("bash -euo pipefail -c 'cd tools && ./check.sh'", SCRIPT),
        (("sh", "-c", "cd tools\n. ./check.sh"), SCRIPT),
        (("python3", "$odd.py"), "$odd.py"),
        ("sh 'tools/check.sh' >out.txt 2>&1", SCRIPT),
        ("sh < tools/check.sh", SCRIPT),
        ("{ sh tools/check.sh; }", SCRIPT),
        ("true;X=1 env Y=2 sh tools/check.sh", SCRIPT),
        ("if true; then tools/check.sh; fi", SCRIPT),
        ("concurrently 'npm run lint' 'sh tools/check.sh -v'", SCRIPT),
        ("sh -e /ws/tools/check.sh", SCRIPT),
        ("make -C sub -f rules.mk", "sub/rules.mk"),
        ("uv --directory sub run python x.py", "sub/x.py"),
        ("python3 -m tools.m", "tools/m.py"),
        ("python3 -m tools.m", "tools/__init__.py"),
        ("uv run python -Werror -m tools", "tools/__main__.py"),
        ("cd sub && python -mtools.m", "sub/tools/m.py"),
        ("python3 .", "__main__.py"),
        ("node tools/check", "tools/check.mjs"),
        ("node tools", "tools/index.js"),
        ("awk -f sum.awk --file=data/in.txt", "data/in.txt"),
        ("PATH=tools:$PATH check", "tools/check"),
        ("export PATH=$PWD/tools:${PATH}; check", "tools/check"),
        (("env", "PATH=/usr/bin:tools:src", "check"), "tools/check"),
        ("cd sub && PATH=../tools:$PATH && check", "tools/check"),
        ("PYTHONPATH=/ws/tools python3 -m check", "tools/check.py"),
        ("CDPATH=sub cd tools; ./check", "sub/tools/check"),
    ],
)
def test_what_is_run_is_named(command: str | tuple[str, ...], path: str) -> None:
    found = runs(command, ROOT)
    assert found.clear
    assert found.takes(path)
    assert not found.takes("README.md")


@pytest.mark.parametrize(
    "command",
    [
        "sh $PWD/tools/check.sh",
        "$PWD/tools/check.sh",
        "tools/*.sh",
        "cat tools/*.sh | sh",
        "cat tools/*.sh | sh -s 2>&1",
        "cat tools/check.sh | python3 -",
        "`echo sh` tools/check.sh",
        "$(which sh) tools/check.sh",
        'echo "$(sh tools/check.sh)"',
        "cd $X && sh check.sh",
        "cd - && sh check.sh",
        "cd; sh check.sh",
        ". $X/check.sh",
        "eval 'sh tools/check.sh'",
        "trap ./check.sh EXIT",
        "env $TOOL",
        "find . -name 'check*' -exec {} \\;",
        "git ls-files | xargs sh",
        "for f in tools/*.sh; do sh $f; done",
        "sh -c 'for f in tools/*.sh; do $f; done'",
        ("sh", "-c", "sh tools/*.sh"),
        ("python3", "-c", "import tools.m"),
        "python3 -Ic 'import tools.m'",
        "perl -lane 'do q(x.pl)' y",
        "node --test",
        "python3 <<END\nimport tools.m\nEND",
        "sh <(cat tools/check.sh)",
        "echo 'unclosed",
        "make -C $SUB check",
        "parallel 'sh {}' ::: tools/*.sh",
        "PATH=$X:$PATH check",
        "export PATH=~/bin:$PATH; check",
    ],
)
def test_where_it_cannot_be_told_any_file_may_be_run(command: str | tuple[str, ...]) -> None:
    assert not runs(command, ROOT).clear


@pytest.mark.parametrize(
    "command",
    [
        "cargo test --quiet",
        "FLAGS=$X cargo test -- '*name*'",
        "grep -rqE '^x*$' src",
        "[ -f a.rs ] && cargo build 2>&1 | tee log",
        'for f in *.rs; do rustfmt --check "$f"; done',
        'text=$(cat a.rs); test "$text" = new',
        "git ls-files '*.c' | xargs clang-format --dry-run",
        "npm run lint && golangci-lint run ./...",
        ("echo", "all && false", "$X", "*.sh"),
    ],
)
def test_a_scope_is_taken_at_its_word_where_nothing_of_the_workspace_is_run(command: str | tuple[str, ...]) -> None:
    found = runs(command, ROOT)
    assert found.clear
    assert not found.takes("tools/check.sh")
