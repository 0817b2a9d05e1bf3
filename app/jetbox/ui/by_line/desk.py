"""What is typed, a line at a time: goals, words for the running one, answers, commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from jetbox.engine import commands, sizes
from jetbox.engine import events as e
from jetbox.engine.errors import JetboxError
from jetbox.engine.session import SessionSource
from jetbox.ui import words
from jetbox.ui.by_line.begun import Begun
from jetbox.ui.by_line.told import ANSWERS, Told, how_to_answer
from jetbox.ui.commands import COMMANDS, find, is_command, run_line
from jetbox.ui.grace import GRACE_NS
from jetbox.ui.prompts import Prompts
from jetbox.ui.reasons import reason
from jetbox.ui.text.rows import one_line

ANSWER: dict[str, Literal["once", "session", "always", "no"]] = {
    "y": "once", "yes": "once", "s": "session", "a": "always", "n": "no", "no": "no",
}  # fmt: skip


def answer_of(asked: e.PermissionAsked | e.QuestionAsked | None, text: str) -> commands.Answer | commands.Reply | None:
    """The answer that a line gives to what is asked; None where it is something else."""
    if isinstance(asked, e.PermissionAsked):
        said = ANSWER.get(text.lower())
        return commands.Answer(asked.id, said) if said is not None else None
    if asked is None or text.startswith("!") or (text.startswith("/") and find(text[1:].partition(" ")[0])):
        return None
    chosen = int(text) if text.isdecimal() and len(text) < 3 else 0
    return commands.Reply(asked.id, asked.choices[chosen - 1] if 0 < chosen <= len(asked.choices) else text)


class LineDesk:
    """Hands on what the user types; knows the session from its events alone."""

    def __init__(self, told: Told, source: SessionSource, sessions: Path, *, grace: bool = True) -> None:
        """`sessions` is the folder of all recordings; `grace`: an answer that comes at once was not meant as one."""
        self.begun = Begun()
        self.missing: e.ModelMissing | None = None
        """A model that cannot be used, while there is no answer to that."""
        self._grace = GRACE_NS if grace else 0
        self._told = told
        self._source = source
        self._sessions = sessions
        self._prompts = Prompts()
        self._asked_at = 0
        self._writing: asyncio.Future[None] | None = None
        self.settled: Callable[[], object] = bool
        """Told when something of its own has ended that no event tells of."""
        self._wanted = ""
        """What was asked for and is told when it comes: `models`, `held` or `undo`."""

    def note(self, stamped: e.Stamped, *, past: bool = False) -> None:
        """Take an event, after it was told; `past`: it is an earlier process's."""
        self._prompts.take(stamped)
        self.begun.take(stamped.event, past=past)
        match stamped.event:
            case e.PermissionAsked() | e.QuestionAsked():
                self._asked_at = stamped.t
            case e.ModelMissing() as missing:
                self.missing = missing
                if missing.there:
                    self.word(f"there are: {', '.join(missing.there)}")
            case e.ModelReady():
                self.missing = None
            case e.ModelsListed() as listed if self._wanted in ("models", "held"):
                self._wanted, held = "", self._wanted == "held"
                self._say_held() if held else self._say_models(listed)
            case e.UndoPlanned() as plan if self._wanted == "undo":
                self._wanted = ""
                self._say_undo(plan)
            case _:
                pass

    def take(self, line: str) -> None:
        """A line was typed."""
        text = line.strip()
        question = next(iter(self._told.view.asked.values()), None)
        answer = answer_of(question, text)
        if question is not None and answer is not None:
            if self._source.now() - self._asked_at >= self._grace:
                self.submit(answer)
            else:
                self.word(f"that came too soon after the question: {how_to_answer(question)}")
            return
        if not text:
            return
        if self.missing is not None and text == "p" and self.missing.pull:
            self.submit(commands.PullModel(self.missing.pull))
        elif is_command(text):
            run_line(self, text)
        elif text.startswith("!"):
            self._shell(text[1:].strip())
        elif self.busy:
            self.submit(commands.Steer(text))
        else:
            self.submit(commands.Goal(text))
        if question is not None:
            self.word(f"the question still waits: {how_to_answer(question)}")

    def give_up(self) -> None:
        """Nobody will type any more: what is asked gets no answer."""
        for question in self._told.view.asked.values():
            refused = isinstance(question, e.PermissionAsked)
            self.submit(commands.Answer(question.id, "no") if refused else commands.Reply(question.id))

    def _shell(self, command: str) -> None:
        if not command:
            self.word("say what to run: !COMMAND")
        elif self.begun.shell:
            self.word("a command of yours runs already: Ctrl+C stops it")
        else:
            self.submit(commands.RunShell(command))

    def interrupt(self) -> bool:
        """Stop what runs, the user's own command before the goal; False where nothing does."""
        if self._told.view.shells:
            self.submit(commands.StopShell())
            self.word("stopping your command")
        elif self.busy:
            self.submit(commands.Cancel())
            self.word("stopping: what was streamed is kept")
        elif self._told.view.pulls:
            self.submit(commands.StopPull(next(iter(self._told.view.pulls))))
            self.word("stopping: the server keeps what it has of the model")
        else:
            return False
        return True

    @property
    def mode(self) -> e.Mode:
        return self._told.view.mode

    @property
    def busy(self) -> bool:
        return self._told.view.running

    def submit(self, command: commands.AnyCommand) -> None:
        self.begun.submitted(command)
        self._source.submit(command)

    def word(self, text: str, style: str = "warning") -> None:
        self._told.say(text)

    def show_help(self) -> None:
        self.word(
            "A line is a goal, or words for the running one. Ctrl+C stops what runs; twice where nothing runs: quit."
        )
        self.word(f"!COMMAND runs a command of yours. A permission is answered by a line: {ANSWERS}.")
        for command in COMMANDS:
            self.word(f"{command.usage}: {command.description}")

    def show_models(self) -> None:
        self._wanted = "models"
        self.submit(commands.ListModels(anew=True))

    def switch_model(self, name: str, *, now: bool) -> None:
        if self.busy:
            self.word(f"{'now' if now else 'from the next round on'}: {name}")
        self.submit(commands.SetModel(name, now=now))

    def switch_phase(self) -> None:
        if self.busy and self._told.view.phase:
            self.word("from the next round on: the other phase")
        self.submit(commands.SwitchPhase())

    def show_why(self) -> None:
        from jetbox.ui.why import why

        for _, text in why(self._told.view):
            self.word(text)

    def show_undo(self) -> None:
        self._wanted = "undo"
        self.submit(commands.PlanUndo())

    def show_context(self) -> None:
        from jetbox.ui.accounts import context_words

        for text in context_words(self._told.view, self._prompts):
            self.word(text)

    def show_held(self) -> None:
        self._wanted = "held"
        self.submit(commands.ListModels(anew=True))

    def export(self, name: str) -> None:
        """Write the session as Markdown, beside whatever runs."""
        self.begun.own += 1
        self._writing = asyncio.ensure_future(self._export(name, self._writing))

    async def _export(self, name: str, before: asyncio.Future[None] | None) -> None:
        from jetbox.ui.export import export

        if before is not None:
            await before
        try:
            path = await asyncio.to_thread(export, self._told.view.id, self._sessions, name)
            self.word(f"exported: {path}")
        except (OSError, JetboxError) as error:
            self.word(f"not exported: {reason(error)}")
        self.begun.own -= 1
        self.settled()

    def show_timing(self) -> None:
        """Each round in a line, and the medians."""
        rounds = [each for each in self._told.view.rounds if not each.open]
        for each in rounds:
            ttft = f", first token {words.duration(each.ttft)}" if each.ttft >= 0 else ""
            said = f"model {words.duration(each.llm)}{ttft}, probes waited for {words.duration(each.exposed)}"
            self.word(f"round {each.number}: {words.duration(each.wall)}, {each.tier}: {said}")
        if not rounds:
            self.word("no round has ended yet")
            return
        walls = sorted(each.wall for each in rounds)
        self.word(f"median {words.duration(walls[len(walls) // 2])} of {words.plural(len(walls), 'round')}")
        for text in self._told.view.probing_words:
            self.word(text)

    def ask_round(self) -> None:
        self._elsewhere("going to a round", "what was told stands above")

    def go_to_round(self, number: int) -> None:
        self.ask_round()

    def show_request(self) -> None:
        self._elsewhere("the exact request")

    def show_settings(self) -> None:
        self._elsewhere("settings", "`jetbox-tui config show` tells them")

    def show_sessions(self) -> None:
        self._elsewhere("the list of sessions", "leave, and start with --resume")

    def replay(self, name: str) -> None:
        self._elsewhere("a replay", f"leave, and start `jetbox-tui replay {name or 'SESSION'} --plain`")

    def switch_theme(self, name: str) -> None:
        self._elsewhere("a theme")

    def toggle_expanded(self) -> None:
        self._elsewhere("folding")

    def leave(self) -> None:
        self.submit(commands.Close())

    def _elsewhere(self, what: str, hint: str = "") -> None:
        """Something that only the screen has."""
        self.word(f"{what} needs the screen" + (f"; {hint}" if hint else ""))

    def _say_models(self, listed: e.ModelsListed) -> None:
        from jetbox.ui.lineup import LOADING

        for text in (listed.problem, LOADING if listed.loading else ""):
            if text:
                self.word(text)
        for model in listed.models:
            parts = [sizes.size(model.size)] if model.size else []
            parts += ["loaded"] if model.loaded else []
            parts += [f"{'about ' * model.clocked}{model.decode:.0f} tokens a second here"] if model.decode else []
            parts += [model.lacks] if model.lacks else []
            self.word(f"{one_line(model.name)}: {', '.join(parts) or 'installed'}")
        self.word("/model NAME switches from the next round on, /model NAME now at once")

    def _say_held(self) -> None:
        from jetbox.ui.accounts import held_words, usage_words

        view = self._told.view
        for text in [*held_words(view.listed, self._source.now()), *usage_words(view.ended)]:
            self.word(text)

    def _say_undo(self, plan: e.UndoPlanned) -> None:
        if not plan.round:
            self.word("there is nothing to undo")
            return
        for each in plan.rounds:
            self.word(f"round {each.round}: {words.plural(each.files, 'file')}, {one_line(each.title)}")
        changes = ", ".join(f"{one_line(file.path)} {file.kind}" for file in plan.files) or "no file"
        self.word(f"before round {plan.round}: {changes}; {words.plural(plan.messages, 'message')} out of the prompt")
        self.word(f"/undo {plan.round} goes back to before it")
