"""Rules choose the model of a round: each decision is told with its reason; over real HTTP, with the real ruff."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine import interruptible, retries
from jetbox.engine.errors import SettingsError
from jetbox.engine.limits import Ending
from jetbox.engine.loop import serve
from jetbox.engine.models.desk import ModelsDesk
from jetbox.engine.options import RoutingOptions
from jetbox.engine.probes.base import Verdict
from jetbox.engine.round import RoundResult
from jetbox.engine.routing import LOOK_OVER, REFINE, Router, check
from jetbox.engine.stream import Answer
from jetbox.sim.launch import ServerProcess
from scripted import Step, WriteScript, call, finish, step

OpenRig = Callable[..., Awaitable[Rig]]
SMALL, LARGE = "llama3.2:3b", "gpt-oss:20b"
RUFF = {"pytest": False}
GOOD = call("write_file", path="a.py", content="X = 1\n")
UNUSED = call("write_file", path="a.py", content="import os\n")
STILL = call("write_file", path="a.py", content="import os\nimport sys\n")
BROKEN = call("write_file", path="a.py", content="def f(:\n")


LOOK = call("list_dir", path=".")
SHORT = {"num_predict": 3000}
GARBLED = step(LOOK, send="xml-error")


def rule(mode: str, **more: object) -> dict[str, object]:
    return {"mode": mode, "small": SMALL, "large": LARGE, **more}


def models(live: Rig) -> list[str]:
    return [started.model for started in live.events(e.RoundStarted)]


async def test_the_user_turns_the_phase_and_the_rule_goes_on_from_there(rig: OpenRig) -> None:
    steps = [step(LOOK, fault="stall@:1"), step(LOOK, fault="stall@:1"), step(GOOD), finish(), finish()]
    live = await rig(*steps, probes=RUFF, routing=rule("phase"))
    desk = ModelsDesk(live.parts)
    running = live.start()
    for _ in range(2):
        await live.until(e.ToolEnded)
        await live.stats(stalled=1)
        assert desk.take(c.SwitchPhase())
        await live.release()
    ended = await within(running)
    assert ended.outcome == "done", ended.reason
    routed = live.events(e.Routed)
    assert [(r.phase, r.model) for r in routed] == [
        ("scaffold", SMALL),
        ("refine", LARGE),
        ("scaffold", SMALL),
        ("refine", LARGE),
    ]
    assert "you went on to it" in routed[1].why
    assert "the draft is complete" in routed[3].why, "what is drafted again is refined again"


async def test_between_goals_or_without_phases_the_key_takes_the_other_model(rig: OpenRig) -> None:
    live = await rig(finish(), attended=True, routing={"small": SMALL, "large": LARGE})
    desk = ModelsDesk(live.parts)
    serving = asyncio.create_task(serve(live.parts))
    for model in (SMALL, LARGE):
        desk.take(c.SwitchPhase())
        assert (await live.until(e.ModelSwitched)).new == model
    live.submit(c.Close())
    await within(serving)


async def test_without_two_models_there_is_no_other_one(rig: OpenRig) -> None:
    live = await rig(finish(), routing={"small": SMALL})
    ModelsDesk(live.parts).take(c.SwitchPhase())
    (notice,) = live.events(e.Notice)
    assert "routing.large" in notice.hint


async def test_nothing_is_routed_unless_it_is_asked_for(rig: OpenRig) -> None:
    live = await rig(step(GOOD), finish(), routing={"small": SMALL, "large": LARGE})
    await live.run()
    assert live.events(e.Routed) == []
    assert set(models(live)) == {LARGE}


@pytest.mark.parametrize("mode", ["complexity", "phase", "evidence", "cascade"])
def test_models_must_be_named(mode: str) -> None:
    options = RoutingOptions(mode=mode, small=SMALL)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="large is not set"):
        check(options)
    with pytest.raises(SettingsError, match=r"routing.small and routing.large are not set"):
        check(RoutingOptions(mode=mode))  # type: ignore[arg-type]
    check(RoutingOptions(small=SMALL))
    with pytest.raises(SettingsError, match=f"small and large are both {SMALL}"):
        check(RoutingOptions(mode=mode, small=SMALL, large=SMALL))  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="a confidence is between 0 and 1"):
        check(RoutingOptions(mode=mode, small=SMALL, large=LARGE, confidence=7))  # type: ignore[arg-type]


async def test_a_goals_complexity_chooses_and_is_explained(rig: OpenRig) -> None:
    live = await rig(step(text="Done."), routing=rule("complexity", threshold=20))
    await live.run("What is it?")
    await live.run("Refactor a_b() in x.py and y.py, split it, test every part: why and how is it safe without locks?")
    easy, hard = live.events(e.Routed)
    assert (easy.model, easy.score < 20, easy.changes) == (SMALL, True, True)
    assert (hard.model, hard.score >= 20, hard.changes) == (LARGE, True, True)
    assert hard.score == sum(hard.parts.values())
    assert f"{hard.score}: length" in hard.why
    assert models(live)[0] == SMALL
    assert models(live)[-1] == LARGE
    assert [s.reason for s in live.events(e.ModelSwitched)] == ["routing", "routing"]


async def answers_of(live: Rig) -> list[int]:
    """`num_predict` of every request, as the server got it."""
    return [json.loads(entry["body"])["options"]["num_predict"] for entry in (await live.stats())["bodies"]]


EASY, EXPERT = (
    "What is it?",
    (
        "Why and how, design and prove: write, fix, split, move a_b() and c_d() in x.py and y.py without a race, "
        "and compare all of it, " + "word " * 60
    ),
)


async def test_each_tier_has_its_own_bound_of_an_answer_and_the_window_bounds_it_too(rig: OpenRig) -> None:
    live = await rig(step(text="So it is."), routing=rule("complexity", num_predict_simple=0), model=SHORT)
    simple = "Add a function multiply() to mathx.py and test it"
    for goal in (EASY, simple, EXPERT):
        assert (await live.run(goal)).outcome == "answered"
    easy, middle, hard = live.events(e.Routed)
    assert (easy.num_predict, middle.num_predict, hard.num_predict) == (500, 0, 16_000)
    assert easy.why.endswith("; below 40; answers of 500 tokens at most")
    assert hard.why.startswith("expert, ")
    assert middle.why.endswith("; below 40")
    first, second, third = await answers_of(live)
    assert (first, second) == (500, 3000), "0 is what holds for any goal"
    prompt = live.events(e.RequestSent)[-1].estimate
    assert 3000 < third < live.parts.budget.window - prompt < 16_000, "never more than is left of the window"


async def test_an_answer_that_its_tier_cuts_is_given_what_any_goal_has(rig: OpenRig) -> None:
    steps = [step(text=" ".join(map(str, range(700)))), step(text="The rest."), step(text="Another.")]
    live = await rig(*steps, routing=rule("complexity", num_predict_trivial=100), model=SHORT)
    assert (await live.run(EASY)).outcome == "answered"
    assert await answers_of(live) == [100, 3000]
    assert [a.done_reason for a in live.events(e.ModelAnswered)] == ["length", "stop"]
    told = live.events(e.Routed)[-1]
    assert (told.why, told.changes) == ("an answer was cut at 100 tokens: up to 3,000 from here on", False)
    assert told.num_predict == 0
    await live.run(EASY)
    assert (await answers_of(live))[2] == 100, "the next goal has its own"


@pytest.mark.parametrize("mode", ["phase", "evidence", "cascade"])
async def test_rules_without_tiers_bound_no_answer(rig: OpenRig, mode: str) -> None:
    live = await rig(step(text="So."), routing=rule(mode), model=SHORT)
    await live.run(EASY)
    assert set(await answers_of(live)) == {3000}


async def test_a_draft_is_refined_by_the_large_model(rig: OpenRig) -> None:
    live = await rig(step(GOOD), finish(), step(text="Looks right."), finish(), probes=RUFF, routing=rule("phase"))
    ended = await live.run()
    assert ended.outcome == "done"
    assert models(live) == [SMALL, SMALL, LARGE]
    assert [(r.phase, r.model) for r in live.events(e.Routed)] == [("scaffold", SMALL), ("refine", LARGE)]
    assert REFINE in str((await live.requests())[2][-1])


async def test_a_red_draft_is_repaired_by_the_large_model(rig: OpenRig) -> None:
    live = await rig(step(UNUSED), step(GOOD), finish(), probes=RUFF, routing=rule("phase"))
    assert (await live.run()).outcome == "done"
    assert models(live) == [SMALL, LARGE, LARGE]
    assert live.events(e.Routed)[-1].why.startswith("refine: ruff")


async def test_red_verdicts_in_a_row_call_the_large_model_and_green_ones_send_it_away(rig: OpenRig) -> None:
    steps = [step(UNUSED), step(STILL), step(GOOD), step(call("write_file", path="b.py", content="Y = 1\n"))]
    live = await rig(*steps, finish(), probes=RUFF, routing=rule("evidence", step_down=2))
    assert (await live.run()).outcome == "done"
    assert models(live) == [SMALL, SMALL, LARGE, LARGE, SMALL]
    up, down = live.events(e.Routed)[1:]
    assert up.why.startswith("2 red verdicts in a row, the last: ruff")
    assert down.why == "stepped down: 2 green verdicts in a row"
    assert [s.reason for s in live.events(e.ModelSwitched)] == ["routing", "escalation", "routing"]


@pytest.mark.parametrize("mode", ["evidence", "phase", "cascade"])
async def test_what_was_red_before_the_session_calls_nobody(rig: OpenRig, mode: str) -> None:
    routing = RoutingOptions(**rule(mode, escalate_red=1, escalate_syntax=1))  # type: ignore[arg-type]
    live = await rig(finish(), name=SMALL)
    router = Router(live.parts, routing)
    await router.begin("Do it")
    old = Verdict("pytest", "failed", output="SyntaxError", failing=("t::a",), known=("t::a",))
    new = msgspec.structs.replace(old, failing=("t::a", "t::b"))
    for verdict, wished in ((old, False), (new, True)):
        await router.weigh(RoundResult(Answer(text="So."), verdicts=[verdict], late=[verdict]), None, [])
        assert (live.parts.control.wish is not None) is wished


async def test_a_syntax_error_calls_the_large_model_at_once(rig: OpenRig) -> None:
    live = await rig(step(BROKEN), step(GOOD), finish(), probes=RUFF, routing=rule("evidence", escalate_red=5))
    await live.run()
    assert models(live) == [SMALL, LARGE, LARGE]
    assert "syntax errors" in live.events(e.Routed)[1].why


async def test_unreadable_calls_call_the_large_model(rig: OpenRig) -> None:
    live = await rig(
        step(call("list_dir", path="."), send="xml-error"),
        step(call("list_dir", path="."), send="xml-error"),
        finish(),
        faults=("send:xml-error@1", "send:xml-error@2"),
        routing=rule("evidence", escalate_garbled=2),
    )
    await live.run()
    assert models(live)[:3] == [SMALL, SMALL, LARGE]
    assert live.events(e.Routed)[1].why == "2 answers with calls that nobody could read"


async def test_calls_that_lack_their_ends_call_the_large_model(rig: OpenRig) -> None:
    texts = ("<function=write_file><parameter=path>", '<tool_call>{"name": "write_file", "arguments": {"path": ')
    steps = [step(text=text) for text in texts]
    live = await rig(*steps, step(text="So."), routing=rule("evidence", escalate_garbled=2), match="^Do it")
    assert (await live.run()).outcome == "answered"
    assert models(live) == [SMALL, SMALL, LARGE]


async def test_a_cascade_accepts_what_is_sure_and_green(rig: OpenRig) -> None:
    live = await rig(step(GOOD), finish(), probes=RUFF, routing=rule("cascade"))
    assert (await live.run()).outcome == "done"
    assert set(models(live)) == {SMALL}
    accepted = live.events(e.Routed)[-1]
    assert (accepted.model, accepted.changes) == (SMALL, False)
    assert accepted.why.startswith("accepted: ")
    bodies = [json.loads(body["body"]) for body in (await live.stats())["bodies"]]
    assert all(body["logprobs"] is True for body in bodies)


async def test_a_cascade_does_not_accept_an_unsure_answer(rig: OpenRig) -> None:
    live = await rig(step(text="It may be so.", confidence=0.5), step(text="It is so."), routing=rule("cascade"))
    assert (await live.run("Is it so?")).outcome == "answered"
    assert models(live) == [SMALL, LARGE]
    refused = live.events(e.Routed)[1]
    assert refused.why.startswith("not accepted: confidence 0.")
    assert (await live.requests())[1][-1]["content"] == LOOK_OVER


@pytest.mark.parametrize("sure", [None, 0.5, 0.95])
@pytest.mark.parametrize("outcome", ["done", "answered", "unverified"])
async def test_a_cascade_accepts_by_confidence_and_probes(rig: OpenRig, outcome: str, sure: float | None) -> None:
    live = await rig(finish(), name=SMALL)
    router = Router(live.parts, RoutingOptions(**rule("cascade")))  # type: ignore[arg-type]
    await router.begin("Do it")
    answer = Answer(logprob=math.log(sure), weighed=1) if sure else Answer()
    ended, tail = await router.weigh(RoundResult(answer), Ending(outcome, outcome), [])  # type: ignore[arg-type]
    accepted = (outcome, sure) in [("done", None), ("done", 0.95), ("answered", 0.95)]
    assert (ended is not None, tail == []) == (accepted, accepted)
    routed = live.events(e.Routed)[-1]
    assert (routed.model, routed.changes) == ((SMALL, False) if accepted else (LARGE, True))
    assert routed.why.startswith("accepted: " if accepted else "not accepted: ")
    assert ("the server tells no confidence" in routed.why) is (sure is None)


async def test_a_cascade_without_confidence_goes_by_the_probes_and_says_so(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess]
) -> None:
    asked = write_script(step(text="It may be so.", confidence=0.2), step(text="It is so."), match="Is it")
    work = write_script(step(GOOD), finish(), match="Do it")
    server = sim_server(scripts=[str(asked), str(work)], lacks=["logprobs"])
    live = await Rig(server, tmp_path).open(probes=RUFF, routing=rule("cascade"))
    assert (await live.run("Is it so?")).outcome == "answered"
    assert models(live) == [SMALL, LARGE], "what nothing vouches for is looked over"
    told = live.events(e.Routed)[-1]
    assert told.why == "not accepted: the server tells no confidence, nothing was changed that a probe could judge"
    assert (await live.run()).outcome == "done"
    assert models(live)[2:] == [SMALL, SMALL]
    assert live.events(e.Routed)[-1].why == "accepted: the server tells no confidence, the probes passed"
    bodies = [json.loads(body["body"]) for body in (await live.stats())["bodies"]]
    assert all(body["logprobs"] is True for body in bodies)
    await live.close()


async def test_rules_know_models_by_short_names_too(rig: OpenRig) -> None:
    short = {"small": f"library/{SMALL}", "large": f"registry.ollama.ai/library/{LARGE}"}
    live = await rig(
        step(text="It may be so.", confidence=0.5), step(text="It is so."), routing={"mode": "cascade", **short}
    )
    assert (await live.run("Is it so?")).outcome == "answered"
    assert models(live) == [SMALL, LARGE]


async def test_a_cascade_does_not_accept_red_work(rig: OpenRig) -> None:
    live = await rig(step(UNUSED), step(GOOD), finish(), probes=RUFF, routing=rule("cascade"))
    assert (await live.run()).outcome == "done"
    assert models(live) == [SMALL, LARGE, LARGE]
    assert live.events(e.Routed)[1].why.startswith("not accepted: ruff")


@pytest.mark.parametrize(
    ("useless", "why"),
    [
        ("empty", "an answer that says nothing"),
        ("thinking_only", "an answer that says nothing"),
        ("repeat", "an answer that has no end"),
    ],
)
async def test_a_cascade_does_not_accept_what_says_nothing(rig: OpenRig, useless: str, why: str) -> None:
    live = await rig(step(text="So.", fault=useless), routing=rule("cascade"))
    assert (await live.run()).outcome == "answered"
    assert models(live) == [SMALL, LARGE]
    assert live.events(e.Routed)[1].why == f"not accepted: {why}"


async def test_the_users_choice_is_left_alone_until_the_goal_ends(rig: OpenRig) -> None:
    live = await rig(
        step(UNUSED, fault="stall@:1"), step(STILL), step(GOOD), finish(), probes=RUFF, routing=rule("evidence")
    )
    running = live.start()
    await live.stats(stalled=1)
    live.submit(c.SetModel("qwen2.5-coder:7b"))
    await live.release()
    await within(running)
    assert models(live) == [SMALL, *["qwen2.5-coder:7b"] * 3]
    assert len(live.events(e.Routed)) == 1


@pytest.mark.parametrize("when", ["begin", "weigh", "switch"])
async def test_a_server_that_does_not_say_what_it_has_is_not_waited_out(
    rig: OpenRig, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    routing = {} if when == "switch" else rule("evidence", escalate_garbled=1)
    live = await rig(GARBLED, name=SMALL if when == "weigh" else LARGE, routing=routing)
    monkeypatch.setattr(interruptible, "SPEAK_AFTER_S", 0.0)
    begun = asyncio.Event()

    async def installed() -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(live.parts.model, "installed", installed)
    if when == "switch":
        live.submit(c.SetModel(SMALL))
    running = live.start()
    assert (await live.until(e.Waiting, what="asking")).detail == "the server about its models"
    await within(begun.wait())  # other questions are answered
    live.submit(c.Steer("Now this.", now=True))
    live.submit(c.Cancel())
    ended = await within(running)
    assert (ended.outcome, ended.rounds) == ("interrupted", int(when == "weigh"))
    wish = live.parts.control.wish
    assert (wish.name if wish else "") == (SMALL if when == "switch" else ""), (
        "what the user chose is for the next goal"
    )


async def test_a_decision_of_the_last_round_ends_with_the_goal(rig: OpenRig) -> None:
    live = await rig(GARBLED, GARBLED, routing=rule("evidence", escalate_garbled=1), loop={"max_rounds": 1})
    for _ in range(2):
        assert (await live.run()).outcome == "limit"
    assert [routed.model for routed in live.events(e.Routed)] == [SMALL, LARGE] * 2
    assert set(models(live)) == {SMALL}


async def test_what_the_user_chose_between_goals_holds_for_the_next_one(rig: OpenRig) -> None:
    other = "qwen2.5-coder:7b"
    live = await rig(step(text="So it is."), routing=rule("evidence"))
    serving = asyncio.create_task(serve(live.parts))
    try:
        for command in (c.SetModel(other), c.Goal("Is it so?"), c.Goal("And this?")):
            live.submit(command)
            await live.until(e.ModelSwitched if isinstance(command, c.SetModel) else e.GoalEnded)
    finally:
        live.submit(c.Close())
        await within(serving)
    assert models(live) == [other, SMALL]
    assert [(r.model, r.changes) for r in live.events(e.Routed)] == [(other, False), (SMALL, True)]


OTHER = "qwen2.5-coder:7b"


@pytest.mark.parametrize(
    ("mode", "name", "went"),
    [
        ("evidence", OTHER, [OTHER, LARGE, LARGE]),
        ("evidence", LARGE, [LARGE, LARGE, LARGE]),
        ("cascade", OTHER, [OTHER, LARGE, LARGE]),
        ("cascade", LARGE, [LARGE, LARGE, LARGE]),
        ("phase", OTHER, [OTHER, LARGE, LARGE]),
        ("phase", LARGE, [LARGE, LARGE, LARGE]),
        ("complexity", OTHER, [OTHER, OTHER, OTHER]),
    ],
)
async def test_a_rule_goes_on_from_the_model_that_was_named(
    rig: OpenRig, mode: str, name: str, went: list[str]
) -> None:
    steps = [step(UNUSED), step(GOOD), finish()]
    live = await rig(*steps, name=name, probes=RUFF, routing=rule(mode, escalate_red=1))
    live.parts.named = True
    assert (await live.run()).outcome == "done"
    assert models(live) == went
    assert "named" in live.events(e.Routed)[0].why
    await live.run("And what is it?")
    assert models(live)[len(went)] == SMALL, "the next goal is the rule's alone"


async def test_a_choice_before_the_first_goal_comes_before_the_name(rig: OpenRig) -> None:
    live = await rig(step(text="So it is."), name=LARGE, routing=rule("evidence"))
    live.parts.named = True
    live.submit(c.SetModel(OTHER))
    for text in ("Is it so?", "And this?"):
        await live.run(text)
    assert models(live) == [OTHER, SMALL]


async def test_a_choice_that_cannot_be_met_leaves_the_rule_in_force(rig: OpenRig) -> None:
    live = await rig(
        step(LOOK, fault="stall@:1"), GARBLED, step(text="So."), routing=rule("evidence", escalate_garbled=1)
    )
    running = live.start()
    await live.stats(stalled=1)
    live.submit(c.SetModel("nix:1b"))
    await live.release()
    await within(running)
    assert models(live) == [SMALL, SMALL, LARGE]


async def test_a_choice_that_was_met_holds_where_a_later_one_cannot_be(rig: OpenRig) -> None:
    stalls = [step(LOOK, fault="stall@:1") for _ in range(2)]
    live = await rig(*stalls, GARBLED, step(text="So."), routing=rule("evidence", escalate_garbled=1))
    running = live.start()
    for n, name in enumerate((OTHER, "nix:1b"), start=1):
        await live.stats(faults=n, stalled=1)
        live.submit(c.SetModel(name))
        await live.release()
    await within(running)
    assert models(live) == [SMALL, OTHER, OTHER, OTHER]


async def test_a_cascade_without_its_large_model_ends_where_the_small_one_does(rig: OpenRig) -> None:
    live = await rig(step(text="It may be so.", confidence=0.5), routing=rule("cascade", large="nix:1b"))
    assert (await live.run("Is it so?")).outcome == "answered"
    assert models(live) == [SMALL]
    refused = live.events(e.Routed)[-1]
    assert (refused.model, refused.changes) == (SMALL, False)
    assert refused.why.startswith("not accepted: confidence 0.")
    assert refused.why.endswith(", but nix:1b cannot be used")
    assert LOOK_OVER not in str(await live.requests())


async def test_a_rule_whose_large_model_is_missing_says_so_once(rig: OpenRig) -> None:
    live = await rig(
        *(GARBLED, GARBLED, step(text="So.")), routing=rule("evidence", escalate_garbled=1, large="nix:1b")
    )
    assert (await live.run()).outcome == "answered"
    assert set(models(live)) == {SMALL}
    assert [r.changes for r in live.events(e.Routed)] == [True, False]
    assert len([notice for notice in live.events(e.Notice) if "nix:1b" in notice.text]) == 1


async def test_a_draft_that_nobody_can_refine_is_the_result(rig: OpenRig) -> None:
    live = await rig(step(GOOD), finish(), routing=rule("phase", large="nix:1b"))
    assert (await live.run()).outcome == "unverified"
    assert models(live) == [SMALL, SMALL]


async def test_a_model_that_is_not_there_is_said_and_the_work_goes_on(rig: OpenRig) -> None:
    live = await rig(step(GOOD), finish(), routing={"mode": "evidence", "small": "nix:1b", "large": LARGE})
    assert (await live.run()).outcome == "unverified"
    assert set(models(live)) == {LARGE}
    assert any("nix:1b" in notice.text for notice in live.events(e.Notice))


CLOUD = "gpt-oss:120b-cloud"


async def signed_out(sim_server: Callable[..., ServerProcess], script: Path, root: Path, **more: object) -> Rig:
    """A session under a rule whose large model is in the cloud, of a server that nobody signed in."""
    server = sim_server(scripts=[str(script)], models=[CLOUD])
    return await Rig(server, root).open(name=SMALL, probes=RUFF, routing=rule(**{"large": CLOUD, **more}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mode", "first", "second"),
    [
        ("evidence", [step(UNUSED), step(GOOD), finish()], [step(STILL), step(GOOD), finish()]),
        ("phase", [step(UNUSED), step(GOOD), finish()], [step(STILL), step(GOOD), finish()]),
        ("cascade", [step(text="It may be so.", confidence=0.5), step(text="It is so.")], None),
    ],
)
async def test_a_large_model_that_is_not_signed_in_is_done_without(
    tmp_path: Path,
    write_script: WriteScript,
    sim_server: Callable[..., ServerProcess],
    mode: str,
    first: list[Step],
    second: list[Step] | None,
) -> None:
    script = write_script(*first, *(second or first), match=".")
    live = await signed_out(sim_server, script, tmp_path, mode=mode, escalate_red=1)
    assert (await live.run()).outcome in ("done", "answered")
    assert [(s.old, s.new) for s in live.events(e.ModelSwitched)] == [(SMALL, CLOUD), (CLOUD, SMALL)]
    (told,) = [notice for notice in live.events(e.Notice) if "401" in notice.text]
    assert told.text.endswith(f"; going on with {SMALL}")
    assert "ollama signin" in told.hint
    assert f"/model {CLOUD}" in told.hint
    assert (await live.run("Again")).outcome in ("done", "answered", "unverified")
    assert len(live.events(e.ModelSwitched)) == 2, "it is not tried again"
    asked = [json.loads(entry["body"])["model"] for entry in (await live.stats())["bodies"]]
    assert asked.count(CLOUD) <= 1
    assert live.events(e.ModelSwitched)[1].why == f"{CLOUD} cannot be used"
    await live.close()


@pytest.mark.parametrize(
    ("mode", "more"),
    [("complexity", {"threshold": 0}), ("evidence", {"small": CLOUD, "large": SMALL})],
    ids=["left by the user", "the small one"],
)
async def test_a_rule_whose_model_will_not_work_from_the_beginning_goes_on_with_its_other(
    tmp_path: Path,
    write_script: WriteScript,
    sim_server: Callable[..., ServerProcess],
    mode: str,
    more: dict[str, object],
) -> None:
    server = sim_server(scripts=[str(write_script(step(text="Well."), match="."))], models=[CLOUD])
    live = await Rig(server, tmp_path).open(name=CLOUD, routing=rule(mode, **{"large": CLOUD, **more}))
    for text in ("Is it so?", "And this?"):
        assert (await live.run(text)).outcome == "answered"
    assert [(s.old, s.new) for s in live.events(e.ModelSwitched)] == [(CLOUD, SMALL)]
    assert len([notice for notice in live.events(e.Notice) if "401" in notice.text]) == 1
    await live.close()


async def test_a_large_model_that_fails_is_done_without_until_the_goal_ends(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "BACKOFF_S", (0.01, 0.01, 0.01, 0.01))
    failing = ("error:llama runner process has terminated@2:0", "error:llama runner process has terminated@3:0")
    steps = [step(UNUSED), step(STILL), step(GOOD), finish(), step(UNUSED), step(GOOD), finish()]
    live = await rig(*steps, faults=failing, probes=RUFF, name=SMALL, routing=rule("evidence", escalate_red=1))
    assert (await live.run()).outcome == "done"
    assert [(s.old, s.new) for s in live.events(e.ModelSwitched)] == [(SMALL, LARGE), (LARGE, SMALL)]
    asked = [json.loads(entry["body"])["model"] for entry in (await live.stats())["bodies"]]
    assert asked == [SMALL, LARGE, LARGE, SMALL, SMALL, SMALL]
    assert any(notice.text.endswith(f"; going on with {SMALL}") for notice in live.events(e.Notice))
    assert (await live.run("Again")).outcome == "done"
    assert live.events(e.ModelSwitched)[-1].new == LARGE, "the next goal may find it well"


async def test_the_model_that_a_rule_left_may_fail_once_too_when_it_goes_on(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "BACKOFF_S", (0.01, 0.01, 0.01, 0.01))
    failing = [f"error:llama runner process has terminated@{request}:0" for request in (2, 3, 4)]
    live = await rig(
        *(step(UNUSED), step(STILL), step(STILL), step(GOOD), finish()),
        faults=failing,
        probes=RUFF,
        name=SMALL,
        routing=rule("evidence", escalate_red=1),
    )
    assert (await live.run()).outcome == "done"
    asked = [json.loads(entry["body"])["model"] for entry in (await live.stats())["bodies"]]
    assert asked[:5] == [SMALL, LARGE, LARGE, SMALL, SMALL]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("status:401", "has to be signed in"),
        ("error:llama runner process has terminated", "terminated"),
        ("busy:99", ""),
    ],
)
async def test_a_goal_ends_where_neither_model_of_its_rule_will_work(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch, fault: str, reason: str
) -> None:
    monkeypatch.setattr(retries, "BACKOFF_S", (0.01, 0.01, 0.01, 0.01))
    live = await rig(step(GOOD), faults=(fault,), name=SMALL, routing=rule("evidence"))
    ended = await within(live.run())
    assert (ended.outcome, reason in ended.reason) == ("failed", True)
    assert [(s.old, s.new) for s in live.events(e.ModelSwitched)] == [(SMALL, LARGE)]
    asked = [json.loads(entry["body"])["model"] for entry in (await live.stats())["bodies"]]
    assert set(asked) == {SMALL, LARGE}


async def test_a_model_that_the_user_chooses_is_a_rules_again(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess]
) -> None:
    script = write_script(step(text="Well."), match=".")
    live = await signed_out(sim_server, script, tmp_path, mode="complexity", threshold=0)
    assert (await live.run()).outcome == "answered"
    assert [*live.parts.barred] == [CLOUD]
    live.submit(c.SetModel(CLOUD))
    ended = await live.run()
    assert (ended.outcome, live.parts.model_name) == ("failed", CLOUD), "what the user chose is not undone"
    assert "has to be signed in" in ended.reason
    assert not live.parts.barred
    await live.close()
