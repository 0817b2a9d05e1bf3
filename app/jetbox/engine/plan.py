"""A plan as the model writes it: steps, what they refer to, and the order in which they can run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from jetbox.engine.errors import ToolError
from jetbox.engine.models.nested import read_flat
from jetbox.engine.tools.arguments import decode_arguments
from jetbox.engine.tools.base import Access, Tool
from jetbox.engine.tools.plan import PLAN
from jetbox.engine.tools.schedule import conflict

STEPS_MOST = 40
"""A longer plan is refused: nobody foresees so much, and its results would fill the window."""
_SHOWN = 60
"""Characters of a result that a refusal names."""
PACKED = 3
"""How often JSON may be packed into a string of JSON."""
NAMES = ("tool", "name", "tool_name", "function", "action")
ARGUMENTS = ("arguments", "args", "parameters", "params", "input")
AFTER = ("after", "depends_on", "dependencies", "deps", "needs", "requires")

_REFERENCE = re.compile(
    r"(?P<escape>\$?)(?P<itself>\$\{(?:steps\.|step\.(?=\d+[:}]))(?P<id>[\w-]+)(?::(?P<line>\d+))?\})"
)
"""`${step.name}` is left to the languages that mean something by it: in JavaScript, a template's `step`."""
COMMAND = "run_cmd"
"""The tool whose arguments a shell reads."""
_WORD = re.compile(r"[\w./:@%+,][\w./:@%+,-]*")
"""What no shell takes for anything but itself, quoted or not, and no program for an option."""
_WHOLE = re.compile(r"\$\{?(?P<id>[\w-]+)\}?")


class PlanRefused(Exception):
    """A plan that cannot be carried out; the text says why, for the model and the user."""


class Step(msgspec.Struct, frozen=True):
    """A call of a plan, before what it refers to is put in."""

    id: str
    tool: str
    arguments: dict[str, Any]
    needs: tuple[str, ...] = ()
    """Steps that it names: their success is what it builds upon."""


def read_plan(raw: str, look_up: Callable[[str], Tool]) -> tuple[list[Step], list[str]]:
    """The steps in an order in which they can run, and notes on what was left out.

    Raises:
        PlanRefused: it holds no steps, too many, or one that cannot be: nothing of it is to be run.
    """
    given = _steps(raw)
    notes: list[str] = []
    steps = []
    for position, each in enumerate(given, 1):
        step = _step(each, position, look_up)
        if step.tool == "finish":
            notes.append(f"step {step.id} left out: finish is for when the results are there")
            continue
        steps.append(step)
    if not steps:
        raise PlanRefused("the plan has no steps")
    names = [step.id for step in steps]
    steps = [_linked(step, names, notes) for step in steps]
    for name in names:
        if names.count(name) > 1:
            raise PlanRefused(f"two steps are called {name}")
    for step in steps:
        for other in step.needs:
            if other == step.id:
                raise PlanRefused(f"step {step.id} refers to itself")
            if other not in names:
                raise PlanRefused(f"step {step.id} refers to step {other}, which there is not")
    for step in steps:
        _check(step, look_up(step.tool))
    return _in_order(steps), notes


def _steps(raw: str) -> list[Any]:
    value: Any = raw
    for _ in range(PACKED):
        if isinstance(value, str):
            try:
                value = read_flat(value)
            except (msgspec.DecodeError, UnicodeError) as error:
                raise PlanRefused(f"the plan is no JSON: {error}") from None
        if isinstance(value, dict):
            value = value.get("steps", value.get("plan"))
    if not isinstance(value, list):
        raise PlanRefused("the plan must be a list of steps")
    if len(value) > STEPS_MOST:
        raise PlanRefused(f"the plan has {len(value)} steps; {STEPS_MOST} are the most")
    return value


def _step(given: Any, position: int, look_up: Callable[[str], Tool]) -> Step:
    if not isinstance(given, dict):
        raise PlanRefused(f"step {position} must be an object with tool and arguments")
    rest = dict(given)
    name = _name(rest.pop("id", None)) or str(position)
    tool = next((rest.pop(key) for key in NAMES if isinstance(rest.get(key), str)), "")
    if not tool:
        raise PlanRefused(f"step {name} names no tool")
    try:
        tool = look_up(tool).name
    except ToolError as error:
        raise PlanRefused(f"step {name}: {error}") from None
    if tool == PLAN:
        raise PlanRefused(f"step {name}: a plan cannot hold another one")
    after = next((rest.pop(key) for key in AFTER if key in rest), ())
    # Arguments that stand beside the tool's name are taken from there.
    arguments = next((rest.pop(key) for key in ARGUMENTS if key in rest), rest)
    if isinstance(arguments, str):
        try:
            arguments = read_flat(arguments)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise PlanRefused(f"step {name}: the arguments are no JSON: {error}") from None
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise PlanRefused(f"step {name}: the arguments must be an object")
    declared = _names(after, name)
    return Step(name, tool, _mapped(arguments, lambda text: _in_full(text, declared)), tuple(dict.fromkeys(declared)))


def _name(value: Any) -> str:
    """`1`, `"1"`, `"$1"`, `"step 1"` and `"${steps.1}"` all mean step 1."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value).strip().removeprefix("$").strip("{}")
    return re.sub(r"^steps?[ ._]?(?=\w)", "", text).strip()


def _names(value: Any, step: str) -> list[str]:
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    elif isinstance(value, int):
        value = [value]
    if value is None:
        return []
    names = [_name(each) for each in value] if isinstance(value, list | tuple) else [""]
    if not all(names):
        raise PlanRefused(f"step {step}: after must be a list of steps")
    return names


def _check(step: Step, tool: Tool) -> None:
    """Arguments that are wrong are found before anything runs; those that refer to results are not known yet."""
    if any(match["id"] in step.needs for match in _references(step.arguments)):
        return
    try:
        decode_arguments(tool, msgspec.json.encode(step.arguments).decode())
    except ToolError as error:
        raise PlanRefused(f"step {step.id}: {error}") from None


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """The value with each text in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    return [_mapped(item, change) for item in value] if isinstance(value, list) else value


def _in_full(text: str, declared: Sequence[str]) -> str:
    """`$1` alone means the result of a step that is named as an earlier one; elsewhere it is text like any other."""
    whole = _WHOLE.fullmatch(text.strip())
    if whole is None or whole["id"] not in declared:
        return text
    return f"${{steps.{whole['id']}}}"


def _references(value: Any) -> list[re.Match[str]]:
    """Where it refers to results, or looks like it."""
    found: list[re.Match[str]] = []

    def look(text: str) -> str:
        found.extend(match for match in _REFERENCE.finditer(text) if not match["escape"])
        return text

    _mapped(value, look)
    return found


def _linked(step: Step, names: Sequence[str], notes: list[str]) -> Step:
    """The step with all that it needs: a name of no step, within a text, is that text's own."""
    needs = dict.fromkeys(step.needs)
    for match in _references(step.arguments):
        alone = match.string.strip() == match[0]
        if match["id"] in names or match["id"].isdecimal() or match["line"] or alone:
            needs[match["id"]] = None
        else:
            notes.append(f"step {step.id}: {match[0]} stays as it is, since no step is called {match['id']}")
    return msgspec.structs.replace(step, needs=tuple(needs))


def resolved(step: Step, results: Mapping[str, str]) -> dict[str, Any]:
    """The arguments with the results that they refer to; `results` has every step of the plan.

    Raises:
        PlanRefused: a result has no such line, or is no plain word where it is to be a part of a command.
    """

    def result(match: re.Match[str]) -> str:
        if match["id"] not in results:
            return match[0]
        if match["escape"]:
            return match["itself"]
        text = results[match["id"]]
        if match["line"] is not None:
            lines, number = text.splitlines(), int(match["line"])
            if not 1 <= number <= len(lines):
                raise PlanRefused(f"the result of step {match['id']} has no line {number}")
            text = lines[number - 1]
        if step.tool == COMMAND and not _WORD.fullmatch(text):
            raise PlanRefused(
                f"{match['itself']} is no plain word, and a shell would read {text[:_SHOWN]!r} as its own"
            )
        return text

    made: dict[str, Any] = _mapped(step.arguments, lambda text: _REFERENCE.sub(result, text))
    return made


def _in_order(steps: list[Step]) -> list[Step]:
    """Each step behind those that it names, otherwise as they were written."""
    ordered: list[Step] = []
    there: set[str] = set()
    left = list(steps)
    while left:
        step = next((each for each in left if there.issuperset(each.needs)), None)
        if step is None:
            raise PlanRefused(f"steps {', '.join(each.id for each in left)} wait for each other")
        left.remove(step)
        ordered.append(step)
        there.add(step.id)
    return ordered


def accessed(step: Step, tool: Tool, touches: Callable[[Tool, dict[str, Any]], Access]) -> Access:
    """What a step will touch; everything, where that depends on a result."""

    def with_results(text: str) -> Access:
        def filled(match: re.Match[str]) -> str:
            return text if match["id"] in step.needs else match[0]

        arguments = _mapped(step.arguments, lambda words: _REFERENCE.sub(filled, words))
        return touches(tool, decode_arguments(tool, msgspec.json.encode(arguments).decode())[0])

    try:
        found = with_results("a")
        return found if found == with_results("b") else Access(barrier=True)
    except ToolError:
        return Access(barrier=True)


def waits(steps: Sequence[Step], accesses: Sequence[Access]) -> dict[str, tuple[str, ...]]:
    """For each step, those before it that it must wait for: that it names, or that touch the same."""
    found = {}
    for n, step in enumerate(steps):
        touching = [other.id for m, other in enumerate(steps[:n]) if conflict(accesses[m], accesses[n])]
        found[step.id] = tuple(other.id for other in steps[:n] if other.id in step.needs or other.id in touching)
    return found


def direct(found: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """What each step waits for, without what the steps that it waits for wait for themselves."""
    behind: dict[str, set[str]] = {}
    for name, earlier in found.items():
        behind[name] = {*earlier, *(far for near in earlier for far in behind[near])}
    return {
        name: tuple(each for each in earlier if not any(each in behind[near] for near in earlier))
        for name, earlier in found.items()
    }
