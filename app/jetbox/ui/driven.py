"""The engine beside the screen: how it begins, and how both end, whoever asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from textual.app import App

from jetbox.engine.commands import Close
from jetbox.engine.endings import heard_endings
from jetbox.engine.errors import ExitCode, JetboxError
from jetbox.ui.screens.workbench import Workbench

HANGUP_S = 3.0
"""How long session and screen may take to end when the terminal hangs up."""
CLOSE_S = 5.0
"""How long the engine may take to end when the screen is gone."""


class Driven(App[int]):
    """An application whose engine is a task in the same loop; none where a recording is shown."""

    workbench: Workbench

    def __init__(
        self,
        driver: Callable[[], Coroutine[Any, Any, int]] | None,
        stop: Callable[[ExitCode], None] | None,
        *,
        ansi_color: bool | None,
    ) -> None:
        """`driver` is the engine's main coroutine, `stop` ends the session as a signal asks."""
        super().__init__(ansi_color=ansi_color)
        self.failure: BaseException | None = None
        self._driver_call = driver
        self._stop = stop
        self._engine: asyncio.Task[int] | None = None
        self._struck: ExitCode | None = None
        self._lent = False
        self._leaving = False

    def _start_engine(self) -> None:
        if self._driver_call is not None:
            self._engine = asyncio.create_task(self._driver_call(), name="engine")
            self._engine.add_done_callback(self._engine_ended)

    def leave(self) -> None:
        """End the session in good order, then the screen; asked twice, at once."""
        engine = self._engine
        if engine is None or engine.done():
            self.exit(int(self._code()))
        elif self._leaving:
            engine.cancel()
        else:
            self._leaving = True
            self.workbench.source.submit(Close())
            self.workbench.word("ending the session", "dim")

    def _engine_ended(self, task: asyncio.Task[int]) -> None:
        if task.cancelled():
            self.exit(int(self._struck or ExitCode.INTERRUPTED))
            return
        failure = task.exception()
        if failure is None:
            self.exit(int(self._struck or task.result()))
            return
        self.failure = failure
        if isinstance(failure, JetboxError) and not self._leaving:
            self.workbench.fail(failure.message, failure.hint)
        else:
            self.exit(int(self._code()))

    def _code(self) -> ExitCode:
        if self._struck is not None:
            return self._struck
        if self.failure is None:
            return ExitCode.DONE
        return self.failure.exit_code if isinstance(self.failure, JetboxError) else ExitCode.INTERNAL

    async def _end_engine(self) -> None:
        """The screen is gone: let the engine end in good order, then without asking."""
        engine = self._engine
        if engine is None or engine.done():
            return
        self.workbench.source.submit(Close())
        await asyncio.wait([engine], timeout=CLOSE_S)
        if not engine.done():
            engine.cancel()
            await asyncio.wait([engine], timeout=CLOSE_S)

    def _add_signals(self) -> None:
        for number, code in heard_endings().items():
            asyncio.get_running_loop().add_signal_handler(number, self._strike, code)

    def _remove_signals(self) -> None:
        for number in heard_endings():
            asyncio.get_running_loop().remove_signal_handler(number)

    @contextmanager
    def lend(self) -> Iterator[None]:
        """Meanwhile the terminal is another program's, and so is Ctrl+C, which it sends to both."""
        self._lent = True
        try:
            yield
        finally:
            self._lent = False

    def _strike(self, code: ExitCode) -> None:
        """A signal asks the session to end; a second one does not wait for it."""
        if self._lent and code is ExitCode.INTERRUPTED:
            return
        engine = self._engine
        again = self._struck is not None
        self._struck = self._struck or code
        if code is ExitCode.HANGUP and not again:
            self._end_without_a_terminal()
        if engine is None or engine.done():
            self.exit(int(code))
        elif again:
            engine.cancel()
        elif self._stop is not None:
            self._stop(code)
        else:
            self.workbench.source.submit(Close())

    def _end_without_a_terminal(self) -> None:
        """There is nothing to restore, and writing to a terminal that is gone can block for ever."""
        import os
        import threading

        last = threading.Timer(HANGUP_S, os._exit, (int(ExitCode.HANGUP),))
        last.name = "hang-up"
        last.daemon = True
        last.start()

    def _fatal_error(self) -> None:
        """Something broke on the screen: it ends, and who started it tells of it."""
        self.failure = self.failure or self._exception
        self._close_messages_no_wait()
