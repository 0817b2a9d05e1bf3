"""The tool by which the model plans its work; `jetbox.engine.planning` takes it before any dispatcher does."""

from __future__ import annotations

from typing import Any, ClassVar

from jetbox.engine.errors import ToolError
from jetbox.engine.tools.base import Access, Output, Plan, ToolContext

PLAN = "plan"


class PlanSteps:
    """Holds the steps of the whole work; what comes to it here has come too late, or to the wrong place."""

    name: ClassVar[str] = PLAN
    description: ClassVar[str] = (
        "Run all steps of the work, independent ones at once; once for each goal. "
        "An argument may hold ${steps.1}: the result of step 1, or ${steps.1:2}: its second line."
    )
    parameters: ClassVar[dict[str, Any]] = {
        "properties": {
            "steps": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "id": {"type": "string"},
                        "tool": {"type": "string", "description": "name of a tool"},
                        "arguments": {"type": "object", "properties": {}},
                        "after": {"type": "array", "items": {"type": "string"}},
                    },
                },
            }
        },
        "required": ["steps"],
    }

    def access(self, arguments: dict[str, Any], context: ToolContext) -> Access:
        """Raises ToolError: there is a plan already."""
        raise ToolError("this goal has had its plan; call the tools themselves from here on")

    async def plan(self, arguments: dict[str, Any], context: ToolContext, output: Output) -> Plan:
        """Raises ToolError: there is a plan already."""
        raise ToolError("this goal has had its plan; call the tools themselves from here on")
