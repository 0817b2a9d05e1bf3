"""The tool by which the model asks the user."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from jetbox.engine.errors import ToolError
from jetbox.engine.models.nested import read_flat
from jetbox.engine.tools.base import Access, Output, Plan, Question, ToolContext, ToolResult

NOBODY = "nobody is there who could be asked: decide yourself, and say at the end what you assumed"
NO_ANSWER = "the user gives no answer: decide yourself, and say at the end what you assumed"
CHOICES = 9
"""So many can be chosen by a digit."""
NAMES = ("label", "title", "text", "value", "name", "description")
"""Under these models hide a choice that is an object."""


class AskUser:
    """Waits for the user's words; offered where somebody is there."""

    name: ClassVar[str] = "ask_user"
    description: ClassVar[str] = "Ask the user, only what you cannot find out or decide."
    parameters: ClassVar[dict[str, Any]] = {
        "properties": {
            "question": {"type": "string"},
            "choices": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["question"],
    }

    def prepare(self, given: dict[str, Any], notes: list[str]) -> dict[str, Any]:
        """Choices as a list of texts, however the model wrote them."""
        value = given.get("choices")
        if isinstance(value, str):
            try:
                value = read_flat(value)
            except (msgspec.DecodeError, UnicodeError):
                value = value.splitlines()
        if not isinstance(value, list):
            return {key: each for key, each in given.items() if key != "choices" or value is not None}
        choices = [choice for each in value if (choice := _choice(each))]
        if len(choices) > CHOICES:
            notes.append(f"the user is shown the first {CHOICES} choices")
        return {**given, "choices": choices[:CHOICES]}

    def access(self, arguments: dict[str, Any], context: ToolContext) -> Access:
        """Calls that are made beside it go on."""
        return Access()

    async def plan(self, arguments: dict[str, Any], context: ToolContext, output: Output) -> Plan:
        """Raises ToolError: nothing is asked."""
        text = arguments["question"].strip()
        if not text:
            raise ToolError("ask_user: the question is empty")
        question = Question(text, tuple(arguments.get("choices", ())))

        async def perform() -> ToolResult:
            answer = question.answer
            return ToolResult(f"the user answers: {answer}" if answer else NO_ANSWER, said=answer or None)

        return Plan("none", f"ask_user {text.splitlines()[0][:160]}", perform, question=question)


def _choice(given: object) -> str:
    """One choice in a line; empty where there is nothing to read."""
    if isinstance(given, dict):
        given = next((given[name] for name in NAMES if isinstance(given.get(name), str)), "")
    return " ".join(str(given).split()) if isinstance(given, str | int | float) else ""
