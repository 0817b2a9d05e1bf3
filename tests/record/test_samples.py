"""The recordings that ship: the tour of the product, read like any other session."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jetbox.engine import events as e
from jetbox.record.library import find, samples
from jetbox.record.playback import Playback, read_journal
from jetbox.record.requests import rebuild_all

SCRIPTS = {p.stem for p in (Path(__file__).parents[2] / "app" / "jetbox" / "sim" / "scripts").glob("*.toml")}
MACHINE = re.compile(rb"/(work|farm|root|home)/")


def test_every_shipped_script_has_one() -> None:
    assert set(samples()) == SCRIPTS


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_it_reads_whole_and_ends_well(name: str) -> None:
    recording = read_journal(find(name))
    assert not recording.problems
    events = [stamped.event for stamped in recording.events]
    assert not [event for event in events if isinstance(event, e.Unknown)], "an event is not understood any more"
    ended = [event for event in events if isinstance(event, e.GoalEnded)]
    assert [event.exit_code for event in ended] == [0]
    assert ended[0].outcome == ("answered" if name == "question" else "done")
    assert isinstance(events[-1], e.SessionClosed)


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_its_requests_rebuild_and_its_phases_sum(name: str) -> None:
    recording = read_journal(find(name))
    sent = [stamped for stamped in recording.events if isinstance(stamped.event, e.RequestSent)]
    assert len(list(rebuild_all(recording))) == len(sent) > 0
    for stamped in recording.events:
        if isinstance(stamped.event, e.RoundEnded):
            assert sum(stamped.event.phases.values()) == stamped.event.wall_ns


def test_the_refactor_shows_its_wrong_turn() -> None:
    states = [s.event.state for s in read_journal(find("refactor")).events if isinstance(s.event, e.ProbeEnded)]
    assert "failed" in states
    assert states[-1] == "passed"


def test_mathx_can_be_sought_by_round() -> None:
    playback = Playback(read_journal(find("mathx")))
    for mark in playback.rounds:
        playback.seek_round(mark.number)
        assert playback.round == mark.number


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_it_names_no_folder_of_the_machine_that_made_it(name: str) -> None:
    folder = find(name)
    for path in [folder / "journal.jsonl", *folder.glob("blobs/*/*")]:
        assert not MACHINE.search(path.read_bytes()), path.name
