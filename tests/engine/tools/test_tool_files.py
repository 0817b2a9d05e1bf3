from __future__ import annotations

import asyncio
import errno
import os
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jetbox.engine.errors import FileMoved, ToolError
from jetbox.engine.tools.change import in_thread
from jetbox.engine.tools.diff import compare


async def test_a_small_file_is_shown_as_it_is(bench: Any) -> None:
    bench.write("a.py", "x = 1\n")
    plan = await bench.plan("read_file", path="./a.py")
    assert (plan.kind, plan.title, plan.outside, plan.scope) == ("read", "read_file a.py", False, "read_file")
    result = await plan.perform()
    assert (result.text, result.ok, result.changes) == ("x = 1\n", True, ())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"limit": 2}, "[a: lines 1-2 of 5; go on with offset=3]\n1\n2\n"),
        ({"offset": 4}, "[a: lines 4-5 of 5]\n4\n5\n"),
        ({"offset": 2, "limit": 3}, "[a: lines 2-4 of 5; go on with offset=5]\n2\n3\n4\n"),
        ({"offset": 1, "limit": 99}, "1\n2\n3\n4\n5\n"),
        ({"offset": -3}, "1\n2\n3\n4\n5\n"),
        ({"offset": 6}, "[a: there is no line 6; the file has 5 lines]\n"),
    ],
)
async def test_parts_say_which_they_are(bench: Any, arguments: dict[str, int], expected: str) -> None:
    bench.write("a", "1\n2\n3\n4\n5\n")
    assert await bench.text("read_file", path="a", **arguments) == expected


async def test_a_long_file_is_bounded_and_can_be_read_on(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(read_bytes=1000)
    lines = [f"line {n}" for n in range(1, 501)]
    bench.write("a", "\n".join(lines) + "\n")
    seen: list[str] = []
    offset = 1
    while offset <= 500:
        text = await bench.text("read_file", path="a", offset=offset)
        assert len(text) <= 1100
        head, body = text.split("\n", 1)
        assert head.startswith(f"[a: lines {offset}-")
        seen += body.splitlines()
        offset = len(seen) + 1
    assert seen == lines
    assert bench.context.ledger.whole("a")


async def test_a_line_that_is_too_long_is_cut(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(read_bytes=10)
    bench.write("a", "é" * 50 + "\nnext\n")
    assert await bench.text("read_file", path="a") == (
        "[a: line 1 of 2, cut after 10 bytes; go on with offset=2]\n" + "é" * 5
    )


async def test_what_is_no_text_is_told_with_its_size(bench: Any) -> None:
    bench.write("empty", "")
    bench.write("bin", b"\x7fELF\x00\x01" * 500)
    bench.write("latin", b"caf\xe9\n")
    bench.write("bom", b"\xef\xbb\xbfhi\r\n")
    assert await bench.text("read_file", path="empty") == "[empty is empty]"
    assert await bench.text("read_file", path="bin") == "[bin is not shown: binary file, 3.0 KB]"
    latin = await bench.text("read_file", path="latin")
    assert latin.startswith("[latin: not valid UTF-8 (byte 3, line 1); shown with \ufffd")
    assert latin.endswith("caf\ufffd\n")
    assert await bench.text("read_file", path="bom") == "hi\n"


async def test_a_200_mb_file_is_never_held_whole(bench: Any) -> None:
    path = bench.root / "large.log"
    with path.open("wb") as file:
        file.write(b"".join(b"line %d\n" % n for n in range(1, 1001)))
        file.truncate(200_000_000)
    tracemalloc.start()
    try:
        text = await bench.text("read_file", path="large.log", offset=990, limit=5)
        beyond = await bench.text("read_file", path="large.log", offset=5000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert text.startswith("[large.log, 200.0 MB: binary file, not shown]")
    assert "no line 5000" in beyond
    assert peak < 5_000_000
    with path.open("r+b") as file:
        file.truncate(0)
        file.write((b"x" * 999 + b"\n") * 11_000)
    text = await bench.text("read_file", path="large.log", offset=10_990, limit=5)
    assert text.startswith("[large.log, 11.0 MB: lines 10990-10994; go on with offset=10995]\nxxx")
    assert text.count("\n") == 6
    assert (await bench.text("read_file", path="large.log", offset=11_000)).startswith(
        "[large.log, 11.0 MB: lines 11000-11000]"
    )
    for call in (
        bench.call("write_file", path="large.log", content="x"),
        bench.call("edit_file", path="large.log", edits=[{"old": "x", "new": "y"}]),
    ):
        with pytest.raises(ToolError, match=r"too large: 11\.0 MB, at most 10\.5 MB"):
            await call


async def test_a_missing_file_is_answered_with_its_like(bench: Any) -> None:
    bench.write("src/main.py", "")
    with pytest.raises(ToolError, match=r"src/mian\.py: there is no such file or folder; near it: src/main\.py"):
        await bench.call("read_file", path="src/mian.py")
    with pytest.raises(ToolError, match="is a folder; list it with list_dir"):
        await bench.call("read_file", path="src")


async def test_outside_is_marked_and_read_after_permission(
    make_bench: Callable[..., Any], tmp_path: Path, isolated: Path
) -> None:
    outside = tmp_path / "other"
    outside.mkdir()
    (outside / "a.txt").write_text("theirs\n")
    plan = await make_bench().plan("read_file", path="../other/a.txt")
    assert (plan.outside, plan.scope) == (True, f"read_file {outside}")
    assert (await plan.perform()).text == "theirs\n"
    plan = await make_bench(read_outside=(str(outside),)).plan("read_file", path=f"{outside}/a.txt")
    assert not plan.outside
    (outside / "out").symlink_to(isolated)
    bench = make_bench(read_outside=(str(outside),))
    for tool, arguments in (("list_dir", {}), ("glob", {"pattern": "*"}), ("grep", {"pattern": "x"})):
        assert not (await bench.plan(tool, path="../other", **arguments)).outside
        plan = await bench.plan(tool, path="../other/out", **arguments)
        assert (plan.outside, plan.scope) == (True, f"{tool} {isolated}")


async def test_a_new_file(bench: Any) -> None:
    plan = await bench.plan("write_file", path="pkg/a.py", content="x = 1\ny = 2\n")
    assert (plan.kind, plan.title, plan.scope) == ("write", "write_file pkg/a.py +2", "write_file")
    assert plan.diff == "--- /dev/null\n+++ b/pkg/a.py\n@@ -0,0 +1,2 @@\n+x = 1\n+y = 2\n"
    assert not (bench.root / "pkg").exists()
    result = await plan.perform()
    assert result.text == "created pkg/a.py: +2"
    assert result.diff == plan.diff
    (change,) = result.changes
    assert (change.path, change.added, change.removed) == ("pkg/a.py", 2, 0)
    bench.check_change(change, None)
    assert bench.data("pkg/a.py") == b"x = 1\ny = 2\n"


async def test_a_file_that_was_never_read_is_not_overwritten(bench: Any) -> None:
    bench.write("a.py", "theirs\n")
    for call in (
        bench.call("write_file", path="a.py", content="x"),
        bench.call("edit_file", path="a.py", edits=[{"old": "theirs", "new": "x"}]),
    ):
        with pytest.raises(ToolError, match=r"a\.py exists and was not read yet; call read_file first"):
            await call
    assert bench.data("a.py") == b"theirs\n"


async def test_a_file_that_was_read_in_part_is_not_replaced(bench: Any) -> None:
    bench.write("a.py", "1\n2\n3\n")
    await bench.call("read_file", path="a.py", limit=1)
    with pytest.raises(ToolError, match="read only in part"):
        await bench.call("write_file", path="a.py", content="x")
    await bench.call("edit_file", path="a.py", edits=[{"old": "1", "new": "one"}])
    await bench.call("read_file", path="a.py", offset=1, limit=2)
    await bench.call("read_file", path="a.py", offset=3)
    await bench.call("write_file", path="a.py", content="x")
    assert bench.data("a.py") == b"x"


async def test_an_own_write_counts_as_a_read_and_keeps_what_was_there(bench: Any) -> None:
    await bench.call("write_file", path="a.py", content="1\n")
    os.utime(bench.root / "a.py", ns=(1, 1))
    result = await bench.call("write_file", path="a.py", content="2\n")
    assert result.text == "wrote a.py: +1 -1"
    bench.check_change(result.changes[0], b"1\n")


async def test_a_formatter_in_between_must_be_read_again(bench: Any) -> None:
    await bench.call("write_file", path="a.py", content="x   =  1\n")
    await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "ruff", "format", "-q", "a.py"], cwd=bench.root, check=True
    )
    assert bench.data("a.py") == b"x = 1\n"
    for call in (
        bench.call("write_file", path="a.py", content="x = 2\n"),
        bench.call("edit_file", path="a.py", edits=[{"old": "1", "new": "2"}]),
    ):
        with pytest.raises(ToolError, match="has changed since it was last read"):
            await call
    await bench.call("read_file", path="a.py")
    await bench.call("write_file", path="a.py", content="x = 2\n")
    assert bench.data("a.py") == b"x = 2\n"


async def test_nothing_is_written_where_nothing_changes(bench: Any) -> None:
    await bench.call("write_file", path="a.py", content="1\n")
    before = bench.context.workspace.fingerprint("a.py")
    plan = await bench.plan("write_file", path="a.py", content="1\n")
    assert plan.kind == "none"
    assert (await plan.perform()).text == "a.py is unchanged: it already has this content"
    assert bench.context.workspace.fingerprint("a.py") == before


@pytest.mark.parametrize(
    ("before", "content", "after"),
    [
        (b"a\r\nb\r\n", "a\nc\n", b"a\r\nc\r\n"),
        (b"a\r\nb\r\n", "a\r\nc\n", b"a\r\nc\r\n"),
        (b"a\nb\r\n", "a\nc\n", b"a\nc\n"),
        (b"a\n", "a\r\nc\r\n", b"a\r\nc\r\n"),
        (b"\xef\xbb\xbfa\n", "b\n", b"\xef\xbb\xbfb\n"),
        ("\ufeffa\n".encode("utf-16-le"), "é\n", "\ufeffé\n".encode("utf-16-le")),
    ],
)
async def test_line_ends_and_encoding_of_a_file_are_kept(bench: Any, before: bytes, content: str, after: bytes) -> None:
    bench.write("a.txt", before)
    await bench.call("read_file", path="a.txt")
    await bench.call("write_file", path="a.txt", content=content)
    assert bench.data("a.txt") == after


async def test_python_says_its_encoding_itself(bench: Any) -> None:
    bench.write("a.py", "# coding: latin-1\n'é'\n".encode("latin-1"))
    await bench.call("read_file", path="a.py")
    await bench.call("write_file", path="a.py", content="'é'\n")
    assert bench.data("a.py") == "'é'\n".encode()
    await bench.call("write_file", path="a.py", content="# coding: latin-1\n'é'\n")
    assert bench.data("a.py") == "# coding: latin-1\n'é'\n".encode("latin-1")
    with pytest.raises(ToolError, match=r"U\+20AC"):
        await bench.call("write_file", path="a.py", content="# coding: latin-1\n'€'\n")


@pytest.mark.parametrize(
    ("path", "content", "words"),
    [
        ("../x", "", "outside the project folder"),
        (".git/hooks/pre-commit", "x", "nothing below .git or .jetbox"),
        (".", "x", "project folder itself"),
        ("a", "key = [secret:API_KEY]", r"\[secret:API_KEY\], which stands for a hidden secret"),
        ("a", "\ud800", r"U\+D800"),
    ],
)
async def test_what_may_not_be_written_is_refused_before_anything_happens(
    bench: Any, path: str, content: str, words: str
) -> None:
    tool = bench.tools["write_file"]
    with pytest.raises(ToolError, match=words):
        await tool.plan({"path": path, "content": content}, bench.context, bench.output.append)
    assert os.listdir(bench.root) == []


async def test_a_folder_or_a_pipe_is_not_overwritten(bench: Any) -> None:
    (bench.root / "d").mkdir()
    os.mkfifo(bench.root / "p")
    with pytest.raises(ToolError, match="is a folder"):
        await bench.call("write_file", path="d", content="x")
    with pytest.raises(ToolError, match="no regular file"):
        await bench.call("write_file", path="p", content="x")


async def test_a_broken_hard_link_is_told(bench: Any) -> None:
    bench.write("a", "1\n")
    os.link(bench.root / "a", bench.root / "b")
    await bench.call("read_file", path="a")
    assert "other hard links; those keep the old content" in await bench.text("write_file", path="a", content="2\n")
    assert bench.data("b") == b"1\n"


async def test_modes_are_kept(bench: Any) -> None:
    bench.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    await bench.call("read_file", path="run.sh")
    await bench.call("edit_file", path="run.sh", edits=[{"old": "sh\n", "new": "sh\nls\n"}])
    assert stat.S_IMODE((bench.root / "run.sh").stat().st_mode) == 0o755


async def test_what_was_there_is_kept_before_the_file_is_touched(bench: Any) -> None:
    path = bench.write("a", "1\n")
    await bench.call("read_file", path="a")
    seen: list[bytes] = []

    async def put_blob(data: bytes) -> str:
        seen.append(path.read_bytes())
        raise ToolError("no room for blobs")

    bench.context.put_blob = put_blob
    with pytest.raises(ToolError, match="no room"):
        await bench.call("write_file", path="a", content="2\n")
    assert seen == [b"1\n"]
    assert path.read_bytes() == b"1\n"


@pytest.mark.parametrize("act", ["change", "delete", "create"])
async def test_a_file_that_moves_after_the_plan_is_planned_again(bench: Any, act: str) -> None:
    path = bench.root / "a"
    if act != "create":
        await bench.call("write_file", path="a", content="1\n")
    plan = await bench.plan("write_file", path="a", content="2\n")
    path.unlink() if act == "delete" else path.write_text("theirs\n")
    with pytest.raises(FileMoved):
        await plan.perform()
    if act != "delete":
        assert path.read_text() == "theirs\n"
        with pytest.raises(ToolError, match=r"changed since|not read yet"):
            await bench.plan("write_file", path="a", content="2\n")


async def test_a_full_disk_is_told_and_leaves_the_old_file(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.call("write_file", path="a", content="1\n")

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(ToolError, match="a: the disk is full; nothing was written"):
            await bench.call("write_file", path="a", content="2\n")
    assert os.listdir(bench.root) == ["a"]
    assert await bench.text("write_file", path="a", content="3\n") == "wrote a: +1 -1"


async def test_large_differences_leave_the_event_loop_free() -> None:
    old = "".join(f"line {n}\n" for n in range(3000))
    new = "".join(f"line {n if n % 3 else n * 7}\n" for n in range(3000))
    ticks = 0
    ended = asyncio.Event()

    async def tick() -> None:
        nonlocal ticks
        while not ended.is_set():
            ticks += 1
            await asyncio.sleep(0)

    ticker = asyncio.create_task(tick())
    diff = await compare("a", old, new)
    ended.set()
    await ticker
    assert ticks > 3
    assert diff.added == diff.removed == 999


async def test_very_large_differences_are_counted(bench: Any) -> None:
    old = "".join(f"a{n}\n" for n in range(6000))
    diff = await compare("f", old, "head\n" + old.replace("a", "b"))
    assert (diff.added, diff.removed) == (6001, 6000)
    assert diff.text == "--- a/f\n+++ b/f\n[lines 1-6001: 6001 lines in, 6000 lines out; too long to show]\n"
    small = await compare("f", old, old + "one more\n")
    assert (small.added, small.removed) == (1, 0)
    assert small.text.endswith("+one more\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "a\n"),
        ("a\n", ""),
        ("a", "a\n"),
        ("a\nb\nc\n", "a\nc\n"),
        ("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n", "1\n2\nX\n4\n5\n6\n7\n8\n9\n10\nY\n12\n"),
        ("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n", "X\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13"),
        ("".join(f"{n}\n" for n in range(60)), "".join(f"{n}\n" for n in range(60) if n % 9)),
    ],
)
async def test_a_diff_is_what_patch_understands(tmp_path: Path, old: str, new: str) -> None:
    (tmp_path / "f").write_text(old)
    diff = await compare("f", old, new)
    done = subprocess.run(
        ["git", "apply", "--unidiff-zero", "-"], cwd=tmp_path, input=diff.text, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "f").read_text() == new


async def test_a_long_write_is_waited_for_when_it_is_cancelled() -> None:
    import threading

    entered, go, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        entered.set()
        assert go.wait(60)
        done.set()

    task = asyncio.create_task(in_thread(10**9, work))
    assert await asyncio.to_thread(entered.wait, 60)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()
