"""What the outside asks of a session: plain data, handed to `submit`."""

from __future__ import annotations

from typing import Literal

import msgspec

from jetbox.engine.events import Mode


class Command(msgspec.Struct, frozen=True, tag_field="type"):
    """A wish."""


class Goal(Command, frozen=True, tag="goal"):
    """Work on this; while another goal runs it is steering."""

    text: str


class Steer(Command, frozen=True, tag="steer"):
    """The user's words for the running goal: at the next round boundary, or at once."""

    text: str
    now: bool = False


class EditQueue(Command, frozen=True, tag="edit_queue"):
    """Replace what is queued."""

    items: tuple[str, ...]


class Unqueue(Command, frozen=True, tag="unqueue"):
    """Take these words out of the queue, the newest of that text; nothing where they have been said."""

    text: str


class Answer(Command, frozen=True, tag="answer"):
    """The answer to a `PermissionAsked`."""

    id: str
    answer: Literal["once", "session", "always", "no"]
    reason: str = ""


class Reply(Command, frozen=True, tag="reply"):
    """The answer to a `QuestionAsked`."""

    id: str
    text: str = ""
    """Empty: there is none."""


class Drawn(Command, frozen=True, tag="drawn"):
    """The screen tells what it took to show a round that is over; for the record."""

    round: int
    drawing_ns: int
    frames: int


class Cancel(Command, frozen=True, tag="cancel"):
    """Interrupt the running goal; what was streamed is kept."""


class SendAgain(Command, frozen=True, tag="send_again"):
    """Take the request back that is waited for, and send it once more."""


class Compact(Command, frozen=True, tag="compact"):
    """Make the history shorter with a summary: now, or before the next request."""


class SetMode(Command, frozen=True, tag="set_mode"):
    mode: Mode


class SetModel(Command, frozen=True, tag="set_model"):
    """Use another model: from the next round on, or at once."""

    name: str
    now: bool = False


class SwitchPhase(Command, frozen=True, tag="switch_phase"):
    """The other phase from the next round on, where a rule goes by phases; else the other one of the two models that
    are named for rules.
    """


class ListModels(Command, frozen=True, tag="list_models"):
    """Tell what the server has, with what a switch would cost; `anew`: whatever was told before."""

    anew: bool = False


class WarmModel(Command, frozen=True, tag="warm_model"):
    """Have a model loaded, with the session's options."""

    name: str


class Rewarm(Command, frozen=True, tag="rewarm"):
    """The user is back: have the model in use ready again, where the server has unloaded it meanwhile."""


class UnloadModel(Command, frozen=True, tag="unload_model"):
    """Have a model taken out of the server's memory."""

    name: str


class PullModel(Command, frozen=True, tag="pull_model"):
    """Have the server fetch a model; `use`: and use it then."""

    name: str
    use: bool = True


class StopPull(Command, frozen=True, tag="stop_pull"):
    """Fetch a model no further; the server keeps what it has of it."""

    name: str


class RunShell(Command, frozen=True, tag="run_shell"):
    """Run a command of the user's in the workspace, beside a goal or between two; one at a time."""

    command: str


class StopShell(Command, frozen=True, tag="stop_shell"):
    """End the user's command that runs."""


class RunProbes(Command, frozen=True, tag="run_probes"):
    """Run all probes now, whole."""


class PlanUndo(Command, frozen=True, tag="plan_undo"):
    """Tell what going back to before a round would change; 0: the last goal's first round."""

    round: int = 0


class Undo(Command, frozen=True, tag="undo"):
    """Have files, messages or both as they were before a round; not while a goal runs."""

    round: int = 0
    """0: the last goal's first round."""
    files: bool = True
    messages: bool = True
    force: bool = False
    """Also files that were changed by somebody else since."""


class Clear(Command, frozen=True, tag="clear"):
    """Forget what was said: the prompt begins anew, files stay as they are."""


class SetOption(Command, frozen=True, tag="set_option"):
    """Another value of a limit of goals, from the next one on."""

    option: str
    """Such as `loop.max_rounds`."""
    value: bool | int | float


class Label(Command, frozen=True, tag="label"):
    """Call the session something."""

    text: str


class Close(Command, frozen=True, tag="close"):
    """End the session in good order."""

    code: int = 130
    """Exit code of a goal that this interrupts: 130, or what a signal stands for."""


AnyCommand = (
    Goal
    | Steer
    | EditQueue
    | Unqueue
    | Answer
    | Reply
    | Drawn
    | Cancel
    | SendAgain
    | Compact
    | SetMode
    | SetModel
    | SwitchPhase
    | ListModels
    | WarmModel
    | Rewarm
    | UnloadModel
    | PullModel
    | StopPull
    | RunShell
    | StopShell
    | RunProbes
    | PlanUndo
    | Undo
    | Clear
    | Label
    | SetOption
    | Close
)
