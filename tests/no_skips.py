"""Fails a run with CI set when a test was skipped for any reason but another operating system."""

from __future__ import annotations

import os

import pytest

ALLOWED = ("needs macOS", "needs Windows")


def reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why the test was skipped, without pytest's own words."""
    text = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


class NoSkips:
    """Collects what was skipped; one object per run."""

    def __init__(self) -> None:
        self.skipped: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self.note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.note(report)

    def note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not reason(report).startswith(ALLOWED):
            self.skipped[report.nodeid] = reason(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.skipped:
            terminalreporter.section("skipped, which CI does not permit", red=True)
            for test, why in sorted(self.skipped.items()):
                terminalreporter.write_line(f"{test}: {why}")


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("CI") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(NoSkips())
