"""What a mode allows: every plan of a tool is allowed, denied, or asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from jetbox.engine.events import Mode
from jetbox.engine.options import PermissionOptions

if TYPE_CHECKING:
    from jetbox.engine.tools.base import Plan

Remembered = Literal["once", "session", "always", "no"]


class Decision(msgspec.Struct, frozen=True):
    """What becomes of a plan, and why."""

    answer: Literal["allow", "ask", "deny"]
    why: str = ""


_ALLOW = Decision("allow")


class Permissions:
    """Decides after the mode's table, and keeps what the user allowed from now on.

    | plan | ask | edits | auto |
    |---|---|---|---|
    | read inside the workspace | yes | yes | yes |
    | read outside it, by a hard link too | asks | asks | no, unless the configuration allows the folder |
    | write inside | asks | yes | yes |
    | write outside | no | no | no |
    | command in the sandbox | asks | asks | yes |
    | command where none works | asks | asks | asks |

    A command without a sandbox counts as one in it where the user turned the sandbox off.
    """

    def __init__(self, mode: Mode, options: PermissionOptions) -> None:
        self.mode: Mode = mode
        self._options = options
        self._allowed = set(options.allow)
        self._unconfined: set[str] = set()
        """Keys that the user allowed knowing that no sandbox holds."""

    def decide(self, plan: Plan, tool: str) -> Decision:
        """Allow, ask or deny; a plan that touches nothing is allowed."""
        if plan.kind == "none":
            return _ALLOW
        decision = self._by_mode(plan)
        if decision.answer == "allow" or (plan.kind == "write" and plan.outside):
            return decision
        return _ALLOW if self._is_allowed(plan, tool) else decision

    def remember(self, plan: Plan, tool: str, answer: Remembered) -> str:
        """Keep an answer that holds for longer; the entry for the configuration's `allow`, or nothing."""
        if answer not in ("session", "always"):
            return ""
        key = plan.scope or tool
        if plan.kind == "command" and not plan.confined:
            # In the configuration it would let the same command run unconfined everywhere.
            self._unconfined.add(key)
            return ""
        self._allowed.add(key)
        return key if answer == "always" else ""

    def scope_words(self, plan: Plan, tool: str) -> str:
        """What an answer for longer would allow from now on."""
        key = plan.scope or tool
        if plan.kind == "command":
            place = "in the sandbox" if plan.confined else "without a sandbox"
            return f"every `{key}` {place}"
        if plan.linked:
            return f"`{key}`, which is a hard link out of the workspace"
        where = "outside the workspace" if plan.outside else "in the workspace"
        return f"every `{key}` {where}"

    def _by_mode(self, plan: Plan) -> Decision:
        if plan.kind == "read":
            return self._read(plan)
        if plan.kind == "write":
            if plan.outside:
                return Decision("deny", "it would write outside the workspace")
            return Decision("ask", "mode ask: changes are confirmed") if self.mode == "ask" else _ALLOW
        if not plan.confined and self._options.sandbox:
            return Decision("ask", "no sandbox holds this command")
        return _ALLOW if self.mode == "auto" else Decision("ask", f"mode {self.mode}: commands are confirmed")

    def _read(self, plan: Plan) -> Decision:
        if not plan.outside:
            return _ALLOW
        where = "it is a hard link out of the workspace" if plan.linked else "it lies outside the workspace"
        if self.mode == "auto":
            return Decision("deny", f"{where}; permissions.read_outside can allow its folder")
        return Decision("ask", where)

    def _is_allowed(self, plan: Plan, tool: str) -> bool:
        """Whether an entry covers it; one that names a tool alone opens nothing outside the boundary."""
        if plan.kind == "command" and not plan.confined:
            return (plan.scope or tool) in self._unconfined
        if plan.outside:
            return plan.scope not in ("", tool) and plan.scope in self._allowed
        return bool({plan.scope or tool, tool} & self._allowed)
