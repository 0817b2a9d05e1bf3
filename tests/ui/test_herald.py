"""What the terminal around the screen is told: its title, and that somebody is waited for."""

from __future__ import annotations

import pytest

from jetbox.engine import events as e
from jetbox.ui.herald import RESTORE, SAVE, Herald, notification
from ui.conftest import Showing
from ui.played import first_round, opened

ASKED = e.PermissionAsked(id="p1", call="c1", kind="command", title="run_cmd rm \x1b]0;x\a -r; y")


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"TERM": "xterm-kitty"}, "\x1b]99;i=jetbox:d=0;jetbox\x1b\\\x1b]99;i=jetbox:p=body;a; b\x1b\\"),
        ({"TERM": "foot"}, "\x1b]777;notify;jetbox;a, b\x1b\\"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "\x1b]9;jetbox: a; b\x1b\\"),
        ({"TERM": "xterm-256color"}, "\a"),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/t,1,0"}, "\a"),
    ],
)
def test_each_terminal_is_told_in_its_own_way(environ: dict[str, str], told: str) -> None:
    assert notification(environ, "jetbox", "a; b") == told


async def test_the_title_follows_and_nobody_is_told_who_looks(show: Showing) -> None:
    written: list[str] = []
    looked = [True]
    async with show() as s:
        environ = {"TERM": "foot"}
        s.bench.herald = Herald(written.append, lambda: looked[0], environ=environ)
        s.bench.herald.begin()
        await s.play(*opened(), *first_round()[:3])
        await s.play(ASKED)
        assert "".join(written).count("777") == 0
        looked[0] = False
        await s.play(e.PermissionAnswered(id="p1", answer="no"))
        await s.play(ASKED)
        await s.play(e.GoalEnded(goal=1, outcome="done", reason="probes green", exit_code=0))
        s.bench.herald.end()
    assert written[0] == SAVE
    assert written[-1] == RESTORE
    titles = [text[4:-2] for text in written if text.startswith("\x1b]2;")]
    assert titles == ["mathx: round 1", "mathx: waits for you", "mathx: round 1", "mathx: waits for you", "mathx: done"]
    told = [text for text in written if "777" in text]
    assert told[-1] == "\x1b]777;notify;jetbox mathx;probes green\x1b\\"
    assert all(text.count("\x1b") == 2 and "\a" not in text for text in told), "a title of others sends no sequence"


async def test_a_question_of_the_models_is_told_where_nobody_looks(show: Showing) -> None:
    written: list[str] = []
    async with show() as s:
        s.bench.herald = Herald(written.append, lambda: False, environ={"TERM": "foot"})
        await s.play(*opened(), *first_round()[:3])
        called = e.ToolCalled(call="c7", name="ask_user", arguments="{}", title="ask_user Which database?")
        await s.play(called, e.ToolStarted(call="c7"))
        assert not [text for text in written if "777" in text]
        await s.play(e.QuestionAsked(id="q1", call="c7", question="Which database?\nIt stays.", choices=("a", "b")))
    assert [text for text in written if "777" in text] == [
        "\x1b]777;notify;jetbox mathx;waits for you: Which database?\x1b\\"
    ]
    assert "\x1b]2;mathx: waits for you\x1b\\" in written


def test_notifying_can_be_off_or_the_bell() -> None:
    for notify, told in (("off", []), ("bell", ["\a"])):
        written: list[str] = []
        Herald(written.append, lambda: False, notify=notify, environ={"TERM": "dumb"}).tell("/w", ASKED)
        assert written == told
