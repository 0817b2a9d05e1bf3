"""The contract of a tool.

A call goes through four steps, and only the last one has effects:
`decode` the arguments, say what they touch (`access`, pure: the schedule is made from
it), `plan` when its turn has come (reads the files, computes the diff that the user is
asked about), and `perform` the plan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import msgspec

from jetbox.engine.events import FileChange

if TYPE_CHECKING:
    from jetbox.engine.options import ToolOptions
    from jetbox.engine.safety.process import ProcessRunner
    from jetbox.engine.workspace.ledger import ReadLedger
    from jetbox.engine.workspace.root import Workspace


class Access(msgspec.Struct, frozen=True):
    """What a call touches: paths relative to the workspace, as the guard resolves them.

    `below` are folders searched recursively; a `barrier` touches everything.
    """

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    below: frozenset[str] = frozenset()
    barrier: bool = False


class ToolResult(msgspec.Struct, frozen=True):
    """What a tool has to say: `text` for the model, the rest for the user."""

    text: str
    ok: bool = True
    changes: tuple[FileChange, ...] = ()
    diff: str = ""
    finished: bool = False
    """True only for `finish`: the model says that it is done."""
    unsure: bool = False
    """Files may have changed that `changes` does not name."""
    by: Literal["agent", "command"] = "agent"
    """Who made the changes: the tool itself, or a command that it ran."""
    said: str | None = None
    """What a later step of a plan gets of it; None where that is `text`."""
    ruled: bool = False
    """A rule of ours refused it."""


class CutShort(asyncio.CancelledError):
    """A call was cancelled when it had had effects; what they are is known."""

    def __init__(self, result: ToolResult) -> None:
        super().__init__()
        self.result = result


class Question(msgspec.Struct):
    """What the user is asked before a plan is performed."""

    text: str
    choices: tuple[str, ...] = ()
    answer: str = ""
    """Set when there is one."""


class Plan(msgspec.Struct, frozen=True):
    """What a call would do, before it does it."""

    kind: Literal["read", "write", "command", "none"]
    title: str
    """One line for people, for example `edit_file app.py`."""
    perform: Callable[[], Awaitable[ToolResult]]
    """Does it. Raises FileMoved where a file changed since the plan, ToolError otherwise."""
    diff: str = ""
    outside: bool = False
    """Touches a path outside the workspace."""
    linked: bool = False
    """It counts as outside since it is a hard link to a file that lies there, too."""
    confined: bool = True
    """False for a command that no sandbox would hold."""
    question: Question | None = None
    """It needs the user's words, and `perform` finds them here."""
    scope: str = ""
    """Key under which an answer for the session is kept, for example `run_cmd pytest`."""


class ToolContext(msgspec.Struct):
    """What tools work with; one per session."""

    workspace: Workspace
    ledger: ReadLedger
    options: ToolOptions
    processes: ProcessRunner
    put_blob: Callable[[bytes], Awaitable[str]]
    """Stores the bytes durably in the session and returns their SHA-256 in hex."""
    read_outside: tuple[str, ...] = ()
    python: str = ""
    """The interpreter that is configured for the workspace; empty: it is looked for."""
    commands: dict[str, int] = {}
    lint: Callable[[str, str], Awaitable[str]] | None = None
    """Takes a path and the text that is about to be written there; what a linter says of it, in words."""
    parse: bool = True
    """Where no linter says anything, a text is parsed before it is written."""
    expect: Callable[[str, str | None], None] | None = None
    """Takes a path that a call on its way will write, and the new text where that is known; never waits."""


Output = Callable[[str], None]
"""Takes a piece of live output for the screen."""


class Tool(Protocol):
    """A tool; instances hold no state of a call."""

    name: ClassVar[str]
    description: ClassVar[str]
    """For the model; as short as it can be."""
    parameters: ClassVar[dict[str, Any]]
    """JSON schema of the arguments. At most one key besides `type` per property: some chat
    templates print several in random order and so break the prefix cache."""

    def access(self, arguments: dict[str, Any], context: ToolContext) -> Access:
        """What the call touches. Raises ToolError for a path that the guard refuses."""
        ...

    async def plan(self, arguments: dict[str, Any], context: ToolContext, output: Output) -> Plan:
        """Look, and say what would be done. Arguments are already checked against `parameters`."""
        ...
