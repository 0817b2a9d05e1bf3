"""Hints name the keys that the user has bound, wherever one stands on the screen."""

from __future__ import annotations

from pathlib import Path

from textual.events import Key

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.settings.load import load
from jetbox.ui.keys import binding_ids
from jetbox.ui.screens.bound import everything_bound
from ui.conftest import Showing
from ui.played import first_round, opened, second_round, whole
from ui.states import ASKED, MODELS, recordings
from ui.test_missing import MISSING
from ui.test_models import begin as list_models
from ui.test_plan_card import MADE
from ui.test_sessions import begin as list_sessions
from ui.test_sessions import settled


async def test_what_is_folded_says_the_key_that_shows_it(show: Showing) -> None:
    steps = tuple(e.PlannedStep(str(n), f"read_file {n}") for n in range(30))
    plan = e.PlanMade(plan=MADE.plan, steps=steps)
    verdict = e.ProbeEnded(name="ruff", state="failed", cache="ran", output="\n".join(f"line {n}" for n in range(30)))
    diff = "--- a/x\n+++ b/x\n@@ -0,0 +1,30 @@\n" + "".join(f"+line {n}\n" for n in range(30))
    wrote = e.ToolEnded(call="w", state="ok", text="written", diff=diff, duration_ns=1)
    printed = e.ToolEnded(call="r", state="ok", text="\n".join(map(str, range(90))), duration_ns=1)
    async with show(size=(120, 140), keys={"transcript.expand": "f7"}) as s:
        await s.play(*opened(), e.GoalStarted(goal=1, text="\n".join(f"word {n}" for n in range(60))))
        await s.play(*first_round()[1:3], plan, verdict)
        await s.play(e.ToolCalled(call="w", name="write_file", arguments="{}", title="write_file x"), wrote)
        await s.play(e.ToolCalled(call="r", name="run_cmd", arguments="{}", title="run_cmd x"), printed)
        text = s.text
        for said in ("20 more lines", "18 more steps", "22 more lines", "18 more lines", "84 more lines"):
            assert f"… {said}  F7 expands" in text, said
        assert "^O" not in text
        await s.press("f7")
        assert "more steps" not in s.text


async def test_how_to_quit_is_said_with_the_key_that_does(show: Showing) -> None:
    async with show(keys={"app.quit": "f8", "session.cancel": "f9"}) as s:
        await s.play(*opened(), *first_round()[:3], e.ShellStarted(call="s", command="make"))
        await s.type("!ls", "enter")
        assert "a command of yours runs already: F9 stops it" in s.text
        await s.press("ctrl+d")
        assert "a goal runs: F8 twice quits" in s.text
        await s.press("f8")
        assert "F8 again quits" in s.text
        s.app._disarm()
        assert "F8 again quits" not in s.text


async def test_the_search_says_its_keys_and_each_can_be_another(show: Showing) -> None:
    keys = {"search.next": "f8", "search.close": "f9", "search.back": "f10", "search.empty": "f11"}
    async with show(keys=keys) as s:
        await s.play(*whole())
        await s.press("ctrl+f", *"pytestx", "f10", "f8")
        assert "F8 next  F9 closes" in s.text
        assert s.bench.search.wanted == "pytest"
        await s.press("backspace")
        assert s.bench.search.wanted == "pytest"
        await s.press("f11")
        assert s.bench.search.wanted == ""
        await s.press("f9")
        assert not s.bench.search.display


async def test_the_help_says_its_own_keys(show: Showing) -> None:
    keys = {"app.help": "f12", "help.close": "f8", "help.down": "f9", "help.up": "f10", "no.such": "f1"}
    for size in ((80, 24), (40, 8)):
        async with show(size=size, keys=keys) as s:
            await s.play(*opened())
            if size[0] == 80:
                assert "F12 shows the names" in " ".join(s.text.split())
            await s.press("f12")
            assert "F9 F10 scroll  F8 closes" in s.text
            await s.press("f8")
            assert s.app.screen is s.bench


async def test_the_question_which_model_says_its_keys(show: Showing) -> None:
    keys = {"missing.pull": "f7", "missing.use": "f8", "missing.close": "f9", "missing.stop": "f10"}
    async with show(keys=keys) as s:
        await s.play(*opened()[:1], MISSING)
        assert f"F7 fetches {MISSING.pull}" in s.text
        assert "F7 fetches  F8 uses  F9 closes" in s.text
        await s.press("f7")
        assert isinstance(await s.asked(), commands.PullModel)
        await s.play(e.ModelPulled(name=MISSING.pull, total=10, completed=5))
        assert "F10 stops" in s.text


async def test_the_list_of_sessions_says_its_keys(show: Showing, tmp_path: Path) -> None:
    async with show(keys={"sessions.all": "f7", "sessions.replay": "f8", "list.search": "f9"}) as s:
        recordings(s.app, tmp_path)
        await list_sessions(s, tmp_path)
        assert "(F7 shows all)" in s.text
        assert "F8 plays" in s.text
        assert "F9 searches" in s.text
        await s.press("f7", "enter")
        assert "is gone: F8 plays it" in s.text


async def test_the_list_of_models_says_its_keys(show: Showing) -> None:
    keys = {"models.switch": "f7", "models.stop": "f8", "models.warm": "w,f9", "models.letters": "f10"}
    async with show(keys=keys) as s:
        await list_models(s, MODELS)
        assert "F7 uses it next round" in s.text
        assert "F9 loads" in s.text
        assert "F10 letters are keys" in s.text
        await s.press(*"new", "f7")
        assert "F7 has the server fetch it" in s.text
        await s.press("f7")
        assert await s.asked() == commands.PullModel("new", use=False)
        await s.play(e.ModelPulled(name="new", total=10, completed=5))
        assert "F8 stops it" in s.text
        await s.press("escape", "f10")
        assert "w loads" in s.text


async def test_settings_and_questions_say_their_keys(show: Showing, tmp_path: Path) -> None:
    keys = {"settings.change": "f7", "question.yes": "f8", "question.no": "f9", "permission.once": "f11"}
    async with show(keys=keys) as s:
        s.bench.loaded = load(None, environment={}, flags=[])
        await s.play(*opened(), *first_round()[:8], ASKED)
        assert "F11 once" in s.text
        await s.play(e.PermissionAnswered(id=ASKED.id, answer="once"))
        s.bench.show_settings()
        await s.pilot.pause()
        await s.press("slash", *"ui.theme", "enter")
        assert "F7 shows the next theme" in s.text
        await s.press("escape", "escape")
        recordings(s.app, tmp_path)
        await s.press("ctrl+r")
        await settled(s)
        await s.press("p")
        assert "F8 stop it and leave    F9 stay" in s.text


async def test_what_is_typed_in_a_list_is_edited_with_the_users_keys(show: Showing) -> None:
    keys = {"list.search_back": "f7", "list.search_empty": "f8", "list.search_done": "f9", "list.search": "f10"}
    async with show(keys=keys) as s:
        s.bench.loaded = load(None, environment={}, flags=[])
        await s.play(*opened(), *second_round()[:1])
        s.bench.show_settings()
        await s.pilot.pause()
        for key in ("f10", *"themex", "f7"):  # as a terminal hands them over that had them all at once
            s.app.post_message(Key(key, None if len(key) > 1 else key))
        await s.pilot.pause()
        assert "/theme" in s.text
        assert "themex" not in s.text
        await s.press("backspace", "enter")
        assert "/theme" in s.text
        await s.press("f10", "f8", *"mode", "f9", *"jk")
        assert "/mode" in s.text
        assert "modejk" not in s.text


async def test_a_letter_cannot_edit_what_is_typed_in_a_list(show: Showing) -> None:
    async with show(size=(200, 40), keys={"list.search_back": "x", "list.search_done": "ctrl+w"}) as s:
        await s.play(*opened())
        text = " ".join(s.text.split())
        assert "'x' of 'list.search_back' is what one types in the input" in text
        assert "'ctrl+w' of 'list.search_done' does 'list.search_empty' already" in text


def test_every_key_of_a_list_and_of_a_search_has_a_name() -> None:
    known = binding_ids(*everything_bound())
    edits = ("search_done", "search_back", "search_empty")
    assert known >= {"search.back", "models.letters", *(f"list.{name}" for name in edits)}
