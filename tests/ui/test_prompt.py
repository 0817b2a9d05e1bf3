from __future__ import annotations

import asyncio
import stat
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import msgspec
import pytest
from textual import events

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.engine.workspace.finder import best
from jetbox.ui.app import JetboxApp
from jetbox.ui.finding import FileFinder
from jetbox.ui.history import History, Memory
from ui.conftest import Show, Showing
from ui.played import first_round, opened


async def until_offered(s: Show, text: str) -> None:
    """Wait until this is offered."""
    await s.until(lambda: s.bench.suggest.chosen == text)


async def test_a_slash_offers_commands_and_tab_completes_one(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened())
        await s.type("/mod")
        await until_offered(s, "/mode")
        await s.pilot.pause()
        assert "/mode   What may be done" in s.text
        await s.press("down", "tab")
        assert s.bench.prompt.text == "/model "
        assert not s.bench.completer.open
        await s.press("ctrl+c")
        await s.type("/th")
        await until_offered(s, "/theme")
        await s.press("escape")
        assert not s.bench.completer.open
        assert s.bench.prompt.text == "/th"
        await s.press("e")
        await until_offered(s, "/theme")


async def test_an_at_sign_offers_files_that_are_not_ignored(show: Showing, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "parser.py").write_text("")
    (tmp_path / "src" / "path.py").write_text("")
    (tmp_path / "parser.log").write_text("")
    (tmp_path / ".gitignore").write_text("*.log\n")
    async with show() as s:
        await s.type("look at @pars")  # the session opens when something is typed
        await s.play(msgspec.structs.replace(opened()[0], workspace=str(tmp_path)), *opened()[1:])
        await until_offered(s, "@src/parser.py")
        assert "parser.log" not in s.text
        await s.press("enter")
        assert s.bench.prompt.text == "look at @src/parser.py "
        await s.press("enter")
        assert await s.asked() == commands.Goal("look at @src/parser.py")


async def test_an_ended_search_is_begun_anew_and_a_newer_question_wins(tmp_path: Path) -> None:

    (tmp_path / "one.py").write_text("")
    (tmp_path / "two.py").write_text("")
    finder = FileFinder(tmp_path)
    try:
        assert await finder.find("one") == ["one.py"]
        await finder.close()
        older, newer = await asyncio.gather(finder.find("o"), finder.find("tw"))
        assert older is None
        assert newer == ["two.py"]
    finally:
        await finder.close()


def test_the_likeliest_file_comes_first_among_many() -> None:
    paths = [f"packages/part{n // 100}/module_{n}/index_{n}.py" for n in range(5_000)]
    paths += ["app/ui/widgets/prompt.py", "tests/ui/test_prompt.py", "docs/promptness.md"]
    assert best(paths, "prompt.py", 3)[:2] == ["app/ui/widgets/prompt.py", "tests/ui/test_prompt.py"]
    assert best(paths, "auwp", 1) == ["app/ui/widgets/prompt.py"]
    assert best(paths, "pt33/i3350", 1) == ["packages/part33/module_3350/index_3350.py"]
    numbered = [f"d/file_07_{n}.txt" for n in range(300, 400)]
    assert all("_33" in path for path in best(numbered, "fi0733", 9)), "what stands together"
    assert best(["atom.py", "src/team.py", "tests/test_mathx.py"], "tm", 1) == ["tests/test_mathx.py"]
    assert len(best(paths, "", 8)) == 8


async def test_a_large_paste_is_a_marker_and_is_sent_whole(show: Showing) -> None:
    large = "\n".join(f"line {n} of what was pasted" for n in range(40_000))
    async with show() as s:
        await s.play(*opened())
        await s.type("explain ")
        s.app.post_message(events.Paste(large))
        await s.pilot.pause()
        assert s.bench.prompt.text == "explain [pasted 1: 40,000 lines]"
        await s.press("enter")
        assert await s.asked() == commands.Goal(f"explain {large}")
        s.app.post_message(events.Paste("two\nlines"))
        await s.pilot.pause()
        assert s.bench.prompt.text == "two\nlines"
        await s.press("home", "up", "up")
        assert s.bench.prompt.text == "explain [pasted 1: 40,000 lines]"
        await s.press("!", "enter")
        assert await s.asked() == commands.Goal(f"explain {large}!")


async def test_however_a_megabyte_comes_back_it_is_a_marker(show: Showing) -> None:
    large = "x" * (1 << 20)
    async with show() as s:
        await s.play(*opened(), e.GoalStarted(goal=1, text=large))
        s.app.post_message(events.Paste("y" * 3_000))
        await s.pilot.pause()
        await s.press("up")
        assert s.bench.prompt.text == "[pasted 1: 1,048,576 characters]"
        assert s.bench.prompt.whole == large
        await s.press("down")
        assert s.bench.prompt.text == "[pasted 1: 3,000 characters]"
        s.bench.prompt.write(f" {large}")
        assert s.bench.prompt.whole == "y" * 3_000 + f" {large}"


async def test_the_editor_changes_the_text(show: Showing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "editor"
    script.write_text("#!/bin/sh\nprintf ' and more\\n' >> \"$1\"\n")
    script.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(script))
    monkeypatch.setattr(JetboxApp, "suspend", lambda app: nullcontext())
    async with show() as s:
        await s.play(*opened())
        await s.type("this", "ctrl+g")
        for _ in range(2000):
            if s.bench.prompt.text != "this":
                break
            await s.pilot.pause()
        assert s.bench.prompt.text == "this and more"
        monkeypatch.setenv("VISUAL", "no-such-editor")
        await s.press("ctrl+g")
        assert "the text stays as it was: no-such-editor: No such file or directory: set EDITOR" in s.text


async def test_what_an_editor_makes_large_stays_as_quick_as_a_paste(
    show: Showing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "editor"
    monkeypatch.setattr(JetboxApp, "suspend", lambda app: nullcontext())
    monkeypatch.setenv("VISUAL", str(script))

    def editor(does: str) -> None:
        script.write_text(f"#!/bin/sh\n{does}\n")
        script.chmod(0o755)

    async with show() as s:
        await s.play(*opened())
        prompt, pasted = s.bench.prompt, "x" * 300_000
        s.app.post_message(events.Paste(pasted))
        await s.until(lambda: prompt.text == "[pasted 1: 300,000 characters]")
        editor("printf ' and more' >> \"$1\"")
        await s.press("ctrl+g")
        await s.until(lambda: prompt.text.endswith(" and more"))
        assert prompt.text == "[pasted 1: 300,000 characters] and more"
        assert prompt.whole == f"{pasted} and more"
        editor("head -c 200000 /dev/zero | tr '\\0' y > \"$1\"")
        await s.press("ctrl+g")
        await s.until(lambda: prompt.text == "[pasted 1: 200,000 characters]")
        assert prompt.whole == "y" * 200_000


async def test_where_nothing_is_typed_ctrl_d_quits_and_ctrl_z_goes_to_the_background(
    show: Showing, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspended: list[JetboxApp] = []

    def suspend(app: JetboxApp) -> None:
        suspended.append(app)

    monkeypatch.setattr(JetboxApp, "action_suspend_process", suspend)
    async with show() as s:
        await s.play(*opened())
        await s.type("ab", "home", "ctrl+d")
        assert s.bench.prompt.text == "b"
        await s.press("ctrl+z")
        assert s.bench.prompt.text == "ab"
        await s.press("ctrl+c", "ctrl+z")
        assert s.bench.prompt.text == "ab", "cleared by mistake"
        assert not suspended
        s.app._disarm()
        s.bench.prompt.clear()
        await s.press("delete", "ctrl+z")
        assert suspended
        await s.play(*first_round()[:3])
        await s.press("ctrl+d")
        assert "a goal runs: ^C twice quits" in s.text
        await s.play(e.GoalEnded(goal=1, outcome="done", reason="done", exit_code=0))
        await s.pilot.press("ctrl+d")
        await s.pilot._wait_for_screen()
    assert s.app.return_value == 3


async def test_the_editors_interrupt_is_its_own(show: Showing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "editor"
    script.write_text("#!/bin/sh\nkill -INT $PPID\nprintf 'more' >> \"$1\"\n")
    script.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(script))
    monkeypatch.setattr(JetboxApp, "suspend", lambda app: nullcontext())
    async with show() as s:
        await s.play(*opened())
        s.app._add_signals()
        try:
            await s.type("this and ", "ctrl+g")
            await s.until(lambda: s.bench.prompt.text == "this and more")
        finally:
            s.app._remove_signals()
        assert s.nothing_asked, "the goal goes on"
        assert s.app._struck is None


def test_what_was_typed_is_kept_per_workspace(tmp_path: Path) -> None:
    here, there = History(str(tmp_path / "a"), tmp_path), History(str(tmp_path / "b"), tmp_path)
    for text in ("one", "two\nlines", "two\nlines"):
        here.add(text)
    with here.path.open("ab") as file:
        file.write(b'"torn')
    assert History(str(tmp_path / "a"), tmp_path).read() == ["one", "two\nlines"]
    assert there.read() == []
    assert stat.S_IMODE(here.path.stat().st_mode) == 0o600


async def test_earlier_sessions_come_back_and_secrets_stay_out(
    show: Showing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "hunter2hunter2")
    async with show() as s:
        await s.play(*opened())
        memory = Memory(s.bench.prompt, s.bench.word)
        await memory.open(str(tmp_path))
        memory.keep("earlier words")
        memory.keep("the token is hunter2hunter2")
        await memory.close()
    assert "hunter2" not in History(str(tmp_path)).path.read_text()
    async with show() as s:
        await s.play(*opened())
        await Memory(s.bench.prompt, s.bench.word).open(str(tmp_path))
        await s.press("up", "up")
        assert s.bench.prompt.text == "earlier words"


def test_the_search_ends_with_whoever_asked(tmp_path: Path) -> None:
    from jetbox.engine.workspace import finder

    request = f'{{"path": {sys.path!r}, "root": "{tmp_path}"}}\n'.replace("'", '"')
    ended = subprocess.run([sys.executable, "-I", finder.__file__], input=request.encode(), check=False, timeout=60)
    assert ended.returncode == 0


async def test_an_exclamation_mark_runs_a_command_and_esc_stops_it_before_the_goal(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened())
        await s.type("!")
        assert "as a command of the model's" in s.text
        await s.press("enter")
        assert "say what to run" in s.text
        assert s.nothing_asked
        await s.type("!git status -s", "enter")
        assert await s.asked() == commands.RunShell("git status -s")
        await s.play(*first_round()[:3], e.ShellStarted(call="shell.1", command="git status -s"))
        await s.play(e.ToolOutput(call="shell.1", text=" M a.py\n"))
        assert "! git status -s" in s.text
        assert "     M a.py" in s.text
        await s.type("!ls", "enter")
        assert "a command of yours runs already" in s.text
        await s.press("escape")
        assert await s.asked() == commands.StopShell()
        await s.play(e.ShellEnded(call="shell.1", state="cancelled", text="stopped by the user\n M a.py", told=True))
        assert "stopped by the user" in s.text
        await s.press("escape")
        assert await s.asked() == commands.Cancel()


async def test_a_question_about_the_users_command_outlives_the_goal(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], e.ShellStarted(call="shell.1", command="make"))
        await s.play(e.PermissionAsked(id="p1", call="shell.1", kind="command", title="run_cmd make"))
        await s.play(e.GoalEnded(goal=1, outcome="done", reason="done", exit_code=0, rounds=1))
        assert "this session" in s.text
        assert s.bench.permission.has_focus


async def test_what_waits_is_brought_back_with_up_and_removed_with_delete(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3])
        await s.play(e.QueueChanged(items=("one", "two\nlines", "three")))
        assert "❯ two lines" in s.text
        assert "↑ edits   delete removes" in s.text
        await s.press("delete")
        assert await s.asked() == commands.Unqueue("three")
        await s.play(e.QueueChanged(items=("one", "two\nlines")))
        assert s.bench.prompt.text == ""
        await s.press("up")
        assert await s.asked() == commands.Unqueue("two\nlines")
        await s.play(e.QueueChanged(items=("one",)))
        assert s.bench.prompt.text == "two\nlines"
        await s.press("home", "delete")
        assert s.bench.prompt.text == "two\nines"
        await s.press("ctrl+c", "up")
        assert await s.asked() == commands.Unqueue("one")
        await s.play(e.Steered(text="one"), e.QueueChanged(items=()))
        assert s.bench.prompt.text == ""
        assert "that was said already" in s.text
        await s.play(e.QueueChanged(items=("left",)))
        await s.play(e.GoalEnded(goal=1, outcome="interrupted", reason="interrupted", exit_code=130))
        assert "next words ❯ left" in s.text
        await s.pilot.click("#queue", offset=(20, 0))
        assert await s.asked() == commands.Unqueue("left")
        assert all(each.is_running for each in s.bench.walk_children()), "each hears what it is to show"


async def test_of_many_that_wait_the_newest_are_shown(show: Showing) -> None:
    async with show(size=(60, 20)) as s:
        await s.play(*opened(), *first_round()[:3])
        await s.play(e.QueueChanged(items=tuple(f"words {n}" for n in range(9))))
        assert "next round … 6 before these" in s.text
        assert "words 8" in s.text
        assert "words 5" not in s.text
        await s.pilot.click("#queue", offset=(20, 1))
        assert await s.asked() == commands.Unqueue("words 6")
