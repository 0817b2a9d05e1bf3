from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from jetbox.engine.safety.likely import LikelySecrets
from jetbox.record.dataset import ALTERNATE, SAME, TRAIN, VALIDATION, DataSet, Form, Recipe, line, made_of, part
from jetbox.record.recording import read_journal
from jetbox.record.student import texts
from jetbox.record.training import Harvest, Sample, harvest

SAMPLES = Path(__file__).parent.parent.parent / "sessions"
TEACHER = "gpt-oss:20b"
RECIPE = Recipe(teacher=TEACHER, student="llama3.2:3b")
MATHX, FIX = (harvest(read_journal(SAMPLES / name), TEACHER).samples[0] for name in ("mathx", "fix-test"))


def gathered(*samples: Sample) -> list[Harvest]:
    return [Harvest([one], Counter(), 0) for one in samples]


def another(number: int, goal: str, *, family: str = "") -> Sample:
    """A conversation of another session about another goal."""
    session = f"session-{number}"
    messages = [{**one, "content": goal} if one["role"] == "user" else one for one in MATHX.messages]
    return msgspec.structs.replace(MATHX, session=session, family=family or session, goals=(goal,), messages=messages)


def sessions(samples: Sequence[Sample]) -> set[str]:
    return {one.session for one in samples}


def test_a_session_its_forks_and_the_same_goal_stay_on_one_side() -> None:
    samples = [another(n, f"Goal {n}") for n in range(40)]
    samples += [another(100 + n, f"Fork {n}", family=f"session-{n}") for n in range(10)]
    samples += [
        msgspec.structs.replace(another(200 + n, f"Goal  {n + 20}"), messages=another(n, f"Other {n}").messages)
        for n in range(10)
    ]
    parted = part(gathered(*samples), msgspec.structs.replace(RECIPE, share=0.25))
    assert len(parted.train) + len(parted.validation) == 60
    assert 10 <= len(parted.validation) <= 15
    sides = {one.session: side for side, part in enumerate((parted.train, parted.validation)) for one in part}
    for n in range(10):
        assert sides[f"session-{n}"] == sides[f"session-{100 + n}"]
        assert sides[f"session-{n + 20}"] == sides[f"session-{200 + n}"]
    backwards = part(gathered(*reversed(samples)), msgspec.structs.replace(RECIPE, share=0.25))
    assert sessions(backwards.validation) == sessions(parted.validation)


def test_two_families_are_enough_for_validation_and_one_is_not() -> None:
    assert [len(side) for side in _sides(part(gathered(MATHX, FIX), RECIPE))] == [1, 1]
    assert [len(side) for side in _sides(part(gathered(MATHX), RECIPE))] == [1, 0]
    none = msgspec.structs.replace(RECIPE, share=0.0)
    assert [len(side) for side in _sides(part(gathered(MATHX, FIX), none))] == [2, 0]


def _sides(parted: DataSet) -> tuple[list[Sample], list[Sample]]:
    return parted.train, parted.validation


def test_the_same_words_and_answers_stand_once_whatever_their_ids_and_times() -> None:
    messages = [
        {**one, "content": f"{one['content']} in 0.7s", "tool_call_id": "x"} if one["role"] == "tool" else one
        for one in MATHX.messages
    ]
    again = msgspec.structs.replace(MATHX, session="again", family="again", messages=messages)
    parted = part(gathered(MATHX, again, FIX), RECIPE)
    assert sessions([*parted.train, *parted.validation]) == {MATHX.session, FIX.session}
    assert parted.left_out == Counter({SAME: 1})


def written(sample: Sample, form: Form, *, thinking: bool = False) -> dict[str, object]:
    recipe = Recipe(teacher=TEACHER, form=form, thinking=thinking)
    found: dict[str, object] = msgspec.json.decode(line(sample, recipe, LikelySecrets().redact))
    return found


def test_the_chat_form_has_messages_and_tools() -> None:
    row = written(MATHX, "openai")
    assert row == {"messages": [_without_thoughts(one) for one in MATHX.messages], "tools": MATHX.tools}
    assert written(MATHX, "openai", thinking=True)["messages"] == MATHX.messages


def _without_thoughts(message: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in message.items() if name != "reasoning_content"}


def test_axolotl_gets_parameters_as_a_string() -> None:
    row = written(MATHX, "axolotl")
    assert isinstance(row["tools"], list)
    for tool, mine in zip(row["tools"], MATHX.tools, strict=True):
        assert msgspec.json.decode(tool["function"]["parameters"]) == mine["function"]["parameters"]


def test_llama_factory_gets_turns_that_alternate() -> None:
    row = written(MATHX, "llamafactory")
    turns = row["conversations"]
    assert isinstance(turns, list)
    asked = [turn["from"] in ("human", "observation") for turn in turns]
    assert asked == [True, False] * (len(turns) // 2)
    assert row["system"] == MATHX.messages[0]["content"]
    assert msgspec.json.decode(str(row["tools"]))[0]["name"] == "read_file"
    calls = msgspec.json.decode(turns[1]["value"])
    assert calls == [{"name": "list_dir", "arguments": {"path": "."}}]
    # Both results of two calls made at once are one turn.
    assert turns[4]["value"].startswith("created pyproject.toml: +9\n\ncreated mathx/__init__.py")


def test_llama_factory_gets_what_was_thought_where_it_is_wanted() -> None:
    def turns(*, thinking: bool) -> list[str]:
        row = written(msgspec.structs.replace(MATHX, messages=said), "llamafactory", thinking=thinking)
        conversations = row["conversations"]
        assert isinstance(conversations, list)
        return [turn["value"] for turn in conversations if turn["from"] in ("gpt", "function_call")]

    said = [one | {"reasoning_content": "Hm."} if one["role"] == "assistant" else one for one in MATHX.messages]
    without = turns(thinking=False)
    assert not any("think" in value for value in without)
    assert turns(thinking=True) == [f"<think>\nHm.\n</think>\n\n{value}" for value in without]


def test_a_conversation_that_does_not_alternate_is_left_out_of_that_form_alone() -> None:
    said = [*MATHX.messages[:2], {"role": "assistant", "content": "Well."}, *MATHX.messages[2:]]
    twice = msgspec.structs.replace(MATHX, messages=said)
    parted = part(gathered(twice, FIX), Recipe(teacher=TEACHER, form="llamafactory"))
    assert parted.left_out == Counter({ALTERNATE: 1})
    assert not part(gathered(twice, FIX), RECIPE).left_out


def test_likely_secrets_are_replaced_in_what_was_said_and_in_what_was_called() -> None:
    key = "ghp_" + "a1B2" * 9
    arguments = msgspec.json.encode({"path": "a.env", "content": f'X = "{key}"\nY = 1'}).decode()
    call = {"id": "1", "type": "function", "function": {"name": "write_file", "arguments": arguments}}
    messages = [
        {"role": "user", "content": f"Use {key}."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ]
    sample = msgspec.structs.replace(MATHX, messages=messages)
    likely = LikelySecrets()
    row = msgspec.json.decode(line(sample, RECIPE, likely.redact))
    assert row["messages"][0]["content"] == "Use [secret:GITHUB_TOKEN]."
    content = msgspec.json.decode(row["messages"][1]["tool_calls"][0]["function"]["arguments"])["content"]
    assert content == 'X = "[secret:GITHUB_TOKEN]"\nY = 1'
    assert likely.found == 2


@pytest.mark.parametrize("form", ["openai", "axolotl", "llamafactory"])
def test_beside_the_set_stands_how_to_train_and_serve(form: Form) -> None:
    recipe = msgspec.structs.replace(RECIPE, form=form)
    harvests = gathered(MATHX, FIX)
    made = made_of(recipe, part(harvests, recipe), harvests, {}, 0)
    assert (made.train.goals, made.validation.goals, made.longest) == (1, 1, 2003)
    assert made.drifted == []
    files = texts(made)
    assert files["Modelfile"].splitlines()[2:] == ["FROM llama3.2:3b", "ADAPTER ./adapter", "PARAMETER num_ctx 16384"]
    assert "TEMPLATE" not in "".join(one for one in files["Modelfile"].splitlines() if not one.startswith("#"))
    readme = files["README.md"]
    assert MATHX.origin.system[:12] in readme
    assert MATHX.origin.tools[:12] in readme
    rule = tomllib.loads(readme.partition("```toml\n")[2].partition("```")[0])
    assert rule["routing"] == {"mode": "cascade", "small": "my-student", "large": TEACHER}
    recipes = "\n".join(text for name, text in files.items() if name not in ("README.md", "Modelfile"))
    assert TRAIN.partition(".")[0] in recipes
    assert VALIDATION.partition(".")[0] in recipes
    assert "4096" in recipes
    if form == "openai":
        compile(files["train.py"], "train.py", "exec")
    if form == "llamafactory":
        assert set(msgspec.json.decode(files["dataset_info.json"])) == {"train", "validation"}


def test_answers_made_with_different_prompts_are_told_apart() -> None:
    later = msgspec.structs.replace(FIX, origin=msgspec.structs.replace(FIX.origin, system="0" * 64))
    harvests = gathered(MATHX, later)
    made = made_of(RECIPE, part(harvests, RECIPE), harvests, {}, 0)
    assert made.drifted == ["2 system prompts"]
    assert "**Mixed: 2 system prompts in one set.**" in texts(made)["README.md"]
    untold = msgspec.structs.replace(FIX, origin=msgspec.structs.replace(FIX.origin, digest=""))
    harvests = gathered(MATHX, untold)
    assert made_of(RECIPE, part(harvests, RECIPE), harvests, {}, 0).drifted == []
