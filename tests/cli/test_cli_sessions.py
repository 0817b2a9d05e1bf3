from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from jetbox.cli.dispatch import dispatch
from jetbox.engine.errors import RecordingError

if TYPE_CHECKING:
    from cli.conftest import Jetbox


def test_a_recordings_rounds_are_a_log(jetbox: Jetbox) -> None:
    done = jetbox("sessions", "show", "mathx", "--rounds")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1] == "Round 2: 789ms (LLM: 715ms) - Probe: 71ms ⚡"
    assert done.stdout.splitlines()[-1] == "Round 9: 460ms (LLM: 456ms) - Cache hit ↻"


def test_sessions_are_listed_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert dispatch(["sessions"]) == 0
    assert capsys.readouterr().out == "no session was recorded in this folder; --all shows those of others\n"
    folder = tmp_path / "jetbox" / "sessions"
    (folder / "broken").mkdir(parents=True)
    (folder / "broken" / "journal.jsonl").write_text("no header\n")
    assert dispatch(["sessions", "list", "--all"]) == 0
    assert capsys.readouterr().out.startswith("broken  cannot be read: ")
    assert dispatch(["sessions", "show", "question", "--json"]) == 0
    shown = msgspec.json.decode(capsys.readouterr().out)
    assert (shown["outcome"], shown["rounds"], len(shown["log"])) == ("answered", 1, 1)
    assert dispatch(["sessions", "show", "fix-test"]) == 0
    assert "goal       " in capsys.readouterr().out
    with pytest.raises(RecordingError, match="there is no session nope"):
        dispatch(["sessions", "show", "nope"])
