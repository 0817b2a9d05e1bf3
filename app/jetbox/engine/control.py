"""What the user wants while a goal runs: words, answers, an interruption, another mode."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Literal

import msgspec

from jetbox.engine.commands import (
    Answer,
    AnyCommand,
    Cancel,
    Close,
    Compact,
    Drawn,
    EditQueue,
    Goal,
    Label,
    Reply,
    SendAgain,
    SetMode,
    SetModel,
    Steer,
    Unqueue,
)
from jetbox.engine.errors import ExitCode, JetboxError, PermissionRefused
from jetbox.engine.events import (
    ModeChanged,
    Notice,
    PermissionAnswered,
    PermissionAsked,
    QuestionAnswered,
    QuestionAsked,
    QueueChanged,
    RoundDrawn,
    SessionLabelled,
    Steered,
    ToolHeld,
)
from jetbox.engine.models.names import misnamed
from jetbox.engine.safety.permissions import Permissions
from jetbox.engine.safety.secrets import Redactor
from jetbox.engine.safety.terminal import visible
from jetbox.engine.session import Session
from jetbox.engine.tools.base import Plan, Question

TITLE_CHARS = 80
LABEL_CHARS = 80
BROKEN = "interrupted"


class Asked(msgspec.Struct, frozen=True):
    """An answer."""

    allowed: bool
    reason: str


class Wish(msgspec.Struct, frozen=True):
    """Another model, and why."""

    name: str
    reason: Literal["user", "routing", "escalation"] = "user"
    why: str = ""


class Control:
    """Takes commands at once; the loop looks at round boundaries, an interruption strikes at once."""

    def __init__(self, session: Session, permissions: Permissions, redactor: Redactor, *, attended: bool) -> None:
        """`attended` is False where nobody can answer: a needed question is then a refusal."""
        self._session = session
        self._redactor = redactor
        self._permissions = permissions
        self.attended = attended
        self._queue: list[str] = []
        self._open: dict[str, asyncio.Future[Answer | Reply]] = {}
        self._one_dialog = asyncio.Lock()
        self._asked = 0
        self.interrupt: Callable[[], object] | None = None
        """Set by the loop while a round runs."""
        self.leave_off: Callable[[], object] | None = None
        """Ends what is done between two goals; set while that can be ended."""
        self.again: Callable[[], object] | None = None
        """Takes the request back and sends it once more; set while one is waited for."""
        self.compact = False
        """The history is to be made shorter before the next request."""
        self.cancelled = False
        self.closing = False
        self.cancel_code = int(ExitCode.INTERRUPTED)
        """Exit code of the goal that was cancelled."""
        self.failure: JetboxError | None = None
        """Set where a question could not be asked, or the folder failed us: the goal ends with it."""
        self.wish: Wish | None = None
        """The model that is wanted next."""
        self.chosen = False
        """The user chose a model for this goal, or for the one that comes."""
        self.settled = False
        """And it was gone over to: another choice that cannot be met leaves that one in force."""
        self.at_once: Callable[[Wish], None] | None = None
        """Cuts the round for a model, where that can be used."""
        self.turn = False
        """The user wants the other phase of the goal."""
        self.choices = 0
        """How often the user chose a model."""
        self.choice = ""
        """The one that they chose last."""
        self._named: asyncio.Future[None] | None = None
        """Somebody waits for the name of a model."""
        self._waited = 0
        self._asking_since = -1

    def take(self, command: AnyCommand) -> bool:
        """Act on a command; False where it is for somebody else."""
        match command:
            case Answer() | Reply():
                future = self._open.get(command.id)
                if future is not None and not future.done():
                    future.set_result(command)
            case Drawn():
                if not (self.closing or self._session.closed):
                    drawn = RoundDrawn(round=command.round, drawing_ns=command.drawing_ns, frames=command.frames)
                    self._session.emit(drawn, command.round)
            case SetMode():
                self._permissions.mode = command.mode
                self._session.emit(ModeChanged(mode=command.mode))
            case Label():
                label = " ".join(visible(self._redactor.redact(command.text)).split())[:LABEL_CHARS]
                self._session.emit(SessionLabelled(label=label))
            case SetModel() if why := misnamed(command.name):
                text = f"no model can have the name {visible(command.name)!r}: {why}"
                self._session.emit(Notice(level="warning", text=text, hint="/models lists what the server has"))
            case SetModel():
                self.wish, self.chosen = Wish(command.name), True
                self.choices, self.choice = self.choices + 1, command.name
                if self.interrupt is None:
                    return False  # nothing runs: whoever waits for commands sees to it
                if self._named is not None:
                    self._name()
                elif command.now and self.at_once is not None:
                    self.at_once(self.wish)
                elif command.now:
                    self.interrupt()
            case Goal() | Steer() if self.interrupt is not None:
                self._set_queue([*self._queue, command.text])
                if isinstance(command, Steer) and command.now:
                    self.interrupt()
            case EditQueue():
                self._set_queue(list(command.items))
            case Unqueue():
                if command.text in self._queue:
                    at = len(self._queue) - 1 - self._queue[::-1].index(command.text)
                    self._set_queue([*self._queue[:at], *self._queue[at + 1 :]])
            case Cancel():
                self._end_goal()
            case SendAgain():
                if self.again is not None:
                    self.again()
            case Compact():
                if self.interrupt is None:
                    return False
                self.compact = True
            case Close():
                self.closing = True
                self.cancel_code = command.code
                self._end_goal()
                return False
            case _:
                return False
        return True

    def _end_goal(self) -> None:
        """End the goal that runs; where none does, what is done between two."""
        if self.interrupt is not None:
            self.cancelled = True
            self.interrupt()
        elif self.leave_off is not None:
            self.leave_off()

    async def model_named(self) -> None:
        """Wait until the user wishes for a model, or for the request to be sent again."""
        self._named = asyncio.get_running_loop().create_future()
        self.again = self._name
        self._asking_since = self._session.now()
        try:
            await self._named
        finally:
            self._waited, self._asking_since = self.waited_ns, -1
            self._named = self.again = None

    def _name(self) -> None:
        if self._named is not None and not self._named.done():
            self._named.set_result(None)

    def over(self) -> None:
        """The goal is: what a rule wanted ends with it, what the user chose in its last round is for the next one."""
        self.interrupt = None
        if self.wish is not None and self.wish.reason != "user":
            self.wish = None
        self.chosen = self.wish is not None
        self.turn = self.settled = False

    @property
    def waited_ns(self) -> int:
        """All the time that a question was open, the present one included."""
        open_for = self._session.now() - self._asking_since if self._asking_since >= 0 else 0
        return self._waited + open_for

    def _set_queue(self, items: list[str]) -> None:
        self._queue = items = [self._redactor.redact(text) for text in items]
        self._session.emit(QueueChanged(items=tuple(items)))

    def requeue(self, items: Sequence[str]) -> None:
        """Take up what was queued when an earlier process of the session died; the journal has it already."""
        self._queue = list(items)

    @property
    def words_waiting(self) -> bool:
        """True where something is queued for the next round."""
        return bool(self._queue)

    def words(self) -> list[str]:
        """What was queued; it is taken out, and the journal told that it entered the prompt."""
        words, self._queue = self._queue, []
        for text in words:
            self._session.emit(Steered(text=text))
        if words:
            self._session.emit(QueueChanged(items=()))
        return words

    async def ask(self, plan: Plan, tool: str, call: str, why: str) -> Asked:
        """Ask the user about a plan, one question at a time, and remember a lasting answer."""
        async with self._turn(call):
            if self._permissions.decide(plan, tool).answer == "allow":
                return Asked(True, "")  # the answer to an earlier question, or another mode, settled it
            self._asked += 1
            number = f"p{self._session.round}.{self._asked}"
            self._session.emit(
                PermissionAsked(
                    id=number,
                    call=call,
                    kind="command" if plan.kind == "command" else "write" if plan.kind == "write" else "read",
                    title=visible(self._redactor.redact(plan.title)),
                    diff=visible(self._redactor.redact(plan.diff)),
                    why=why,
                    scope=visible(self._permissions.scope_words(plan, tool)),
                )
            )
            if not self.attended:
                self._session.emit(PermissionAnswered(id=number, answer="no", by="policy", reason="nobody can answer"))
                self.failure = PermissionRefused(
                    f"{_short(plan.title)}: this needs a permission, and without a screen nobody can give it",
                    "no sandbox holds here: install bubblewrap, or pass --no-sandbox --yolo"
                    if why.startswith("no sandbox")
                    else "pass --yolo or --mode auto"
                    if plan.kind == "command"
                    else "permissions.read_outside can allow its folder"
                    if plan.kind == "read"
                    else "pass --mode edits, --mode auto or --yolo",
                )
                return Asked(False, "nobody can answer")
            answer = await self._answer(number, PermissionAnswered(id=number, answer="no", by="limit", reason=BROKEN))
            assert isinstance(answer, Answer)
            grant = self._permissions.remember(plan, tool, answer.answer)
            self._session.emit(PermissionAnswered(id=number, answer=answer.answer, reason=answer.reason, grant=grant))
        await self._session.sync()
        return Asked(answer.answer != "no", answer.reason)

    async def inquire(self, question: Question, call: str) -> str:
        """Ask the user what the model wants to know, when no other question is open; empty: there is no answer."""
        async with self._turn(call):
            self._asked += 1
            number = f"q{self._session.round}.{self._asked}"
            self._session.emit(
                QuestionAsked(
                    id=number,
                    call=call,
                    question=visible(self._redactor.redact(question.text)),
                    choices=tuple(visible(self._redactor.redact(choice)) for choice in question.choices),
                )
            )
            reply = await self._answer(number, QuestionAnswered(id=number, by="limit"))
            assert isinstance(reply, Reply)
            text = visible(self._redactor.redact(reply.text.strip()))
            self._session.emit(QuestionAnswered(id=number, text=text))
        await self._session.sync()
        return text

    @asynccontextmanager
    async def _turn(self, call: str) -> AsyncIterator[None]:
        """One question at a time; who waits for another one's answer says so."""
        held = self._one_dialog.locked()
        if held:
            self._session.emit(ToolHeld(call=call))
        async with self._one_dialog:
            if held:
                self._session.emit(ToolHeld(call=call, held=False))
            yield

    async def _answer(self, number: str, broken: PermissionAnswered | QuestionAnswered) -> Answer | Reply:
        """What the user says; where it is not waited for to the end, the journal is told that it broke off."""
        future: asyncio.Future[Answer | Reply] = asyncio.get_running_loop().create_future()
        self._open[number] = future
        self._asking_since = self._session.now()
        try:
            return await future
        except asyncio.CancelledError:
            self._session.emit(broken)
            raise
        finally:
            self._waited, self._asking_since = self.waited_ns, -1
            del self._open[number]


def _short(title: str) -> str:
    """Enough to know which call is meant; its question and its result say the rest."""
    return title if len(title) <= TITLE_CHARS else title[: TITLE_CHARS - 1] + "…"
