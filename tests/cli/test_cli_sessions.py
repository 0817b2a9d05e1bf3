from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from jetbox.cli.dispatch import dispatch
from jetbox.engine.errors import RecordingError, SettingsError, StorageError
from jetbox.record.library import samples

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


def test_a_training_set_is_written_told_and_not_overwritten_unseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    four = ["sessions", "export", "mathx", "fix-test", "refactor", "question", "--to", "dataset"]
    asked = [*four, "--teacher", "gpt-oss:20b", "-o", "set"]
    assert dispatch(asked) == 0
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines()[1:4]] == [
        ["conversations", "sessions", "goals", "tokens"],
        ["train", "1", "1", "1", "1,860"],
        ["validation", "1", "1", "1", "2,003"],
    ]
    assert "left out: 2 goals of other models" in out
    assert "no Modelfile: name the student with --student" in out
    names = {"README.md", "dataset.json", "train.jsonl", "train.py", "validation.jsonl"}
    assert {path.name for path in (tmp_path / "set").iterdir()} == names
    rows = [msgspec.json.decode(one) for one in (tmp_path / "set" / "train.jsonl").read_bytes().splitlines()]
    assert [row["messages"][-1]["tool_calls"][0]["function"]["name"] for row in rows] == ["finish"]
    with pytest.raises(SettingsError, match="is not empty"):
        dispatch(asked)
    assert dispatch([*asked, "--overwrite", "--form", "axolotl", "--student", "llama3.2:3b", "--json"]) == 0
    made = msgspec.json.decode(capsys.readouterr().out)
    assert (made["form"], made["others"], made["student"]) == ("axolotl", 2, "llama3.2:3b")
    names = names - {"train.py"} | {"axolotl.yml", "Modelfile"}
    assert {path.name for path in (tmp_path / "set").iterdir()} == names


def test_a_training_set_without_anything_to_learn_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    base = ["sessions", "export", "--to", "dataset"]
    with pytest.raises(SettingsError, match="which model is the teacher"):
        dispatch(base)
    with pytest.raises(SettingsError, match=r"no goal that llama3\.2:3b ended green in 1 sessions") as raised:
        dispatch([*base, "question", "--teacher", "llama3.2:3b", "-o", "set"])
    assert raised.value.hint == "left out: 1 since it ended answered"
    assert not (tmp_path / "set").exists()
    with pytest.raises(SettingsError, match="holds no training set that could be replaced"):
        dispatch([*base, "mathx", "--teacher", "gpt-oss:20b", "-o", "notes", "--overwrite"])
    assert [path.name for path in (tmp_path / "notes").iterdir()] == ["mine.txt"]


def test_the_sessions_of_the_folder_are_taken_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data" / "jetbox" / "sessions"
    for name in ("mathx", "fix-test"):
        shutil.copytree(samples()[name], folder / name)
    (folder / "broken").mkdir()
    (folder / "broken" / "journal.jsonl").write_text("no header\n")
    asked = ["sessions", "export", "--to", "dataset", "--teacher", "gpt-oss:20b"]
    with pytest.raises(SettingsError, match="ended green in 0 sessions"):
        dispatch(asked)
    assert dispatch([*asked, "--all"]) == 0
    assert "left out: session broken: " in capsys.readouterr().out
    assert (tmp_path / "gpt-oss-20b-dataset" / "validation.jsonl").is_file()


def test_a_session_is_written_as_markdown_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(samples()["question"], tmp_path / "mine")
    journal = tmp_path / "mine" / "journal.jsonl"
    journal.write_text(
        journal.read_text().replace("What is a context manager", f"My key is sk-{'a1' * 20}. What is it")
    )
    asked = ["sessions", "export", "./mine", "--to", "markdown", "-o", "mine.md"]
    assert dispatch(asked) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'mine.md'}\n"
    assert "> My key is [secret:API_KEY]. What is it" in (tmp_path / "mine.md").read_text()
    with pytest.raises(SettingsError, match=r"mine\.md is there already"):
        dispatch(asked)
    assert dispatch([*asked, "--overwrite"]) == 0
    with pytest.raises(SettingsError, match="name one session"):
        dispatch(["sessions", "export", "--to", "markdown"])


@pytest.mark.parametrize("form", ["markdown", "dataset"])
def test_an_export_that_cannot_be_written_says_what_to_do_about_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ["sessions", "export", "mathx", "--to", form, "--teacher", "gpt-oss:20b"]
    with pytest.raises(StorageError, match=r"/dev/null/x: Not a directory") as raised:
        dispatch([*asked, "-o", "/dev/null/x"])
    assert raised.value.hint == "name another place with --output"


def test_secrets_that_the_environment_names_are_counted_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOME_TOKEN", "pythonpath = ")
    assert dispatch(["sessions", "export", "mathx", "--to", "dataset", "--teacher", "gpt-oss:20b", "-o", "set"]) == 0
    replaced = (tmp_path / "set" / "train.jsonl").read_text().count("[secret:SOME_TOKEN]")
    assert replaced > 0
    told = msgspec.json.decode((tmp_path / "set" / "dataset.json").read_bytes())["secrets_replaced"]
    assert told == replaced
    assert f"replaced: {told} known or likely secrets" in capsys.readouterr().out


def test_a_shipped_session_is_exported_to_where_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert dispatch(["sessions", "export", "question", "--to", "markdown"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'question.md'}\n"
    assert (tmp_path / "question.md").is_file()
    assert not (samples()["question"] / "session.md").exists()
    with pytest.raises(SettingsError, match=r"question\.md is there already"):
        dispatch(["sessions", "export", "question", "--to", "markdown"])
