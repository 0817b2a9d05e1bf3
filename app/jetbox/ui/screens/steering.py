"""What is typed and answered in the workbench becomes commands."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.dom import DOMNode

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.engine.safety.terminal import safe_text
from jetbox.ui.commands import Command, is_command, run_line
from jetbox.ui.completing import Completer
from jetbox.ui.footing import rests
from jetbox.ui.history import Memory
from jetbox.ui.screens.inquiring import Inquiring
from jetbox.ui.widgets.prompt import Prompt
from jetbox.ui.widgets.queue import Queue


class Steering(Inquiring):
    """What of the workbench asks something of its session."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "interrupt", "Interrupt", id="session.cancel", show=False),
        Binding("shift+tab", "next_mode", "Next mode", id="session.mode", show=False, priority=True),
        Binding("ctrl+l", "models", "Models", id="session.models", show=False, priority=True),
        Binding("f6", "phase", "The other phase: draft or refine", id="session.phase", show=False, priority=True),
    ]
    memory: Memory
    completer: Completer
    queue: Queue
    key_names: dict[str, str]
    """Keys by the ids under which they can be changed."""
    _wanted = ""
    """Words that were asked back, to be edited."""
    over_because: str
    """Why nothing can be asked of the session any more."""

    def was_typed(self) -> None:
        """The input has another text."""
        raise NotImplementedError

    @property
    def mode(self) -> e.Mode:
        return self.view.mode

    def submit(self, command: commands.AnyCommand) -> None:
        """Hand a command to the session."""
        if not self.live:
            self.word("this only looks on: nothing can be asked of it")
        elif self.over_because:
            self.word(f"the session is over: {self.over_because}", "failed")
        else:
            self.source.submit(command)

    def come_back(self, here: bool) -> None:
        """The terminal is looked at again: a model that was unloaded meanwhile is loaded while a goal is typed."""
        held = self.view.held
        if not (here and self.live and held) or self.view.running or self.over_because:
            return
        if not held.loaded or 0 < held.expires <= self.source.now():
            self.source.submit(commands.Rewarm())

    def start_command(self, command: Command) -> None:
        """Carry out a command, or begin its line where it needs an argument."""
        if command.argument and not command.argument.startswith("["):
            self.prompt.clear()
            self.prompt.write(f"/{command.name} ")
            self.prompt.focus()
        else:
            command.run(self, "")

    @on(Prompt.Sent)
    def _sent(self, message: Prompt.Sent) -> None:
        text = message.text
        self.memory.keep(text)
        self.transcript.action_scroll_to_end()
        if is_command(text) and not message.now:
            run_line(self, text)
        elif text.startswith("!") and not message.now:
            self._run_shell(text[1:].strip())
        elif self.busy:
            self.submit(commands.Steer(text, now=message.now))
        else:
            self.submit(commands.Goal(text))

    def show_queue(self) -> None:
        """What was typed and waits, and the keys that take it back."""
        items = self.view.queue
        self.prompt.waiting = self.live and bool(items)
        wanted = (("input.earlier", "edits"), ("input.drop", "removes")) if self.live else ()
        keys = tuple((self.key_names[name], does) for name, does in wanted if name in self.key_names)
        self.queue.show(items, running=self.view.running, keys=keys)

    @on(Prompt.Over)
    def _over(self) -> None:
        """Nothing that runs is ended by it."""
        if self.busy:
            self.word(f"a goal runs: {self.key_names['app.quit']} twice quits")
        else:
            self.leave()

    @on(Prompt.WantedBack)
    def _wanted_back(self, message: Prompt.WantedBack) -> None:
        if self.view.queue:
            self._take_back(self.view.queue[-1], edit=message.edit)

    @on(Queue.Chosen)
    def _queued_clicked(self, message: Queue.Chosen) -> None:
        if self.live and not self.prompt.text:
            self._take_back(message.text, edit=True)

    def _take_back(self, text: str, *, edit: bool) -> None:
        """Have it taken out; where it is to be edited, it comes when the session says that it is out."""
        self._wanted = text if edit else ""
        self.submit(commands.Unqueue(text))
        if not edit:
            self.word("taken out of what waits", "dim")

    def came_back(self, event: e.AnyEvent) -> None:
        """What was asked back is out of the queue, or was said before."""
        if not self._wanted:
            return
        if isinstance(event, e.Steered) and event.text == self._wanted:
            self._wanted = ""
            self.word("that was said already")
        elif isinstance(event, e.QueueChanged):
            text, self._wanted = self._wanted, ""
            self.prompt.focus()
            self.prompt.write(safe_text(text))

    def _run_shell(self, command: str) -> None:
        """Run a command of the user's; what it prints comes as events."""
        if not command:
            self.word("say what to run: !COMMAND")
        elif self.view.shells:
            self.word(f"a command of yours runs already: {self.key_names['session.cancel']} stops it")
        else:
            self.submit(commands.RunShell(command))

    def typed(self, text: bool) -> None:
        """The cursor moved in the input, or (`text`) the input has another text."""
        self.completer.typed()
        if text:
            self.show_way()
            self.was_typed()

    def action_interrupt(self) -> None:
        """Close what is offered; stop the goal; where none runs, go back to the input."""
        if self.completer.drop():
            return
        if self.live and self.view.shells:
            self.submit(commands.StopShell())
            self.word("stopping your command", "dim", until=(e.ShellEnded,))
        elif self.live and self.busy:
            self.submit(commands.Cancel())
            self.word("stopping: what was streamed is kept", "dim", until=(e.GoalEnded,))
        elif self.live and rests(self.view):
            self.submit(commands.Cancel())
            self.word("stopping", "dim", until=(e.Notice,))
        elif self.live and self.view.pulls:
            self.stop_pull(next(iter(self.view.pulls)))
        else:
            self.home_focus()
            if self.live:
                self.escape_twice()

    def stop_pull(self, name: str) -> None:
        """Have no more of a model fetched."""
        self.submit(commands.StopPull(name))
        self.word(f"stopping: the server keeps what it has of {name}", "dim", until=(e.ModelPulled,))

    def action_next_mode(self) -> None:
        run_line(self, "/mode")

    def action_phase(self) -> None:
        if self.live and self.on_top:
            run_line(self, "/phase")

    def switch_phase(self) -> None:
        """Draft or refine from the next round on; without such a goal, the other of the two models."""
        self.submit(commands.SwitchPhase())
        if self.live and not self.over_because and self.busy and self.view.phase:
            self.word("from the next round on: the other phase", "accent")

    def action_models(self) -> None:
        self.show_models()

    def show_models(self) -> None:
        """What the server has; a recording shows what was told then."""
        from jetbox.ui.screens.models import Models

        if not self.on_top:
            return
        if not self.live and self.view.listed is None:
            self.word("nothing was told of the models here")
            return
        self.app.push_screen(Models(self))

    def switch_model(self, name: str, *, now: bool) -> None:
        self.submit(commands.SetModel(name, now=now))
        if self.live and not self.over_because:
            when = "now" if now or not self.busy else "from the next round on"
            self.word(f"{when}: {name}", "accent", until=(e.ModelSwitched, e.ModelReady, e.ModelMissing, e.Notice))

    @property
    def keyed(self) -> tuple[DOMNode, ...]:
        node = self.bar if self.bar is not None else self.transcript
        if not self.live:
            return (node,)
        dialogs = (self.permission,) if self.reply is None else (self.permission, self.reply)
        return (self.prompt, node, *dialogs)
