"""Scripted models: reading and checking their TOML files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jetbox.sim import fault_kinds, faults
from jetbox.sim.conditions import Condition, ConditionError, compile_when

SHIPPED = Path(__file__).parent / "scripts"
SECTIONS = ("script", "model", "step")
SCRIPT_KEYS = ("name", "match", "about", "goal", "workspace", "models")
MODEL_KEYS = ("calls",)
STEP_KEYS = (
    *("id", "think", "text", "call", "when", "else", "goto", "fault"),
    *("send", "damage", "ids", "thinking", "confidence", "plan"),
)
MANNERS = {name: kind.words for name, kind in fault_kinds.CALLS.items()}
"""How an answer is sent: key of a step, and what it may be."""
CALL_KEYS = ("name", "arguments")
END = "end"
"""Target of `goto` and `else` that ends the script."""


class ScriptError(ValueError):
    """A script that cannot be played; the text names file, step and key."""


class ScriptedCall(NamedTuple):
    """A tool call of a step."""

    name: str
    arguments: dict[str, Any]


class Step(NamedTuple):
    """One answer of the model."""

    id: str
    think: str = ""
    text: str = ""
    calls: tuple[ScriptedCall, ...] = ()
    when: Condition | None = None
    otherwise: str = ""
    """Step that comes where `when` does not hold; empty for the next one."""
    goto: str = ""
    """Step that comes after this one; empty for the next one."""
    fault: faults.Fault | None = None
    send: str = ""
    """How its calls are sent; this and the next three are empty for what the model's parser does."""
    damage: str = ""
    ids: str = ""
    thinking: str = ""
    confidence: float = 0.0
    """Probability of its tokens; 0 for the usual one."""
    plan: tuple[str, ...] = ()
    """Steps whose calls it makes as one plan."""

    @property
    def plans(self) -> bool:
        """True where it calls `plan`: it is passed over where no such tool is offered."""
        return any(call.name == "plan" for call in self.calls)

    @property
    def ends_goal(self) -> bool:
        """True where the model says with it that it is done."""
        return not self.calls or any(call.name == "finish" for call in self.calls)


class Script(NamedTuple):
    """A scripted model."""

    name: str
    match: re.Pattern[str]
    steps: tuple[Step, ...]
    about: str = ""
    goal: str = ""
    """A goal that it knows, in the words of a user."""
    workspace: str = ""
    calls: str = ""
    """How calls are sent where a step does not say it; empty for what the model's parser does."""
    models: tuple[str, ...] = ()
    """Names of the models that play it; empty for all."""

    def position(self, step: str) -> int:
        """Index of a step; one behind the last for `end`."""
        return next((i for i, candidate in enumerate(self.steps) if candidate.id == step), len(self.steps))


@cache
def load_shipped() -> tuple[Script, ...]:
    """All scripts that come with the server, by name; read once."""
    return tuple(load_file(path) for path in sorted(SHIPPED.glob("*.toml")))


def load(name_or_file: str) -> Script:
    """A shipped script by its name, or one from a file that ends in `.toml`.

    Raises:
        ScriptError
    """
    if name_or_file.endswith(".toml"):
        return load_file(Path(name_or_file))
    path = SHIPPED / f"{name_or_file}.toml"
    known = sorted(path.stem for path in SHIPPED.glob("*.toml"))
    if name_or_file not in known:
        hint = _nearest(name_or_file, known)
        raise ScriptError(f"no script {name_or_file!r}{hint}; shipped are {', '.join(known)}, or give a .toml file")
    return load_file(path)


def load_file(path: Path) -> Script:
    """Read and check a script.

    Raises:
        ScriptError
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise ScriptError(f"{path}: cannot be read: {reason}") from error
    return parse(text, str(path))


def parse(text: str, file: str) -> Script:
    """Check a script's text; `file` is what errors name.

    Raises:
        ScriptError
    """
    import tomllib

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScriptError(f"{file}: not TOML: {error}") from error
    check = _Checker(file)
    check.keys(data, SECTIONS, "")
    head = check.table(data, "script")
    check.keys(head, SCRIPT_KEYS, "script")
    model = check.table(data, "model", {})
    check.keys(model, MODEL_KEYS, "model")
    return Script(
        name=check.text(head, "name", "script", required=True),
        match=check.pattern(head, "match", "script"),
        steps=check.steps(data.get("step")),
        about=check.text(head, "about", "script"),
        goal=check.text(head, "goal", "script"),
        workspace=check.text(head, "workspace", "script"),
        calls=check.word(model, "calls", "model", MANNERS["send"]),
        models=check.texts(head, "models", "script"),
    )


class _Checker:
    """Reads values out of a parsed file, with errors that name file, place and key."""

    def __init__(self, file: str) -> None:
        self._file = file

    def error(self, place: str, key: str, message: str) -> ScriptError:
        where = ", ".join(part for part in (place, f"key {key!r}" if key else "") if part)
        return ScriptError(f"{self._file}: {where}: {message}" if where else f"{self._file}: {message}")

    def keys(self, table: dict[str, Any], known: tuple[str, ...], place: str) -> None:
        for key in table:
            if key not in known:
                raise self.error(place, key, f"unknown{_nearest(key, known)}; known are {', '.join(known)}")

    def table(self, data: dict[str, Any], key: str, default: dict[str, Any] | None = None) -> dict[str, Any]:
        value = data.get(key, default)
        if not isinstance(value, dict):
            raise self.error("", key, "missing" if value is None else "must be a table")
        return value

    def text(self, table: dict[str, Any], key: str, place: str, *, required: bool = False) -> str:
        value = table.get(key, "")
        if not isinstance(value, str):
            raise self.error(place, key, "must be a text")
        if required and not value:
            raise self.error(place, key, "missing")
        return value

    def word(self, table: dict[str, Any], key: str, place: str, words: tuple[str, ...]) -> str:
        value = self.text(table, key, place)
        if value and value not in words:
            raise self.error(place, key, f"must be one of {', '.join(words)}, not {value!r}{_nearest(value, words)}")
        return value

    def texts(self, table: dict[str, Any], key: str, place: str) -> tuple[str, ...]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self.error(place, key, "must be a list of texts")
        return tuple(value)

    def probability(self, table: dict[str, Any], key: str, place: str) -> float:
        value = table.get(key, 0.0)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
            raise self.error(place, key, "must be a number from 0 up to 1")
        return float(value)

    def pattern(self, table: dict[str, Any], key: str, place: str) -> re.Pattern[str]:
        try:
            return re.compile(self.text(table, key, place, required=True), re.IGNORECASE)
        except re.error as error:
            raise self.error(place, key, f"is not a regular expression: {error}") from error

    def steps(self, value: Any) -> tuple[Step, ...]:
        if not isinstance(value, list) or not value:
            raise self.error("", "step", "a script needs at least one [[step]]")
        steps: list[Step] = []
        for number, table in enumerate(value, 1):
            step = self.step(table, number)
            if step.id in (END, *(other.id for other in steps)):
                raise self.error(f"step {step.id!r}", "id", "is reserved" if step.id == END else "is used twice")
            steps.append(step)
        known = [END, *(step.id for step in steps)]
        steps = [self.planned(step, steps) for step in steps]
        for step in steps:
            for key, target in (("goto", step.goto), ("else", step.otherwise)):
                if target and target not in known:
                    raise self.error(f"step {step.id!r}", key, f"no step {target!r}{_nearest(target, known)}")
        return tuple(steps)

    def planned(self, step: Step, steps: list[Step]) -> Step:
        """A step that plans, with the calls of the others in its own."""
        if not step.plan:
            return step
        made: list[dict[str, Any]] = []
        for name in step.plan:
            other = next((each for each in steps if each.id == name and not each.plan), None)
            if other is None:
                known = [each.id for each in steps if not each.plan]
                raise self.error(f"step {step.id!r}", "plan", f"no step {name!r}{_nearest(name, known)}")
            made += [{"tool": call.name, "arguments": call.arguments} for call in other.calls]
        return step._replace(calls=(*step.calls, ScriptedCall("plan", {"steps": made})))

    def step(self, table: Any, number: int) -> Step:
        place = f"step {number}"
        if not isinstance(table, dict):
            raise self.error(place, "", "must be a table")
        name = self.text(table, "id", place) or str(number)
        place = f"step {name!r}"
        self.keys(table, STEP_KEYS, place)
        when = None
        try:
            if "when" in table:
                when = compile_when(table["when"])
        except ConditionError as error:
            raise self.error(place, error.key, str(error)) from error
        if "else" in table and when is None:
            raise self.error(place, "else", "makes no sense without 'when'")
        calls = self.calls(table.get("call", []), place)
        text, think = self.text(table, "text", place), self.text(table, "think", place)
        plan = self.texts(table, "plan", place)
        if not (calls or text or think or plan):
            raise self.error(place, "", "says nothing: give it text, think or [[step.call]]")
        targets = self.text(table, "else", place), self.text(table, "goto", place)
        manners = {key: self.word(table, key, place, words) for key, words in MANNERS.items()}
        confidence = self.probability(table, "confidence", place)
        return Step(
            name,
            think,
            text,
            calls,
            when,
            *targets,
            self.fault(table, place),
            confidence=confidence,
            plan=plan,
            **manners,
        )

    def calls(self, value: Any, place: str) -> tuple[ScriptedCall, ...]:
        if not isinstance(value, list):
            raise self.error(place, "call", "must be written as [[step.call]]")
        calls = []
        for number, table in enumerate(value, 1):
            where = f"{place}, call {number}"
            if not isinstance(table, dict):
                raise self.error(where, "", "must be a table")
            self.keys(table, CALL_KEYS, where)
            arguments = table.get("arguments", {})
            if not isinstance(arguments, dict) or not _is_json(arguments):
                raise self.error(where, "arguments", "must be a table of JSON values")
            calls.append(ScriptedCall(self.text(table, "name", where, required=True), arguments))
        return tuple(calls)

    def fault(self, table: dict[str, Any], place: str) -> faults.Fault | None:
        spec = self.text(table, "fault", place)
        try:
            return faults.parse(spec)._replace(request=None) if spec else None
        except faults.FaultError as error:
            raise self.error(place, "fault", str(error)) from error


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_json(item) for item in value.values())
    if isinstance(value, list):
        return all(_is_json(item) for item in value)
    return isinstance(value, (str, int, float, bool))


def _nearest(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
