"""What can go wrong: each ends in a clear line and the right exit code, with nothing lost or left running."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jetbox.engine import events as e
from jetbox.record.recording import read_journal
from jetbox.sim.launch import ServerProcess
from nursery import CONSOLE
from scripted import call, finish, step
from stories.kit import SIGNALS, Ended, Place, dies_out

Play = Callable[..., tuple[Place, ServerProcess]]
NO_PROBES = ("--set", "probes.enabled=false")
WRITE = call("write_file", path="a.txt", content="one\n")
SLEEP = call("run_cmd", command="echo begun; sleep 300")


def told(place: Place, ended: Ended, code: int, *words: str) -> None:
    """It ended with this code and these words, its journal is whole and says the same."""
    assert ended.code == code, ended.err
    for word in words:
        assert word in ended.err
    assert "Traceback" not in ended.err
    assert "never awaited" not in ended.err
    assert "never retrieved" not in ended.err
    closed = place.recording().events[-1].event
    assert isinstance(closed, e.SessionClosed)
    assert closed.exit_code == code


def last_goal(place: Place) -> e.GoalEnded:
    return place.events(e.GoalEnded)[-1]


def without_sandboxes(place: Place) -> list[str]:
    """The program on a machine where no sandbox works."""
    code = "import sys; from jetbox.engine.safety import choose; choose._ORDER.clear(); "
    return [sys.executable, "-c", code + "from jetbox.cli.main import main; sys.exit(main())"]


def in_mounts(*mounts: str) -> list[str]:
    """The program with parts of the disk mounted otherwise."""
    return ["bwrap", "--dev-bind", "/", "/", *mounts, "--", str(CONSOLE)]


def test_no_server(place: Place, dead_port: int) -> None:
    place.host = f"http://127.0.0.1:{dead_port}"
    ended = place.goal("Do it")
    told(place, ended, 6, "no Ollama server answers at", "`ollama serve`", "jetbox-tui --demo")
    assert ended.err.count("no Ollama server answers") == 1
    assert [g.text for g in place.events(e.GoalStarted)] == ["Do it"]


@pytest.mark.parametrize("output_format", ["json", "text"])
def test_an_attempt_that_broke_off_is_no_part_of_the_answer(play: Play, output_format: str) -> None:
    words = " ".join(f"word{number}" for number in range(40))
    place, _ = play(step(text=words), faults=("cut@1:5",))
    ended = place.goal("Say it", "--output-format", output_format)
    assert ended.code == 0, ended.err
    assert (ended.report["text"] if output_format == "json" else ended.out.strip()) == words
    assert len(place.events(e.RequestSent)) == 2


def test_each_attempt_that_failed_is_told_once(play: Play) -> None:
    place, _ = play(step(text="Yes."), faults=("busy@1",))
    ended = place.goal("Is it?")
    assert ended.code == 0, ended.err
    assert ended.err.count("the server is busy") == 1
    assert ended.err.count("trying again in ") == 1
    assert "retrying" not in ended.err


def test_something_else_answers(place: Place, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    code = "import http.server as h; s = h.HTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler)"
    code += "; print(s.server_port, flush=True); s.serve_forever()"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path / "site", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as other:
        assert other.stdout is not None
        place.host = f"http://127.0.0.1:{int(other.stdout.readline())}"
        try:
            told(
                place,
                place.goal("Do it"),
                6,
                "is neither Ollama nor a server with OpenAI's protocol (status 501)",
                "--host",
            )
        finally:
            other.kill()


def test_the_model_is_missing(play: Play) -> None:
    place, _ = play(step(text="Yes."))
    ended = place.goal("Do it", "-m", "nowhere:7b")
    told(place, ended, 6, "the server does not have nowhere:7b; it has: ", "gpt-oss:20b", "`ollama pull nowhere:7b`")


def test_no_model_was_named(play: Play) -> None:
    place, _ = play(step(text="Yes."))
    ended = place.goal("Do it", env={"OLLAMA_MODEL": ""})
    told(place, ended, 6, "no model was named, and the server has: ", "llama3.2:3b", "--model")


def test_the_model_has_no_tools(play: Play) -> None:
    place, _ = play(step(text="Yes."))
    ended = place.goal("Do it", "-m", "gemma2:2b")
    told(place, ended, 6, "gemma2:2b cannot call tools", "gpt-oss:20b")


def test_the_server_dies_in_mid_stream(play: Play) -> None:
    place, _ = play(step(text="One two three."), faults=["die@1:2"])
    ended = place.goal("Do it", "--set", "model.retries=0")
    told(place, ended, 6, "the server broke off in mid-answer", "--continue")
    assert ended.err.count("broke off in mid-answer") == 1
    assert "One" in place.events(e.MessageAdded)[-1].json
    assert last_goal(place).outcome == "failed"


def test_the_server_dies_after_a_call_and_is_gone(play: Play) -> None:
    place, _ = play(step(WRITE, text="Now."), faults=["die@1:3"])
    ended = place.goal("Do it", *NO_PROBES, "--set", "model.retries=0")
    told(place, ended, 6, "no Ollama server answers")
    assert place.files() == {"a.txt": "one\n"}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("garbage@*:1", "garbage in the answer's stream"),
        ("no_done", "the answer ended without the server's word that it is done"),
        ("error:the runner stopped@*:1", "the server reported an error in mid-answer: the runner stopped"),
        ("error:out of memory@*:1", "going on with 8,192"),
        ("status:500", "the server answered 500"),
    ],
)
def test_an_answer_that_cannot_be_used(play: Play, fault: str, words: str) -> None:
    place, _ = play(step(text="One two."), faults=[fault])
    told(place, place.goal("Do it", "--set", "model.retries=0"), 6, words)


def test_the_disk_fills_up_under_the_journal(play: Play) -> None:
    steps = [step(call("list_dir", path=f"d{n}"), text=f"{n} " * 600) for n in range(20)]
    place, _ = play(*steps)
    for n in range(20):
        (place.folder / f"d{n}").mkdir()
    limited = ["sh", "-c", 'ulimit -f "$1"; shift; exec "$@"', "sh", "48", str(CONSOLE)]
    ended = place.goal("Do it", *NO_PROBES, program=limited)
    assert ended.code == 9
    assert "cannot write" in ended.err.splitlines()[-2]
    assert "--continue" in ended.err.splitlines()[-1]
    assert ended.err.count("cannot write") == 1
    recording = read_journal(place.sessions[-1])
    assert recording.events[-1].round >= 1
    assert (place.sessions[-1] / "journal.jsonl").read_bytes().endswith(b"\n")


def test_a_session_goes_on_when_there_is_room_again(play: Play) -> None:
    steps = [step(call("list_dir", path="."), text=f"{n} " * 900) for n in range(2)]
    place, _ = play(*steps, step(text="All seen."))
    limited = ["sh", "-c", 'ulimit -f "$1"; shift; exec "$@"', "sh", "32", str(CONSOLE)]
    assert place.goal("Look around", *NO_PROBES, program=limited).code == 9
    ended = place.run("run", "--yolo", "--continue", *NO_PROBES)
    assert (ended.code, ended.out) == (0, "All seen.\n"), ended.err


def test_the_disk_of_the_workspace_is_full(play: Play) -> None:
    place, _ = play(step(call("write_file", path="a.txt", content="x" * 20_000)), finish())
    program = in_mounts("--size", "8192", "--tmpfs", str(place.folder), "--chdir", str(place.folder))
    ended = place.goal("Do it", *NO_PROBES, program=program)
    told(place, ended, 9, "a.txt: the disk is full; nothing was written", "--continue")
    assert place.events(e.ToolEnded)[0].state == "failed"
    assert last_goal(place).rounds == 1


def test_the_workspace_cannot_be_written(play: Play) -> None:
    place, _ = play(step(WRITE), finish())
    program = in_mounts("--ro-bind", str(place.folder), str(place.folder))
    ended = place.goal("Do it", *NO_PROBES, program=program)
    told(place, ended, 9, "a.txt: the file system is read-only")
    assert place.files() == {}


def test_the_data_folder_cannot_be_written(play: Play) -> None:
    place, server = play(step(WRITE), finish())
    data = Path(os.environ["XDG_DATA_HOME"])
    data.mkdir(parents=True)
    program = in_mounts("--ro-bind", str(data), str(data))
    ended = place.goal("Do it", *NO_PROBES, program=program)
    assert ended.code == 9
    first, second = ended.err.splitlines()
    assert "cannot make the folder" in first
    assert "Read-only file system" in first
    assert "--no-session" in second
    assert server.stats()["chats"] == 0
    assert place.goal("Do it", *NO_PROBES, "--no-session", program=program).code == 0


@pytest.mark.parametrize("recorded", [True, False])
def test_nothing_of_the_home_folder_can_be_written(play: Play, tmp_path: Path, recorded: bool) -> None:
    place, _ = play(step(WRITE), finish())
    (tmp_path / "file").write_text("in the way")
    names = ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", *(() if recorded else ("XDG_DATA_HOME",)))
    env = {name: str(tmp_path / "file") for name in names}
    env |= {"XDG_RUNTIME_DIR": str(tmp_path)}
    ended = place.goal("Do it", *(() if recorded else ("--no-session",)), env=env)
    assert ended.code == 0, ended.err
    assert place.files() == {"a.txt": "one\n"}
    assert f"the lock of the workspace is in {tmp_path}/jetbox/locks meanwhile" in ended.err
    assert len(place.sessions) == recorded


def test_a_file_stands_where_the_data_folder_should_be(play: Play) -> None:
    place, _ = play(step(WRITE), finish())
    data = Path(os.environ["XDG_DATA_HOME"])
    data.parent.mkdir(parents=True)
    data.write_text("in the way")
    ended = place.goal("Do it")
    assert ended.code == 9
    assert len(ended.err.splitlines()) == 2


def test_the_workspace_is_no_folder(place: Place) -> None:
    (place.folder / "file").write_text("")
    assert place.goal("Do it", "-C", "file").code == 2


def test_the_session_is_deleted_while_it_runs(play: Play) -> None:
    place, server = play(step(text="One two."), finish(), faults=["stall@1:1"])
    running = place.stream("Do it")
    running.until("model.request")
    server.stats(stalled=1)
    shutil.rmtree(place.sessions[-1])
    server.release()
    ended = running.end()
    assert ended.code == 9
    assert "it was deleted while the session ran" in ended.err


def test_no_git_and_no_bubblewrap_on_the_path(play: Play, tmp_path: Path) -> None:
    place, _ = play(step(WRITE), finish())
    programs = tmp_path / "programs"
    programs.mkdir()
    ended = place.goal("Do it", *NO_PROBES, env={"PATH": str(programs)})
    told(place, ended, 0)
    assert place.files() == {"a.txt": "one\n"}
    assert "warning" not in ended.err


def test_no_ruff_and_no_pytest(play: Play) -> None:
    place, _ = play(
        step(call("write_file", path="test_a.py", content="def test_it() -> None:\n    assert True\n")), finish()
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place.folder / ".venv"], check=True)
    ruff = f"{sys.prefix}/bin/ruff"
    program = in_mounts("--ro-bind", "/dev/null", ruff)
    ended = place.goal("Do it", program=program, env={"PATH": "/usr/bin:/bin"})
    told(place, ended, 0, "ruff skipped", "pip install ruff", "pytest skipped", "unverified")
    assert {p.state for p in place.events(e.ProbeEnded)} == {"skipped"}


def test_no_sandbox_works(play: Play) -> None:
    place, _ = play(step(call("run_cmd", command="touch made")), finish())
    program = without_sandboxes(place)
    ended = place.goal("Do it", program=program)
    told(place, ended, 5, "this needs a permission", "--no-sandbox")
    assert place.files() == {}
    told(place, place.goal("Do it", "--no-sandbox", *NO_PROBES, program=program), 0, "sandbox: off")
    assert set(place.files()) == {"made"}


def test_no_sandbox_works_and_only_the_probes_need_one(play: Play) -> None:
    place, _ = play(step(call("write_file", path="a.py", content="X = 1\n")), finish())
    ended = place.goal("Do it", program=without_sandboxes(place))
    told(place, ended, 5, "run the probes (ruff, pytest) without a sandbox")
    assert not place.events(e.ProbeEnded)


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes a connection and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_connecting(place: Place, silent: str, number: int, code: int) -> None:
    place.host = silent
    running = place.stream("Do it")
    running.until("session.opened")
    ended = running.signal(number)
    told(place, ended, code)
    assert [g.text for g in place.events(e.GoalStarted)] == ["Do it"]
    assert (last_goal(place).outcome, last_goal(place).exit_code) == ("interrupted", code)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_before_the_first_chunk(play: Play, number: int, code: int) -> None:
    place, server = play(step(text="Yes."), faults=["stall@1"])
    running = place.stream("Do it")
    running.until("model.request")
    server.stats(stalled=1)
    ended = running.signal(number)
    told(place, ended, code)
    assert server.stats(cancelled=1)["cancelled"] == 1


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_a_command_runs(play: Play, number: int, code: int) -> None:
    place, _ = play(step(SLEEP), finish())
    running = place.stream("Do it", *NO_PROBES)
    running.until("tool.output")
    ended = running.signal(number)
    told(place, ended, code)
    assert [t.state for t in place.events(e.ToolEnded)] == ["cancelled"]
    assert last_goal(place).exit_code == code


def test_a_signal_while_a_probe_runs(play: Play) -> None:
    test = "import time\n\n\ndef test_it() -> None:\n    time.sleep(300)\n"
    place, _ = play(step(call("write_file", path="test_a.py", content=test)), finish())
    running = place.stream("Do it", "--set", "probes.ruff=false")
    running.until("probe.started", name="pytest")
    ended = running.signal(signal.SIGINT)
    told(place, ended, 130)


def test_two_signals_while_a_command_ignores_the_first(play: Play) -> None:
    stubborn = call("run_cmd", command="trap '' TERM INT; echo begun; while :; do sleep 1; done")
    place, _ = play(step(stubborn), finish())
    running = place.stream("Do it", *NO_PROBES)
    running.until("tool.output")
    running.process.send_signal(signal.SIGINT)
    ended = running.signal(signal.SIGINT)
    assert ended.code == 130
    assert read_journal(place.sessions[-1]).events[-1].round == 1


def test_a_kill_leaves_no_command_behind(play: Play) -> None:
    place, _ = play(step(SLEEP), finish())
    running = place.stream("Do it", *NO_PROBES)
    running.until("tool.output")
    running.process.kill()
    assert running.end(alone=False).code == -signal.SIGKILL
    assert dies_out(place.mark)
    assert read_journal(place.sessions[-1]).events[-1].round == 1


def test_a_hangup_ignored_at_start_stays_ignored(play: Play) -> None:
    place, server = play(step(text="Yes."), faults=["stall@1"])
    program = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", str(CONSOLE)]
    running = place.stream("Do it", program=program)
    running.until("model.request")
    server.stats(stalled=1)
    running.process.send_signal(signal.SIGHUP)
    server.release()
    assert running.end().code == 0


def test_a_file_that_is_not_utf_8(play: Play) -> None:
    edit = call("edit_file", path="latin.txt", edits=[{"old": "caf", "new": "tea"}])
    place, _ = play(
        step(call("read_file", path="latin.txt"), call("grep", pattern="x", path=".")), step(edit), finish()
    )
    data = "caf\xe9 x\n".encode("latin-1") + b"\x81\xfe\xff"
    (place.folder / "latin.txt").write_bytes(data)
    (place.folder / os.fsdecode(b"na\xefve.txt")).write_bytes(b"x\n")
    ended = place.goal("Do it", *NO_PROBES)
    told(place, ended, 0)
    assert (place.folder / "latin.txt").read_bytes() == data


def test_a_huge_file(play: Play) -> None:
    place, _ = play(
        step(call("read_file", path="huge.bin"), call("grep", pattern="needle", path=".")),
        step(call("write_file", path="huge.bin", content="x")),
        step(call("write_file", path="a.py", content="X = 1\n"), call("run_cmd", command="true")),
        finish(),
    )
    with (place.folder / "huge.bin").open("wb") as file:
        file.truncate(200 * 1024**2)
    ended = place.goal("Do it", "--set", "probes.pytest=false")
    told(place, ended, 0)
    assert (place.folder / "huge.bin").stat().st_size == 200 * 1024**2
    assert place.events(e.ToolEnded)[0].text != ""


def test_a_command_that_prints_for_ever(play: Play) -> None:
    place, server = play(step(call("run_cmd", command="yes 'all work and no play'", timeout=1)), finish())
    ended = place.goal("Do it", *NO_PROBES)
    told(place, ended, 0)
    (result, _) = place.events(e.ToolEnded)
    assert "stopped after 1 s" in result.text
    assert len(result.text) < 11_000
    assert (place.sessions[-1] / "journal.jsonl").stat().st_size < 8 * 1024**2
    assert server.stats()["chats"] == 2


def test_a_command_that_ignores_sigterm_and_one_that_forks(play: Play) -> None:
    stubborn = "trap '' TERM; while :; do sleep 0.1; done"
    forking = "for n in 1 2 3 4 5; do (setsid sleep 300 & setsid sh -c 'sleep 300; :' &) ; done; echo forked"
    place, _ = play(
        step(call("run_cmd", command=stubborn, timeout=1)), step(call("run_cmd", command=forking)), finish()
    )
    ended = place.goal("Do it", *NO_PROBES)
    told(place, ended, 0)
    texts = [t.text for t in place.events(e.ToolEnded)]
    assert "stopped after 1 s" in texts[0]
    assert "forked" in texts[1]


@pytest.mark.parametrize("output_format", ["text", "json"])
def test_nobody_reads_the_result(play: Play, output_format: str) -> None:
    place, _ = play(step(text="Yes."))
    reader, writer = os.pipe()
    os.close(reader)
    ended = place.start("run", "--yolo", "--output-format", output_format, "--", "Do it", stdout=writer).end_unread()
    os.close(writer)
    assert ended.code == 129
    assert last_goal(place).outcome == "answered"


def test_nobody_reads_the_stream_any_more(play: Play) -> None:
    place, server = play(step(text="One two three."), step(WRITE), faults=["stall@1:1"])
    running = place.stream("Do it")
    running.until("model.request")
    server.stats(stalled=1)
    assert running.process.stdout is not None
    running.process.stdout.close()
    server.release()
    ended = running.end_unread()
    assert ended.code == 129
    assert place.files() == {}
    assert place.events(e.SessionClosed)[-1].exit_code == 129


def test_the_result_meets_a_full_disk(play: Play) -> None:
    place, _ = play(step(text="Yes."))
    with open("/dev/full", "w") as full:
        ended = place.start("run", "--yolo", "--", "Do it", stdout=full).end_unread()
    assert ended.code == 9
    assert "No space left on device" in ended.err


def test_a_damaged_session_is_said_to_be_damaged(play: Play) -> None:
    place, _ = play(step(text="Yes."))
    assert place.goal("Do it").code == 0
    journal = place.sessions[0] / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + b"\x00\xffgarbage\n" + b"".join(lines[1:]))
    before = journal.read_bytes()
    ended = place.run("run", "--continue", "--", "Do it")
    assert ended.code == 7
    assert len(ended.err.splitlines()) <= 2
    assert journal.read_bytes() == before
    assert place.goal("Do it").code == 0


@pytest.mark.parametrize("locale", [{"PYTHONUTF8": "0", "LC_ALL": "C"}, {"LC_ALL": "C"}])
def test_names_are_utf_8_whatever_the_locale(play: Play, locale: dict[str, str]) -> None:
    tests = "def test_size() -> None:\n    assert len('π') == 1\n"
    place, _ = play(
        step(call("write_file", path="naïve/π.txt", content="größe\n")),
        step(call("write_file", path="test_a.py", content=tests)),
        step(call("run_cmd", command="cat naïve/π.txt && echo ünder > '名.txt' && ls *.txt")),
        step(call("read_file", path="名.txt"), call("list_dir", path="."), call("glob", pattern="**/*.txt")),
        step(call("edit_file", path="名.txt", edits=[{"old": "ünder", "new": "über"}])),
        step(call("grep", pattern="ü", path="名.txt"), call("grep", pattern="ö")),
        finish(),
    )
    ended = place.goal("Schreib’ es", env={**locale, "LANG": ""})
    assert ended.code == 0, ended.err
    assert place.files() == {"naïve/π.txt": "größe\n", "test_a.py": tests, "名.txt": "über\n"}
    assert [g.text for g in place.events(e.GoalStarted)] == ["Schreib’ es"]
    texts = {ended.call: ended.text for ended in place.events(e.ToolEnded)}
    results = [texts[called.call] for called in place.events(e.ToolCalled)]
    assert not [ended for ended in place.events(e.ToolEnded) if ended.state != "ok"]
    assert "exit code 0\ngröße\n名.txt\n" in results[2]
    assert results[3] == "ünder\n"
    assert "naïve/\n" in results[4]
    assert results[5] == "naïve/π.txt\n名.txt"
    assert results[7] == "名.txt:1:über\n"
    assert "naïve/π.txt:1:größe\n" in results[8]
    verdicts = {v.name: v.state for v in place.events(e.ProbeEnded)}
    assert verdicts == {"ruff": "passed", "pytest": "passed"}


def test_a_torn_last_line_does_not_matter(play: Play) -> None:
    place, _ = play(step(text="Yes."))
    assert place.goal("Do it").code == 0
    journal = place.sessions[0] / "journal.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"seq":99,"t":1,"rou')
    ended = place.run("run", "--continue", "--", "Do it")
    assert (ended.code, ended.out) == (0, "Yes.\n")
    place.recording()


def test_bad_instructions(play: Play, tmp_path: Path) -> None:
    place, server = play(step(text="Yes."))
    instructions = place.folder / "AGENTS.md"
    instructions.write_bytes(b"Use \xff\xfe tabs.\x00\x1b[2J\n" + b"x" * 100_000)
    assert place.goal("Do it").code == 0
    instructions.unlink()
    instructions.mkdir()
    assert place.goal("Do it").code == 0
    instructions.rmdir()
    os.mkfifo(instructions)
    assert place.goal("Do it").code == 0
    instructions.unlink()
    secret = tmp_path / "outside.txt"
    secret.write_text("not for the model")
    instructions.symlink_to(secret)
    ended = place.goal("Do it")
    assert ended.code == 0
    systems = [json.loads(b["body"])["messages"][0]["content"] for b in server.stats()["bodies"]]
    assert "tabs." in systems[0]
    assert "[cut: longer than the limit]" in systems[0]
    assert "\x1b" not in systems[0]
    assert len(systems[0]) < 40_000
    assert not any("not for the model" in system for system in systems)
