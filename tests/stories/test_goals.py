"""Goals in real folders, from the command line to the exit code."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from jetbox.engine import events as e
from jetbox.record.recording import read_journal
from jetbox.record.requests import rebuild_all
from jetbox.sim.launch import ServerProcess
from jetbox.sim.workspaces import copy_workspace, goal_for
from scripted import WriteScript, call, finish, step
from stories.kit import Place, dies_out

Play = Callable[..., tuple[Place, ServerProcess]]
NO_PROBES = ("--set", "probes.enabled=false")
WRITE = call("write_file", path="a.txt", content="one\n")


def shipped(place: Place, sim_server: Callable[..., ServerProcess], script: str) -> ServerProcess:
    copy_workspace(script, place.folder)
    server = sim_server(scripts=[script])
    place.host = server.url
    return server


def test_a_failing_test_is_repaired(place: Place, sim_server: Callable[..., ServerProcess]) -> None:
    shipped(place, sim_server, "fix-test")
    before = place.files()
    ended = place.goal(goal_for("fix-test"))
    assert ended.code == 0, ended.err
    after = place.files()
    assert after["shop/cart.py"] != before["shop/cart.py"]
    assert after["tests/test_cart.py"] == before["tests/test_cart.py"]
    (goal,) = place.events(e.GoalEnded)
    assert goal.outcome == "done"
    listed = place.run("models", "list", "--json").report["models"]
    assert [m["measured"]["rounds_to_green"] for m in listed if m["measured"]] == [{"median": goal.rounds, "n": 1}]


def test_a_refactoring_turns_red_and_green_again(place: Place, sim_server: Callable[..., ServerProcess]) -> None:
    shipped(place, sim_server, "refactor")
    ended = place.goal(goal_for("refactor"))
    assert ended.code == 0, ended.err
    pytest_states = [p.state for p in place.events(e.ProbeEnded) if p.name == "pytest"]
    assert "failed" in pytest_states
    assert pytest_states[-1] == "passed"
    assert "Reading" in place.files()["weather/parse.py"]
    assert ended.err.splitlines()[-1].startswith("done, probes green: ")


def test_a_question_is_answered_and_nothing_is_changed(place: Place, sim_server: Callable[..., ServerProcess]) -> None:
    shipped(place, sim_server, "question")
    (place.folder / "app.py").write_text("import os\n")
    ended = place.goal(goal_for("question"))
    assert ended.code == 0
    assert "A **context manager** pairs a set-up with a clean-up" in ended.out
    assert place.files() == {"app.py": "import os\n"}
    assert place.events(e.GoalEnded)[0].outcome == "answered"
    assert not place.events(e.ProbeEnded)


def test_what_slowed_a_run_down_and_how_it_goes_on_is_said(play: Play) -> None:
    place, _ = play(step(WRITE), finish(), vram=12.0)
    ended = place.goal("Write it", *NO_PROBES, "--no-session", "--max-rounds", "1", "--num-ctx", "16384")
    assert ended.code == 4
    assert "% of gpt-oss:20b is worked on by the CPU: it does not fit the GPU's memory" in ended.err
    assert ended.err.endswith("\n  raise --max-rounds\n")


def test_two_names_of_one_model_are_no_two_models(play: Play) -> None:
    place, _ = play(finish())
    names = ("--set", "routing.small=gpt-oss:20b", "--set", "routing.large=GPT-oss:20b")
    ended = place.goal("Write it", *NO_PROBES, "--profile", "hybrid", *names)
    assert ended.code == 2
    assert "small and large are both gpt-oss:20b" in ended.err


def test_text_has_the_last_words_on_standard_output_and_progress_beside_it(play: Play) -> None:
    place, _ = play(step(WRITE, text="I write it."), finish("Wrote a.txt."))
    ended = place.goal("Write it", *NO_PROBES)
    assert (ended.code, ended.out) == (0, "Wrote a.txt.\n")
    lines = ended.err.splitlines()
    assert lines[0] == "❯ Write it"
    assert any("✓ write_file a.txt" in line and "a.txt +1 -0" in line for line in lines)
    assert lines[-1].startswith("unverified: done, unverified (no probe applies)  (2 rounds, ")


def test_json_is_one_object(play: Play) -> None:
    place, _ = play(step(WRITE), finish("Wrote a.txt."))
    ended = place.goal("Write it", "--output-format", "json", *NO_PROBES)
    assert ended.err == ""
    report = ended.report
    assert report["text"] == "Wrote a.txt."
    assert report["files"] == {"a.txt": "created"}
    assert (report["outcome"], report["exit_code"], report["rounds"]) == ("unverified", 0, 2)
    assert report["session"] == place.sessions[-1].name
    assert report["model"] == "gpt-oss:20b"
    assert report["prompt_tokens"] > 0
    assert report["answer_tokens"] > 0
    assert sum(report["phases_ms"].values()) == pytest.approx(report["wall_ms"], rel=0.1, abs=5)


def test_without_a_session_nothing_is_kept(play: Play) -> None:
    place, _ = play(step(WRITE), finish())
    stream = place.stream("Write it", "--no-session", *NO_PROBES)
    ended = stream.end()
    assert ended.code == 0
    closed = json.loads(ended.out.splitlines()[-1])["event"]
    assert (closed["type"], closed["exit_code"]) == ("session.closed", 0)
    assert place.sessions == []
    assert place.files() == {"a.txt": "one\n"}


def test_a_word_and_print_mean_the_same(play: Play) -> None:
    place, _ = play(step(text="Because."))
    ended = place.run("-p", "Why?")
    assert (ended.code, ended.out) == (0, "Because.\n")


def test_the_demo_works_headless_in_a_scratch_folder(place: Place) -> None:
    environment = {"OLLAMA_HOST": "", "OLLAMA_MODEL": "", "TMPDIR": str(place.folder)}
    options = (
        "--demo",
        "-m",
        "llama3.2:3b",
        "--output-format",
        "json",
        "--set",
        "probes.pytest=false",
        "--max-rounds",
        "2",
    )
    ended = place.run("run", *options, env=environment)
    report = ended.report
    assert (ended.code, report["outcome"]) == (4, "limit")
    assert report["goal"].startswith("Create mathx package")
    folder = Path(report["workspace"])
    assert folder.parent == place.folder
    assert (folder / "mathx" / "__init__.py").is_file()


def test_going_on_after_a_finished_goal(
    place: Place, write_script: WriteScript, sim_server: Callable[..., ServerProcess]
) -> None:
    writes = write_script(step(WRITE), finish(), match="write", name="writes")
    reads = write_script(step(call("read_file", path="a.txt")), step(text="It says one."), match="read", name="reads")
    server = sim_server(scripts=[str(writes), str(reads)])
    place.host = server.url
    assert place.goal("Write it", *NO_PROBES).code == 0
    first = place.recording().events[-1]
    ended = place.run("run", "--continue", "--", "Read it")
    assert (ended.code, ended.out) == (0, "It says one.\n")
    assert len(place.sessions) == 1
    recording = place.recording()
    assert [s.event.goal for s in recording.events if isinstance(s.event, e.GoalStarted)] == [1, 2]
    assert [s.seq for s in recording.events] == list(range(len(recording.events)))
    times = [s.t for s in recording.events]
    assert times == sorted(times)
    assert times[-1] > first.t
    bodies = [entry["body"].encode() for entry in server.stats()["bodies"]]
    assert [body for _, body in rebuild_all(recording)] == bodies
    messages = json.loads(bodies[-2])["messages"]
    assert [m["content"] for m in messages if m["role"] == "user"] == ["Write it", "Read it"]


def test_going_on_by_name_and_with_nothing_to_do(play: Play) -> None:
    place, _ = play(step(text="Yes."))
    assert place.goal("Is it?").code == 0
    name = place.sessions[0].name
    assert place.run("run", "--resume", name, "--", "Is it?").out == "Yes.\n"
    ended = place.run("run", "--resume", name)
    assert ended.code == 2
    assert "there is nothing to do" in ended.err
    assert place.run("run", "--resume", "20990101", "--", "Is it?").code == 7
    assert len(place.sessions) == 1


def test_going_on_after_kill_9_in_mid_round(play: Play) -> None:
    place, server = play(
        step(WRITE),
        step(call("write_file", path="b.txt", content="two\n"), text="And the other.", fault="stall@:2"),
        finish("Both are there."),
    )
    running = place.stream("Write both", *NO_PROBES)
    running.until("model.text")
    server.stats(stalled=1)
    running.process.kill()
    assert running.end(alone=False).code == -signal.SIGKILL
    assert dies_out(place.mark)
    recording = read_journal(place.sessions[-1])
    assert recording.path.read_text().startswith("".join(running.lines))
    assert not any(isinstance(s.event, e.GoalEnded) for s in recording.events)

    ended = place.run("run", "--yolo", "--continue", *NO_PROBES)
    assert (ended.code, ended.out) == (0, "Both are there.\n")
    assert place.files() == {"a.txt": "one\n", "b.txt": "two\n"}
    for entry in server.stats()["bodies"]:
        check_pairs(json.loads(entry["body"])["messages"])
    bodies = [entry["body"].encode() for entry in server.stats()["bodies"]]
    assert [body for _, body in rebuild_all(place.recording())] == bodies


def check_pairs(messages: list[dict[str, object]]) -> None:
    """Every call has its result right behind it."""
    waiting = 0
    for message in messages:
        if message["role"] == "tool":
            waiting -= 1
        else:
            assert waiting == 0
            waiting = len(message.get("tool_calls", ()))  # type: ignore[arg-type]
    assert waiting == 0


def test_a_second_writer_is_told_who_holds_the_workspace(play: Play) -> None:
    place, server = play(step(text="Yes."), faults=["stall@1:1"])
    running = place.stream("Is it?")
    session = running.until("session.opened")["id"]
    server.stats(stalled=1)
    second = place.start("run", "--yolo", "--", "Is it too?").end(alone=False)
    assert (second.code, second.out) == (9, "")
    first, hint = second.err.splitlines()
    assert f"session {session} (process {running.process.pid}" in first
    assert hint == f"  look on with: jetbox-tui replay {session}"
    server.release()
    assert running.end().code == 0
    assert place.goal("Is it?").code == 0


def test_red_probes_end_with_3(play: Play) -> None:
    place, _ = play(
        step(call("write_file", path="a.py", content="import os\n")), step(text="Done."), step(text="Really done.")
    )
    ended = place.goal("Write it", "--set", "loop.gate_attempts=1", "--set", "probes.pytest=false")
    assert ended.code == 3
    *_, probing, outcome = ended.err.splitlines()
    assert outcome.startswith("red: probes are still red (ruff: 1 problem")
    assert re.fullmatch(r"  probes: \d of \d from the cache \(\d+%\)(, saved \d+ ms)?, waited for \d+ ms", probing)


def test_a_limit_ends_with_4_and_says_how_to_go_on(play: Play) -> None:
    place, _ = play(step(WRITE), step(call("list_dir", path=".")), finish())
    ended = place.goal("Write it", "--max-rounds", "2", *NO_PROBES)
    assert ended.code == 4
    assert ended.err.splitlines()[-2].startswith("limit: stopped at the limit of 2 rounds")
    assert ended.err.splitlines()[-1] == "  raise --max-rounds and go on with --continue"


def test_a_needed_permission_ends_with_5(play: Play) -> None:
    place, _ = play(step(WRITE), finish())
    ended = place.run("run", "--", "Write it")
    assert ended.code == 5
    assert "denied: write_file a.txt +1: this needs a permission" in ended.err
    assert "--yolo" in ended.err.splitlines()[-1]
    assert place.files() == {}


def test_a_command_needs_a_permission_in_mode_edits(play: Play) -> None:
    place, _ = play(step(WRITE, call("run_cmd", command="touch made")), finish())
    ended = place.run("run", "--mode", "edits", "--", "Do it")
    assert ended.code == 5
    assert set(place.files()) == {"a.txt"}


def test_without_the_sandbox_auto_runs_commands_and_edits_asks(play: Play) -> None:
    place, _ = play(step(call("run_cmd", command="touch made")), finish())
    ended = place.run("run", "--no-sandbox", "--mode", "edits", *NO_PROBES, "--", "Do it")
    assert ended.code == 5
    assert place.files() == {}
    ended = place.goal("Do it", "--no-sandbox", *NO_PROBES)
    assert ended.code == 0, ended.err
    assert set(place.files()) == {"made"}
    assert "sandbox: off" in ended.err


def test_a_prompt_that_does_not_fit_ends_with_4(play: Play) -> None:
    place, _ = play(step(text="Yes."))
    ended = place.goal("word " * 4000, "--num-ctx", "4096")
    assert ended.code == 4
    assert "no room for an answer" in ended.err
    assert "raise --num-ctx" in ended.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("flavour", "option"),
    [("vllm", "--max-model-len"), ("sglang", "--context-length"), ("llamacpp", "--ctx-size")],
)
def test_a_window_that_the_server_was_started_with_is_not_raised_from_here(
    play: Play, flavour: str, option: str
) -> None:
    place, _ = play(step(text="Yes."), flavour=flavour, context_length=4096)
    ended = place.goal("word " * 4000)
    assert ended.code == 4
    assert "no room for an answer" in ended.err
    assert f"start the server with a larger {option}, or" in ended.err.splitlines()[-1]
    assert "raise --num-ctx" not in ended.err


def test_what_is_long_is_told_once_and_short(play: Play) -> None:
    place, _ = play(step(call("run_cmd", command="echo " + "long " * 100)), finish())
    goal = "\n".join(["Do it", "x" * 1000, *(f"line {n}" for n in range(40))])
    ended = place.run("run", "--mode", "edits", "--", goal)
    lines = ended.err.splitlines()
    assert lines[0] == "❯ Do it"
    assert lines[1] == "  " + "x" * 299 + "…"
    assert lines[2:6] == ["  line 0", "  line 1", "  line 2", "  … 37 more lines"]
    assert place.events(e.GoalStarted)[0].text == goal
    (refused,) = (line for line in lines if line.startswith("denied: run_cmd echo long"))
    assert "…: this needs a permission" in refused
    assert len(refused) < 200


def test_the_outcome_is_said_once(play: Play) -> None:
    place, _ = play(step(text="Yes."))
    assert place.goal("Is it?").err.splitlines()[-1].startswith("answered  (1 round, ")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGINT, "interrupted by the user"),
        (signal.SIGTERM, "interrupted: terminated from outside"),
        (signal.SIGHUP, "interrupted: the terminal, or whoever read the output, is gone"),
    ],
)
def test_an_interruption_is_said_once(play: Play, number: int, words: str) -> None:
    place, server = play(step(text="One two."), faults=["stall@1:1"])
    running = place.start("run", "--yolo", "--", "Do it")
    server.stats(stalled=1)
    assert running.signal(number).err.splitlines()[-1].startswith(f"{words}  (")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_with_its_code_and_keeps_what_was_streamed(play: Play, number: int, code: int) -> None:
    place, server = play(step(text="One two three four."), faults=["stall@1:2"])
    running = place.stream("Count")
    running.until("model.text")
    server.stats(stalled=1)
    ended = running.signal(number)
    assert ended.code == code
    assert server.stats(cancelled=1)["cancelled"] == 1
    (goal,) = place.events(e.GoalEnded)
    assert (goal.outcome, goal.exit_code) == ("interrupted", code)
    (closed,) = place.events(e.SessionClosed)
    assert (closed.exit_code, closed.reason) == (code, "")
    assert any(m.role == "assistant" and "One" in m.json for m in place.events(e.MessageAdded))


def test_a_secret_of_the_environment_is_nowhere(play: Play) -> None:
    secret = "sk-0123456789abcdef-story"
    place, server = play(
        step(call("run_cmd", command="cat .env; env"), text=f"The key is {secret[:9]}"),
        step(call("read_file", path=".env"), text=f"{secret} it is."),
        finish(f"Used {secret}."),
    )
    (place.folder / ".env").write_text(f"KEY={secret}\n")
    ended = place.goal(f"Use {secret}", *NO_PROBES, env={"SOME_API_KEY": secret})
    assert ended.code == 0, ended.err
    everything = [ended.out, ended.err, *(entry["body"] for entry in server.stats()["bodies"])]
    everything += [p.read_text(errors="replace") for p in place.sessions[-1].rglob("*.jsonl")]
    assert not any(secret in text for text in everything)
    assert "[secret:SOME_API_KEY]" in ended.out
    blobs = [p.read_bytes() for p in (place.sessions[-1] / "blobs").rglob("*") if p.is_file()]
    assert not any(secret.encode() in blob for blob in blobs)


def test_the_end_of_a_goal_is_the_end_of_the_process(play: Play) -> None:
    place, server = play(step(text="Yes."))
    running = place.stream("Is it?")
    running.until("goal.ended")
    assert running.end().code == 0
    assert server.stats()["chats"] == 1
    assert os.path.isfile(place.sessions[-1] / "journal.jsonl")


def test_what_was_done_before_a_kill_is_not_done_again(play: Play) -> None:
    deploy = step(
        call("write_file", path="a.txt", content="one\n"),
        call("run_cmd", command="echo deployed >> log"),
        call("run_cmd", command="echo slow; sleep 60"),
        text="I deploy.",
    )
    place, _ = play(deploy, finish("Deployed."))
    running = place.stream("Deploy it", *NO_PROBES)
    running.until("tool.output")
    running.process.kill()
    running.end(alone=False)
    assert dies_out(place.mark)
    ended = place.run("run", "--continue", "--yolo", *NO_PROBES)
    assert ended.code == 0, ended.err
    assert (place.folder / "log").read_text() == "deployed\n"
    roles = [json.loads(m.json)["role"] for m in place.events(e.MessageAdded)]
    assert roles[:6] == ["system", "user", "assistant", "tool", "tool", "tool"]
    results = [json.loads(m.json)["content"] for m in place.events(e.MessageAdded) if m.role == "tool"]
    assert "created a.txt" in results[0]
    assert "was killed while this ran" in results[2]
    assert {t.call for t in place.events(e.ToolCalled)} == {t.call for t in place.events(e.ToolEnded)}
