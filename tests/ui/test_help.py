from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from textual.dom import DOMNode

from jetbox import ui
from jetbox.engine import commands
from jetbox.settings.load import Loaded
from jetbox.settings.model import Settings, Source
from jetbox.ui.app import JetboxApp
from jetbox.ui.commands import COMMANDS
from jetbox.ui.keys import binding_ids, bound_keys, clashes
from jetbox.ui.screens.bound import bound_together, everything_bound
from jetbox.ui.screens.number import Number
from jetbox.ui.screens.workbench import Workbench
from jetbox.ui.terminals import tells_keys_apart
from jetbox.ui.widgets.field import Field
from jetbox.ui.widgets.pick import Pick
from ui.conftest import Show, Showing
from ui.played import first_round, opened, whole


async def test_help_lists_the_real_bindings_and_every_command(show: Showing) -> None:
    async with show(size=(120, 140)) as s:
        await s.play(*opened())
        await s.press("f1")
        text = s.text
        for command in COMMANDS:
            assert command.usage in text
            assert command.description in text
        for key, does, name in (
            ("⇧tab", "Next mode", "session.mode"),
            ("esc", "Interrupt", "session.cancel"),
            ("^O", "Expand, fold", "transcript.expand"),
            ("y", "Allow once", "permission.once"),
            ("enter", "Send", "input.send"),
            ("^C", "Clear the input; twice: quit", "app.quit"),
        ):
            line = next(line for line in text.split("\n") if name in line)
            assert does in line
            assert key in line, line
        await s.press("escape")
        assert "Allow once" not in s.text


async def test_a_key_of_the_users_is_in_force_and_in_the_help(show: Showing) -> None:
    async with show(size=(120, 110), keys={"session.cancel": "ctrl+x", "no.such": "f9"}) as s:
        await s.play(*opened())
        assert "keys: there is nothing named 'no.such'" in s.text
        await s.press("f1")
        line = next(line for line in s.text.split("\n") if "session.cancel" in line and "Interrupt" in line)
        assert "^X" in line
        assert "esc" not in line


async def test_the_users_key_works_instead_of_ours(show: Showing) -> None:
    async with show(keys={"session.mode": "f4"}) as s:
        await s.play(*opened())
        await s.press("f4")
        assert await s.asked() == commands.SetMode("edits")


async def hits(s: Show, usage: str) -> None:
    """Wait until the palette has found the command."""
    await s.until(lambda: usage in s.text)


async def test_the_palette_offers_the_commands_and_begins_lines(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened())
        await s.press("ctrl+p")
        await s.press(*"expand")
        await hits(s, "/expand")
        await s.press("enter")
        assert s.bench.transcript.expanded
        await s.press("ctrl+p")
        await s.press(*"interrupt")
        await hits(s, "/now TEXT")
        await s.press("enter")
        assert s.bench.prompt.text == "/now "


async def test_the_palette_finds_what_is_written_badly_and_is_used_in_the_smallest_terminal(show: Showing) -> None:
    async with show(size=(20, 5)) as s:
        await s.play(*opened())
        await s.press("ctrl+p")
        await hits(s, "/help")
        assert "/mode" in s.text
        assert "esc closes" in " ".join(s.text.replace("─", " ").split())
        await s.press(*"xpnd")
        await hits(s, "/expand")
        assert "/help" not in s.text
        await s.press("ctrl+u", *"the transcript")
        await hits(s, "/round")
        await s.press("q")
        await hits(s, "no command is like")
        await s.press("enter", "ctrl+u", *"set", "end", "down", "up", "enter")  # nothing is found: nothing is done
        await s.until(lambda: s.bench.on_top)
        assert s.bench.prompt.text == "/set "


async def test_a_row_that_shows_no_command_runs_none(show: Showing) -> None:
    async with show(size=(80, 31)) as s:
        await s.play(*opened())
        await s.press("ctrl+p")
        shown = s.app.screen.query_one(Pick)
        assert shown.size.height == 2 * shown.page + 1
        for _ in range(2):
            await s.pilot.click(shown, offset=(4, shown.size.height - 1))
        assert (shown.at, s.app.screen) == (0, shown.screen)


async def test_what_can_do_without_its_argument_acts_at_once(show: Showing) -> None:
    async with show() as s:
        await s.play(*whole())
        await s.press("ctrl+p")
        await hits(s, "/mode [ask|edits|auto]")
        await s.press(*"transcript")
        await s.until(lambda: "/mode" not in s.text)
        assert "/round [NUMBER]" in s.text
        await s.press("enter")
        assert isinstance(s.app.screen, Number)
        await s.press("2", "enter")
        assert s.bench.on_top
        assert "◆ 2" in s.text
        assert s.bench.prompt.text == ""


async def test_the_palettes_keys_and_tab_can_be_changed(show: Showing) -> None:
    keys = {"palette.close": "ctrl+t", "palette.run": "f8", "palette.down": "ctrl+n", "focus.next": "f9"}
    async with show(size=(120, 160), keys=keys | {"palette.up": "ctrl+w"}) as s:
        await s.play(*opened())
        text = " ".join(s.text.split())
        assert "'ctrl+w' of 'palette.up' does 'edit.delete_word' already" in text
        await s.press("f1")
        for key, name in (("^T", "palette.close"), ("F8", "palette.run"), ("F9", "focus.next")):
            assert key in next(line for line in s.text.split("\n") if name in line)
        await s.pilot.resize_terminal(120, 40)
        await s.press("escape", "ctrl+p")
        await hits(s, "^T closes")
        await s.press("escape", "enter", *"expand")
        await hits(s, "/expand")
        await s.press("ctrl+n", "f8")
        await s.until(lambda: s.bench.on_top)
        assert s.bench.transcript.expanded
        await s.press("ctrl+p", "ctrl+t")
        assert s.bench.on_top
        s.bench.transcript.focus()
        await s.press("tab")
        assert s.bench.transcript.has_focus
        await s.press("f9")
        assert s.bench.prompt.has_focus


def test_every_key_is_bound_under_a_name_and_can_be_changed() -> None:
    bound: tuple[type[DOMNode], ...] = (JetboxApp, Workbench, *everything_bound())
    assert not [(node, key) for node in bound for key, binding in node._merge_bindings() if not binding.id]
    known = binding_ids(*bound)
    for module in pkgutil.walk_packages(ui.__path__, "jetbox.ui."):
        for each in vars(importlib.import_module(module.name)).values():
            if isinstance(each, type) and issubclass(each, DOMNode) and each.__module__.startswith("jetbox.ui"):
                assert {binding.id for binding in each.__dict__.get("BINDINGS", ()) if binding.id} <= known, each


async def test_clashing_and_unknown_keys_are_told_with_file_and_line(show: Showing, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    loaded = Loaded(
        Settings(),
        {
            "keys.session.mode": Source("user", str(file), 3),
            "keys.sesion.cancel": Source("user", str(file), 4),
        },
    )
    async with show(size=(240, 40), keys={"session.mode": "ctrl+l", "sesion.cancel": "f9"}, loaded=loaded) as s:
        await s.play(*opened())
        text = " ".join(s.text.split())
        assert f"{file}:3: keys: 'ctrl+l' of 'session.mode' does 'session.models' already" in text
        assert f"{file}:4: keys: there is nothing named 'sesion.cancel' — did you mean 'session.cancel'?" in text


async def test_keys_that_cannot_be_are_told_and_the_others_hold(show: Showing) -> None:
    wrong = {
        "app.palette": "ctrl+t,,",
        "transcript.find": "x",
        "app.help": "ctrl+foo",
        "session.timing": "ctr+t",
        "session.undo": "ctrl++, f5",
        "session.request": " ,",
        "session.models": "ctrl+a",
        "transcript.copy": "Y",
        "input.newline": "space",
        "edit.redo": "f8",
    }
    async with show(size=(200, 110), keys=wrong) as s:
        await s.play(*opened())
        text = " ".join(s.text.split())
        for said in (
            "'x' of 'transcript.find' is what one types in the input",
            "'ctrl+foo' of 'app.help' is no key: none is called 'foo'",
            "'ctr+t' of 'session.timing' is no key: there is no 'ctr' to hold — did you mean 'ctrl'?",
            "'ctrl++' of 'session.undo' is no key — the key + is called plus",
            "'session.request' has no key",
            "'ctrl+a' of 'session.models' does 'edit.line_start' already",
            "'space' of 'input.newline' is what one types",
        ):
            assert said in text
        assert text.count("keys: ") == 7
        await s.press("x", "ctrl+z")
        assert s.bench.prompt.text == ""
        await s.press("f8")
        assert s.bench.prompt.text == "x"
        found = {name: keys for node in (s.app, s.bench) for keys, _, name in bound_keys(node)}
        assert found["app.palette"] == ("^T",)
        assert found["session.undo"] == ("F5",)
        assert found["transcript.find"] == ("^F",)
        assert "none is called 'foo' — F1 shows the names" in text
        await s.press("f1")
        assert set(s.text.split()) >= binding_ids(Field)
        lines = s.text.split("\n")
        assert any("^W" in line and "Delete a word to the left" in line for line in lines)


def test_what_is_bound_as_it_is_shipped_is_no_clash() -> None:
    together = [*bound_together(JetboxApp, Workbench)]
    assert clashes({"permission.no": "escape,n", "input.send": "enter"}, together) == []
    assert clashes({"input.send": "ctrl+l"}, together) == [("input.send", "ctrl+l", "session.models")]
    assert clashes({"list.search_done": "ctrl+o"}, together) == [], "the workbench beneath does not hear it"


async def test_keys_that_the_terminal_does_not_tell_apart_are_not_shown_until_it_does(show: Showing) -> None:
    def keys(s: Show) -> tuple[tuple[str, ...], ...]:
        found = {name: keys for keys, _, name in bound_keys(s.bench.prompt)}
        return found["input.newline"], found["input.now"]

    async with show() as s:
        await s.play(*opened(), *first_round()[:3])
        assert keys(s) == (("^J", "alt+enter"), ("^S",))
        await s.type("stop")
        assert "enter queues   ^S interrupts with it   ^J breaks the line" in s.text
        await s.press("left_shift")
        assert keys(s) == (("^J", "⇧enter", "alt+enter"), ("^enter", "^S"))
        await s.press("ctrl+s")
        assert await s.asked() == commands.Steer("stop", now=True)


def test_terminals_that_tell_keys_apart_are_known_by_name() -> None:
    assert tells_keys_apart({"TERM": "xterm-kitty"})
    assert tells_keys_apart({"TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"})
    assert not tells_keys_apart({"TERM": "xterm-256color"})
    assert not tells_keys_apart({"TERM": "tmux-256color", "TMUX": "/tmp/1", "KITTY_WINDOW_ID": "1"})
    assert not tells_keys_apart({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"})


async def test_help_is_read_with_the_keys_of_lists(show: Showing) -> None:
    async with show(size=(80, 24)) as s:
        await s.play(*opened())
        await s.press("f1")
        box = s.app.screen.query_one("#help")
        await s.press("j", "j", "k")
        assert box.scroll_y == 1
        await s.press("G")
        assert box.scroll_y == box.max_scroll_y > 20
        await s.press("ctrl+u", "g")
        assert box.scroll_y == 0


async def test_a_round_is_gone_to_by_its_number(show: Showing) -> None:
    async with show(size=(80, 24)) as s:
        await s.play(*whole())
        await s.type("/round 1", "enter")
        assert "◆ 1" in s.text
        assert "◆ 3" not in s.text
        await s.type("/round 9", "enter")
        assert "there is no round 9" in s.text
        await s.type("/round x", "enter")
        assert "say which round" in s.text
