"""Somebody changes files while the agent works."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from jetbox.engine import events as e
from jetbox.sim.launch import ServerProcess
from jetbox.ui.model import SessionView
from scripted import step
from stories.kit import Place

Play = Callable[..., tuple[Place, ServerProcess]]


def test_what_the_user_changes_is_in_the_journal_for_every_screen(play: Play) -> None:
    place, server = play(step(text="One two three four."), faults=["stall@1:2"])
    running = place.stream("Count")
    server.stats(stalled=1)
    told = threading.Event()

    def type_away() -> None:
        # Files are watched some time after the request; nothing says so from outside.
        number = 0
        while not told.wait(0.05):
            number += 1
            (place.folder / f"notes-{number}.md").write_text("mine")

    user = threading.Thread(target=type_away)
    user.start()
    try:
        line = running.until("files.changed")
    finally:
        told.set()
        user.join()
    assert line["by"] == "you"
    ended = running.signal(signal.SIGINT)
    assert ended.code == 130
    event = place.events(e.FilesChanged)[0]
    assert event.by == "you"
    path = event.changes[0].path
    assert path.startswith("notes-")
    view = SessionView()
    for stamped in place.recording().events:
        view.apply(stamped)
    assert (view.files[path].by, view.files[path].change.kind) == ("you", event.changes[0].kind)
