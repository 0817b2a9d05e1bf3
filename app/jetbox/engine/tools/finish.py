"""The tool by which the model says that it is done."""

from __future__ import annotations

from typing import Any, ClassVar

from jetbox.engine.tools.base import Access, Output, Plan, ToolContext, ToolResult


class Finish:
    """Says that the goal is reached; the gate decides whether that holds."""

    name: ClassVar[str] = "finish"
    description: ClassVar[str] = "Say that the goal is reached."
    parameters: ClassVar[dict[str, Any]] = {
        "properties": {"summary": {"type": "string", "description": "what was done, short"}},
        "required": ["summary"],
    }

    def prepare(self, given: dict[str, Any], notes: list[str]) -> dict[str, Any]:
        """A model that is done need not stumble over a missing word."""
        return {**given, "summary": given["summary"] if isinstance(given.get("summary"), str) else ""}

    def access(self, arguments: dict[str, Any], context: ToolContext) -> Access:
        """It waits for everything before it."""
        return Access(barrier=True)

    async def plan(self, arguments: dict[str, Any], context: ToolContext, output: Output) -> Plan:
        """Nothing is to be looked at."""
        summary = str(arguments.get("summary", "")).strip()

        async def perform() -> ToolResult:
            return ToolResult(summary or "done", finished=True)

        title = summary.splitlines()[0][:160] if summary else ""
        return Plan("none", f"finish {title}".strip(), perform)
