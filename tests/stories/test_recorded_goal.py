"""One goal of the shipped scripts, told as it happens: journal, requests, times, prompt."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jetbox.engine import events as e
from jetbox.record.recording import Recording, read_journal
from jetbox.record.requests import rebuild_all
from jetbox.sim.launch import ServerProcess
from jetbox.sim.workspaces import goal_for
from stories.kit import Ended, Place

pytestmark = pytest.mark.xdist_group("recorded goal")
SLACK_NS = 200_000
"""What may be left over of a round's time besides 1 %."""


class Story:
    """The mathx goal, run once for all tests of this file."""

    def __init__(self, place: Place, server: ServerProcess) -> None:
        stream = place.stream(goal_for("mathx"))
        self.ended: Ended = stream.end()
        self.place = place
        self.bodies = [entry["body"].encode() for entry in server.stats()["bodies"]]
        (self.session,) = place.sessions
        self.recording: Recording = read_journal(self.session)
        self.journal = (self.session / "journal.jsonl").read_bytes()

    def events(self, kind: type[Any]) -> list[Any]:
        return [s.event for s in self.recording.events if isinstance(s.event, kind)]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("story")
    with pytest.MonkeyPatch.context() as patch, ServerProcess(speed=0, scripts=["mathx"]) as server:
        for name in [n for n in os.environ if n.startswith(("JETBOX_", "OLLAMA_", "XDG_"))]:
            patch.delenv(name)
        patch.setenv("HOME", str(folder / "home"))
        patch.setenv("XDG_DATA_HOME", str(folder / "home" / "data"))
        (folder / "work").mkdir()
        yield Story(Place(folder / "work", server.url), server)


def test_it_does_the_work(story: Story) -> None:
    assert story.ended.code == 0, story.ended.err
    files = story.place.files()
    assert "def multiply" in files["mathx/arithmetic.py"]
    assert {"mathx/__init__.py", "tests/test_mathx.py"} < set(files)
    (ended,) = story.events(e.GoalEnded)
    assert (ended.outcome, ended.exit_code) == ("done", 0)
    last = {p.name: p for p in story.events(e.ProbeEnded)}
    assert {name: p.state for name, p in last.items()} == {"ruff": "passed", "pytest": "passed"}
    assert last["pytest"].cache == "hit"


def test_every_line_of_the_stream_is_the_journals_own(story: Story) -> None:
    assert story.ended.out.encode() == story.journal
    assert story.ended.err == ""
    assert not story.recording.problems
    assert [s.seq for s in story.recording.events] == list(range(len(story.recording.events)))
    assert json.loads(story.journal.splitlines()[-1])["event"]["type"] == "session.closed"


def test_every_request_can_be_rebuilt_as_the_server_received_it(story: Story) -> None:
    rebuilt = [body for _, body in rebuild_all(story.recording)]
    assert rebuilt == story.bodies
    assert len(rebuilt) >= 5


def test_the_prompt_is_append_only(story: Story) -> None:
    def stable(body: bytes) -> bytes:
        return body[: body.rindex(b'],"options":')]

    for earlier, later in zip(story.bodies, story.bodies[1:], strict=False):
        assert stable(later).startswith(stable(earlier))
    assert len({json.loads(body)["options"]["num_ctx"] for body in story.bodies}) == 1
    assert all(json.loads(body)["truncate"] is False for body in story.bodies)
    assert all(0 < json.loads(body)["options"]["num_predict"] <= 8192 for body in story.bodies)


def test_every_tool_result_is_in_the_next_request(story: Story) -> None:
    waiting: list[str] = []
    results = 0
    bodies = iter(story.bodies)
    for stamped in story.recording.events:
        if isinstance(stamped.event, e.ToolEnded):
            waiting.append(stamped.event.text)
        elif isinstance(stamped.event, e.RequestSent):
            messages = json.loads(next(bodies))["messages"]
            told = [m["content"] for m in messages if m["role"] == "tool"][results:]
            assert len(told) == len(waiting)
            assert all(there.startswith(text) for there, text in zip(told, waiting, strict=True))
            results += len(waiting)
            waiting.clear()
    assert results == len(story.events(e.ToolEnded)) - 1  # of `finish` nobody asks again


def test_the_phases_of_every_round_sum_to_its_wall_time(story: Story) -> None:
    rounds: list[e.RoundEnded] = story.events(e.RoundEnded)
    assert len(rounds) == story.events(e.GoalEnded)[0].rounds
    for ended in rounds:
        assert sum(ended.phases.values()) == ended.wall_ns
        assert ended.phases.get("other", 0) <= ended.wall_ns * 0.01 + SLACK_NS
        assert all(span.end >= span.start for span in ended.spans)


def test_no_time_falls_between_two_rounds(story: Story) -> None:
    ends = [(s.t, s.event.wall_ns) for s in story.recording.events if isinstance(s.event, e.RoundEnded)]
    (goal,) = story.events(e.GoalEnded)
    assert sum(wall for _, wall in ends) == pytest.approx(goal.wall_ns, rel=0.02, abs=5_000_000)


def test_tools_and_probes_tell_their_own_time(story: Story) -> None:
    for stamped in story.recording.events:
        if isinstance(stamped.event, e.RoundEnded):
            refs = [span.ref for span in stamped.event.spans if span.ref]
            calls = [
                s.event.call
                for s in story.recording.events
                if isinstance(s.event, e.ToolCalled) and s.round == stamped.round
            ]
            assert set(refs) == set(calls)


def test_what_is_on_the_disk_is_for_the_owner_alone(story: Story) -> None:
    for path in [story.session, *story.session.rglob("*")]:
        if "files.git" not in path.parts:
            assert path.stat().st_mode & 0o077 == 0, path


def test_every_changed_file_can_be_had_as_it_was_before(story: Story) -> None:
    changes = [c for ended in story.events(e.ToolEnded) for c in ended.changes]
    edited = [c for c in changes if c.kind == "modified" and c.before]
    assert edited
    for change in edited:
        assert story.recording.blob(change.before)
    assert Path(story.recording.header.workspace) == story.place.folder
