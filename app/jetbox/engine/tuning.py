"""Changes options while a session runs: those of the loop, which are read when a goal begins."""

from __future__ import annotations

import msgspec

from jetbox.engine.commands import AnyCommand, SetOption
from jetbox.engine.events import Notice, OptionChanged
from jetbox.engine.options import LoopOptions
from jetbox.engine.parts import Parts

SECTION = "loop."


def changeable() -> tuple[str, ...]:
    """Options that a session takes another value of."""
    return tuple(SECTION + name for name in LoopOptions.__struct_fields__)


class TuningDesk:
    """Takes the command, and tells of what came of it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._parts.session.attend(self.take)

    def take(self, command: AnyCommand) -> bool:
        """Change the option; False for any other command."""
        if not isinstance(command, SetOption):
            return False
        parts = self._parts
        try:
            loop = self._with(command)
        except (msgspec.ValidationError, KeyError) as error:
            parts.session.emit(Notice(level="warning", text=f"{command.option} stays as it is: {error}"))
            return True
        parts.options = msgspec.structs.replace(parts.options, loop=loop)
        value = msgspec.json.encode(command.value).decode()
        parts.session.emit(OptionChanged(option=command.option, value=value))
        return True

    def _with(self, command: SetOption) -> LoopOptions:
        """The loop's options with the new value; raises what says that it is none."""
        if command.option not in changeable():
            raise KeyError(command.option)
        values = msgspec.structs.asdict(self._parts.options.loop)
        return msgspec.convert({**values, command.option.removeprefix(SECTION): command.value}, LoopOptions)
