"""Tells of each code that begins to run, by the cheapest hook that nobody else uses.

The source of this module is handed to the workspace's interpreter behind that of `inside`; it
imports nothing but the standard library, and runs on Python 3.8 and later.
"""
# ruff: noqa: UP006, UP035 - annotations are evaluated by old interpreters

import sys
import threading
from typing import Any, Callable, Set, Tuple


def hooks(foreign: Set[str], places: Set[Any], called: Callable[[Any, Any], bool]) -> Tuple[Any, Any]:
    """For tracing and profiling: they run at every call, so that each look-up counts.

    A look at `f_code`, and even `id`, is an event for audit hooks; these are none.
    """

    def traced(frame: Any, event: str, argument: Any) -> None:
        file = frame.f_globals.get("__file__")
        if file not in foreign and (file, frame.f_lineno) not in places:
            called(frame.f_code, frame)

    def profiled(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            traced(frame, event, argument)

    return traced, profiled


class Calls:
    """By `sys.monitoring` where there is one, else by the trace hook, else by the profile hook."""

    def __init__(self, touched: Any) -> None:
        """`touched` is asked of each code, by `called`, unless it says that nothing is new there."""
        self._touched = touched
        self._tool = -1
        self.way = ""
        self._traced, self._profiled = hooks(touched.foreign, touched.places, touched.called)
        monitoring = getattr(sys, "monitoring", None)
        free = [tool for tool in (4, 3, 2) if monitoring.get_tool(tool) is None] if monitoring is not None else []
        if monitoring is not None and free:
            self.way, self._tool = "monitoring", free[0]
            monitoring.use_tool_id(self._tool, "touched")
            monitoring.register_callback(self._tool, monitoring.events.PY_START, self._monitored)
            monitoring.set_events(self._tool, monitoring.events.PY_START)
        elif sys.gettrace() is None:
            self.way = "trace"
        elif sys.getprofile() is None:
            self.way = "profile"
        self._set()

    def stop(self) -> None:
        """Give the hook back."""
        if self._tool >= 0:
            monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]  # since 3.12
            monitoring.set_events(self._tool, 0)
            monitoring.register_callback(self._tool, monitoring.events.PY_START, None)
            monitoring.free_tool_id(self._tool)
            self._tool = -1
        elif self.way == "trace" and sys.gettrace() == self._traced:
            threading.settrace(None)
            sys.settrace(None)
        elif self.way == "profile" and sys.getprofile() == self._profiled:
            threading.setprofile(None)
            sys.setprofile(None)

    def again(self) -> None:
        """Tell of codes that were told of before as well."""
        if self._tool >= 0:
            sys.monitoring.restart_events()  # type: ignore[attr-defined,unused-ignore]  # since 3.12

    def still_there(self) -> bool:
        """False where someone else took the hook; it is ours again then."""
        if self.way == "trace" and sys.gettrace() != self._traced:
            self._set()
            return False
        if self.way == "profile" and sys.getprofile() != self._profiled:
            self._set()
            return False
        return True

    def _set(self) -> None:
        if self.way == "trace":
            threading.settrace(self._traced)
            sys.settrace(self._traced)
        elif self.way == "profile":
            threading.setprofile(self._profiled)
            sys.setprofile(self._profiled)

    def _monitored(self, code: Any, offset: int) -> Any:
        told = self._touched.called(code, sys._getframe(1))
        return sys.monitoring.DISABLE if told else None  # type: ignore[attr-defined,unused-ignore]  # since 3.12
