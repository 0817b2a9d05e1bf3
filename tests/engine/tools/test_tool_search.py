from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jetbox.engine.errors import ToolError
from jetbox.engine.tools import search
from jetbox.engine.tools.grep import MatchLimits, Wish, grep


@pytest.fixture
def tree(bench: Any) -> Any:
    for path, content in {
        "a.py": "import os\nx = 1\n",
        "src/b.py": "def add(a, b):\n    return a + b\n",
        "src/deep/c.md": "Add things\n",
        "build/out.py": "def add(): ...\n",
        ".gitignore": "build/\n",
        ".venv/lib/d.py": "def add(): ...\n",
        "node_modules/e.js": "add\n",
    }.items():
        bench.write(path, content)
    return bench


async def test_list_dir(tree: Any) -> None:
    (tree.root / "link").symlink_to("src/b.py")
    assert await tree.text("list_dir") == (
        "src/\n.gitignore  7 bytes\na.py  16 bytes\nlink -> src/b.py\n[ignored: .venv/, build/, node_modules/]"
    )
    assert await tree.text("list_dir", path="src/deep") == "c.md  11 bytes"
    (tree.root / "new").mkdir()
    assert await tree.text("list_dir", path="new") == "[empty folder]"
    assert await tree.text("list_dir", path="build") == "out.py  15 bytes"
    assert await tree.text("list_dir", path=".venv") == "lib/"
    with pytest.raises(ToolError, match=r"a\.py is not a folder"):
        await tree.call("list_dir", path="a.py")
    with pytest.raises(ToolError, match="no such file or folder"):
        await tree.call("list_dir", path="nope")


async def test_list_dir_is_bounded_and_names_are_printable(bench: Any) -> None:
    for n in range(search.LIST_ENTRIES + 5):
        bench.write(f"f{n:04}", "")
    assert (await bench.text("list_dir")).endswith("[5 more entries; use glob with a pattern]")
    os.mkdir(os.fsencode(bench.root) + b"/odd")
    for name in (b"\xff\x1b[31m", b"line\nbreak"):
        with open(os.fsencode(bench.root) + b"/odd/" + name, "wb"):
            pass
    text = await bench.text("list_dir", path="odd")
    assert "\x1b" not in text
    assert "line\\nbreak" in text
    text.encode()
    assert len((await bench.text("glob", pattern="*", path="odd")).encode().split(b"\n")) == 2


async def test_glob(tree: Any) -> None:
    assert await tree.text("glob", pattern="*.py") == "a.py\nsrc/b.py"
    assert await tree.text("glob", pattern="src/**") == "src/b.py\nsrc/deep/c.md"
    assert await tree.text("glob", pattern="*.md", path="src") == "src/deep/c.md"
    assert await tree.text("glob", pattern=f"{tree.root}/src/*.py") == "src/b.py"
    assert await tree.text("glob", pattern="*.rs") == "[no file matches *.rs]"
    assert await tree.text("glob", pattern="*.py", path="build") == "build/out.py"
    for pattern in ("../*", "/etc/*", "~/x"):
        with pytest.raises(ToolError, match="leads out of the folder"):
            await tree.call("glob", pattern=pattern)


async def test_glob_newest_first_and_bounded(bench: Any) -> None:
    for n in range(search.GLOB_PATHS + 7):
        path = bench.write(f"f{n:03}.txt", "")
        os.utime(path, ns=(n, n))
    lines = (await bench.text("glob", pattern="*.txt", newest=True)).split("\n")
    assert lines[0] == f"f{search.GLOB_PATHS + 6:03}.txt"
    assert lines[-1] == f"[7 more of {search.GLOB_PATHS + 7}; narrow the pattern or the path]"
    assert len(lines) == search.GLOB_PATHS + 1


async def test_grep(tree: Any) -> None:
    assert await tree.text("grep", pattern=r"def add\(") == "src/b.py:1:def add(a, b):\n"
    assert (
        await tree.text("grep", pattern="add", ignore_case=True)
        == "src/b.py:1:def add(a, b):\nsrc/deep/c.md:1:Add things\n"
    )
    assert await tree.text("grep", pattern="^$|x") == "a.py:2:x = 1\n"
    assert await tree.text("grep", pattern="add", glob="*.md", ignore_case=True) == "src/deep/c.md:1:Add things\n"
    assert await tree.text("grep", pattern="return", path="src/b.py") == "src/b.py:2:    return a + b\n"
    assert await tree.text("grep", pattern="add", path="build") == "build/out.py:1:def add(): ...\n"
    assert await tree.text("grep", pattern="nothing like it") == "[no match for nothing like it in 4 files]"
    with pytest.raises(ToolError, match="no such file"):
        await tree.call("grep", pattern="x", path="nope")


async def test_grep_says_where_an_expression_is_wrong(bench: Any) -> None:
    with pytest.raises(ToolError, match=r"unterminated subpattern at position 7; at: '\('"):
        await bench.call("grep", pattern="def add(")
    with pytest.raises(ToolError, match="pattern is empty"):
        await bench.call("grep", pattern="")


async def test_an_expression_that_never_ends_is_ended(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write("a.txt", "match\n")
    bench.write("b.txt", "a" * 60 + "!\n")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    ticker = asyncio.create_task(tick())
    real = asyncio.create_subprocess_exec

    async def spy(*args: Any, **kwargs: Any) -> asyncio.subprocess.Process:
        process = await real(*args, **kwargs)
        assert process.stdout is not None
        hear = process.stdout.feed_data

        def heard(data: bytes) -> None:
            hear(data)
            process.send_signal(signal.SIGALRM)  # its alarm goes off once it has found what there is

        monkeypatch.setattr(process.stdout, "feed_data", heard)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", spy)
    limits = MatchLimits(matches=10, line_chars=100, output_bytes=1000, file_bytes=10**6, seconds=120.0)
    workspace = bench.context.workspace
    wish = Wish("(a+)+$|match", "", ignore_case=False, everything=False)
    text = await grep(workspace.locate(""), wish, workspace, limits)
    ticker.cancel()
    assert text == "a.txt:1:match\n[stopped after 120 s: narrow path or glob, or use a simpler expression]"
    assert ticks > 3
    (bench.root / "a.txt").unlink()
    text = await grep(workspace.locate(""), wish, workspace, msgspec.structs.replace(limits, seconds=0.3))
    assert text == "[stopped after 0.3 s: narrow path or glob, or use a simpler expression]"


async def test_grep_is_ended_with_its_call(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write("b.txt", "a" * 60 + "!\n")
    started: list[asyncio.subprocess.Process] = []
    running = asyncio.Event()
    real = asyncio.create_subprocess_exec

    async def spy(*args: Any, **kwargs: Any) -> asyncio.subprocess.Process:
        started.append(await real(*args, **kwargs))
        running.set()
        return started[0]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", spy)
    task = asyncio.create_task(bench.call("grep", pattern="(a+)+$"))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert started[0].returncode is not None


async def test_grep_is_bounded(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(output_bytes=2000)
    bench.write("a.txt", "hit\n" * (search.GREP_MATCHES + 1))
    text = await bench.text("grep", pattern="hit")
    assert text.count("a.txt:") == search.GREP_MATCHES or len(text) <= 2100
    assert text.endswith("matches; narrow pattern, path or glob]")
    bench.write("a.txt", "x" * 5000 + "needle" + "y" * 5000 + "\n")
    (line,) = (await bench.text("grep", pattern="needle")).splitlines()
    assert "needle" in line
    assert len(line) < search.LINE_CHARS + 20


async def test_grep_passes_over_what_is_no_text(make_bench: Callable[..., Any], tmp_path: Path) -> None:
    bench = make_bench(file_bytes=1000)
    (tmp_path / "outside.txt").write_text("needle")
    bench.write("bin", b"needle\0")
    bench.write("large", b"needle\n" * 1000)
    bench.write("utf16", "needle é\r\n".encode("utf-16"))
    bench.write("latin", b"needle \xe9\r\n")
    os.mkfifo(bench.root / "pipe")
    (bench.root / "link").symlink_to(tmp_path / "outside.txt")
    text = await bench.text("grep", pattern="needle")
    assert text == "latin:1:needle \ufffd\nutf16:1:needle é\n[1 files over 1.0 KB not searched]"


async def test_searching_outside_names_whole_paths(bench: Any, tmp_path: Path) -> None:
    outside = tmp_path / "other"
    outside.mkdir()
    (outside / "a.txt").write_text("needle\n")
    assert await bench.text("glob", pattern="*.txt", path="../other") == f"{outside}/a.txt"
    assert await bench.text("grep", pattern="needle", path=f"{outside}") == f"{outside}/a.txt:1:needle\n"
    assert await bench.text("grep", pattern="needle", path=f"{outside}/a.txt") == f"{outside}/a.txt:1:needle\n"
    assert await bench.text("list_dir", path="../other") == "a.txt  7 bytes"


async def test_what_a_search_touches_is_known(tree: Any) -> None:
    for name, arguments in (("list_dir", {}), ("glob", {"pattern": "*"}), ("grep", {"pattern": "x"})):
        access = tree.tools[name].access({**arguments, "path": "src"}, tree.context)
        assert access.below == {"src"}
        assert tree.tools[name].access(arguments, tree.context).below == {"."}
