"""`jetbox-tui models`, as a process, over the embedded server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cli.conftest import Jetbox
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, call, finish, step

Sim = Callable[..., ServerProcess]
OTHER = "qwen2.5-coder:7b"


def listed(jetbox: Jetbox, server: ServerProcess) -> dict[str, dict[str, Any]]:
    done = jetbox("models", "--json", "--host", server.url)
    assert done.returncode == 0, done.stderr
    return {model["name"]: model for model in json.loads(done.stdout)["models"]}


def test_models_are_listed_loaded_and_unloaded(jetbox: Jetbox, sim_server: Sim) -> None:
    server = sim_server()
    warmed = jetbox("models", "warm", "gpt-oss:20b", "--host", server.url, "--num-ctx", "8192")
    assert warmed.stdout == "gpt-oss:20b is loaded with a window of 8,192, on the GPU\n"
    assert "below 16k" in warmed.stderr
    assert warmed.stderr.endswith("\nraise --num-ctx, or choose a model with a larger window\n")
    models = listed(jetbox, server)
    assert models["gpt-oss:20b"]["loaded"]["window"] == 8192
    assert models["gpt-oss:20b"]["measured"] is None
    assert models["gemma2:2b"]["lacks"] == "cannot call tools"
    text = jetbox("models", "--host", server.url).stdout
    assert "8,192 tokens, for 30 min" in text
    assert "(cannot call tools)" in text
    assert jetbox("models", "unload", "gpt-oss:20b", "--host", server.url).stdout == "gpt-oss:20b is unloaded\n"
    assert listed(jetbox, server)["gpt-oss:20b"]["loaded"] is None


def test_long_stays_are_told_in_hours_and_days(jetbox: Jetbox, sim_server: Sim) -> None:
    server = sim_server()
    for keep, told in (("960h", "for 40 days"), ("3h", "for 3 h")):
        jetbox("models", "warm", "gpt-oss:20b", "--host", server.url, "--set", f"model.keep_alive={keep}")
        assert told in jetbox("models", "--host", server.url).stdout


def test_a_small_model_has_a_size_too(jetbox: Jetbox) -> None:
    model = {"name": "tiny:1m", "model": "tiny:1m", "size": 21_500_000, "digest": "d" * 64}
    replies = {
        "/api/version": {"version": "0.33.3"},
        "/api/tags": {"models": [model]},
        "/api/ps": {"models": [model | {"size_vram": 21_500_000}]},
        "/api/show": {"capabilities": ["completion"]},
    }

    class Tiny(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(replies[self.path]).encode()
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Tiny) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        told = jetbox("models", "--host", f"http://127.0.0.1:{server.server_port}").stdout
        server.shutdown()
    assert told.count("21.5 MB") == 2
    assert "0.0 GB" not in told


def test_a_model_that_found_no_room_on_the_gpu_is_said_to_be_on_the_cpu(jetbox: Jetbox, sim_server: Sim) -> None:
    server = sim_server(vram=0.01)
    done = jetbox("models", "warm", "gpt-oss:20b", "--host", server.url, "--num-ctx", "8192")
    assert done.stdout == "gpt-oss:20b is loaded with a window of 8,192, 100% on CPU\n"
    report = json.loads(
        jetbox("doctor", "--json", "-m", "gpt-oss:20b", "--host", server.url, "--num-ctx", "16384").stdout
    )
    window = next(check for check in report["checks"] if check["name"] == "window")
    assert window["state"] == "warn"
    assert (
        "16,384 tokens of at most 131,072: as it is set; all of gpt-oss:20b is worked on by the CPU" in window["said"]
    )


def test_what_is_measured_is_kept_and_shown(jetbox: Jetbox, sim_server: Sim) -> None:
    server = sim_server(speed=10, profile="C")
    done = jetbox("models", "measure", "llama3.2:3b", "--repeats", "1", "--json", "--host", server.url)
    (measured,) = json.loads(done.stdout)
    assert measured["measured"]["load_s"]["n"] == 1
    assert measured["measured"]["decode_tokens_per_s"]["median"] > 100
    assert [taken["what"] for taken in measured["taken"]] == ["load", "read cold", "read again", "write", "call"]
    shown = listed(jetbox, server)["llama3.2:3b"]["measured"]
    assert shown == measured["measured"]
    words = jetbox("models", "show", "llama3.2:3b", "--host", server.url).stdout
    assert "reads" in words
    assert "tok/s (n 1), not counting what was cached" in words


def test_a_session_leaves_its_figures(jetbox: Jetbox, sim_server: Sim, write_script: WriteScript) -> None:
    script = write_script(step(call("write_file", path="a.txt", content="a\n")), finish())
    server = sim_server(scripts=[str(script)])
    options = ("--yolo", "--no-sandbox", "--host", server.url, "-m", "gpt-oss:20b", "--set", "probes.enabled=false")
    assert jetbox("run", "Write a", *options).returncode == 0
    measured = listed(jetbox, server)["gpt-oss:20b"]["measured"]
    assert (measured["calls"], measured["calls_ok"]) == (2, 2)
    assert (measured["ttft_new_ms"]["n"], measured["ttft_warm_ms"]["n"]) == (1, 1), "the first prompt was read whole"
    table = jetbox("models", "--host", server.url).stdout.splitlines()
    assert table[0].split()[-3:] == ["green", "best", "at"]
    assert jetbox("run", "Write a", "--no-session", *options).returncode == 0
    assert listed(jetbox, server)["gpt-oss:20b"]["measured"] == measured, (
        "nothing is kept of a session without a record"
    )


def test_a_model_whose_calls_fail_is_said_to_be_for_questions(
    jetbox: Jetbox, sim_server: Sim, write_script: WriteScript
) -> None:
    fails = [call("read_file", path=f"none{n}.txt") for n in range(4)]
    script = write_script(step(*fails, call("list_dir", path=".")), step(fails[0], send="xml-error"), finish())
    server = sim_server(scripts=[str(script)])
    options = ("--yolo", "--no-sandbox", "--host", server.url, "-m", "gpt-oss:20b", "--set", "probes.enabled=false")
    for _ in range(2):
        assert jetbox("run", "Write a", *options).returncode == 0
    model = listed(jetbox, server)["gpt-oss:20b"]
    assert model["best_at"] == "questions: its calls fail"
    (row,) = [line for line in jetbox("models", "--host", server.url).stdout.splitlines() if line.startswith("gpt-oss")]
    assert row.endswith("questions: its calls fail")


def test_a_session_goes_on_with_another_model(jetbox: Jetbox, sim_server: Sim, write_script: WriteScript) -> None:
    script = write_script(step(text="Well.", think="Hm."), step(text="And so."))
    server = sim_server(scripts=[str(script)])
    options = ("--host", server.url, "--output-format", "stream-json")
    assert jetbox("run", "Say it", "-m", "gpt-oss:20b", *options).returncode == 0
    done = jetbox("run", "-c", "-m", "llama3.2:3b", "Say more", *options)
    assert done.returncode == 0, done.stderr
    events = [e for line in done.stdout.splitlines() if (e := json.loads(line).get("event"))]
    (switched,) = [event for event in events if event["type"] == "model.switched"]
    assert (switched["old"], switched["new"]) == ("gpt-oss:20b", "llama3.2:3b")
    assert switched["expected"]["tokens"] > 500
    assert [event["model"] for event in events if event["type"] == "model.switch_paid"] == ["llama3.2:3b"]
    last = json.loads(server.stats()["bodies"][-1]["body"])
    assert not any("thinking" in message for message in last["messages"])


def test_a_session_goes_on_over_another_protocol(jetbox: Jetbox, sim_server: Sim, write_script: WriteScript) -> None:
    steps = (step(call("list_dir", path="."), think="Hm."), step(text="Empty."), step(text="Still empty."))
    server = sim_server(scripts=[str(write_script(*steps))])
    assert jetbox("run", "Look", "-m", "gpt-oss:20b", "--host", server.url).returncode == 0
    done = jetbox(
        "run", "-c", "Look again", "-m", "gpt-oss:20b", "--host", f"{server.url}/v1", "--set", "model.protocol=openai"
    )
    assert done.returncode == 0, done.stderr
    sent = json.loads(server.stats()["bodies"][-1]["body"])["messages"]
    made = next(message for message in sent if message.get("tool_calls"))
    result = next(message for message in sent if message["role"] == "tool")
    assert json.loads(made["tool_calls"][0]["function"]["arguments"]) == {"path": "."}
    assert result["tool_call_id"] == made["tool_calls"][0]["id"] != ""
    assert "tool_name" not in result


def test_a_rule_without_models_is_refused_and_one_with_them_is_told(
    jetbox: Jetbox, sim_server: Sim, write_script: WriteScript
) -> None:
    server = sim_server(scripts=[str(write_script(step(text="Well.")))])
    refused = jetbox("run", "Say it", "--profile", "hybrid", "--host", server.url)
    assert refused.returncode == 2
    assert "routing by phase needs the names of two models" in refused.stderr
    named = ("--set", "routing.small=llama3.2:3b", "--set", "routing.large=gpt-oss:20b")
    done = jetbox("run", "Say it", "--profile", "hybrid", "--host", server.url, *named)
    assert done.returncode == 0, done.stderr
    assert "routing by phase: llama3.2:3b, scaffold: the small model drafts" in done.stderr


@pytest.mark.parametrize(("mode", "how"), [("complexity", "flag"), ("phase", "variable"), ("evidence", "setting")])
def test_a_session_begins_with_the_model_that_is_named_whatever_the_rule(
    jetbox: Jetbox, sim_server: Sim, write_script: WriteScript, mode: str, how: str
) -> None:
    server = sim_server(scripts=[str(write_script(step(text="Well."), step(text="So it is.")))])
    rule = {"routing.mode": mode, "routing.small": "llama3.2:3b", "routing.large": "gpt-oss:20b"}
    settings = [word for name, value in rule.items() for word in ("--set", f"{name}={value}")]
    named = {"flag": ("-m", OTHER), "setting": ("--set", f"model.name={OTHER}"), "variable": ()}[how]
    env = {"env": {"OLLAMA_MODEL": OTHER}} if how == "variable" else {}
    done = jetbox("run", "Say it", "--host", server.url, *settings, *named, **env)
    assert done.returncode == 0, done.stderr
    assert f"routing by {mode}: {OTHER}, " in done.stderr
    assert "llama3.2:3b" not in done.stderr
    assert {json.loads(body["body"])["model"] for body in server.stats()["bodies"]} == {OTHER}


def test_a_model_is_pulled(jetbox: Jetbox, sim_server: Sim) -> None:
    server = sim_server()
    done = jetbox("models", "pull", "qwen3:8b", "--host", server.url)
    assert done.stdout == "qwen3:8b is there\n"
    assert "pulling manifest" in done.stderr
    assert "qwen3:8b" in listed(jetbox, server)


@pytest.mark.parametrize(
    ("arguments", "flavour", "words"),
    [
        (("show", "nix"), "ollama", "the server does not have nix; it has: gpt-oss:20b"),
        (("warm", "nix"), "ollama", "jetbox-tui models pull nix"),
        (("show", "nix"), "vllm", "name one of those"),
        (("pull", "nix"), "ollama", "nobody has a model nix"),
    ],
)
def test_a_model_that_is_not_there_is_said(
    jetbox: Jetbox, sim_server: Sim, arguments: tuple[str, ...], flavour: str, words: str
) -> None:
    done = jetbox("models", *arguments, "--host", sim_server(flavour=flavour).url)
    assert done.returncode == 6
    assert words in done.stderr
    assert len(done.stderr.splitlines()) <= 3


def test_no_server_and_no_such_word_are_said(jetbox: Jetbox) -> None:
    done = jetbox("models", "--host", "http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (6, "")
    assert "no Ollama server answers" in done.stderr
    wrong = jetbox("models", "lst")
    assert wrong.returncode == 2
    assert "lst" in wrong.stderr


def test_routing_begins_with_the_rules_first_model_and_is_refused_with_one_that_cannot_be_used(
    jetbox: Jetbox, sim_server: Sim, write_script: WriteScript
) -> None:
    server = sim_server(scripts=[str(write_script(step(text="Yes."), step(text="Yes.")))])
    rule = ("--set", "routing.mode=evidence", "--set", "routing.small=llama3.2:3b", "--host", server.url)
    done = jetbox("run", *rule, "--set", "routing.large=gpt-oss:20b", "Is it?")
    assert (done.returncode, done.stdout.strip()) == (0, "Yes."), done.stderr
    assert "cannot use" not in done.stderr
    assert {json.loads(body["body"])["model"] for body in server.stats()["bodies"]} == {"llama3.2:3b"}
    found = jetbox("doctor", "--json", *rule, "--set", "routing.large=gpt-oss:20b")
    assert {check["name"]: check["state"] for check in json.loads(found.stdout)["checks"]}["model"] == "ok"
    for large, why in (("nope", "the server does not have nope"), ("gemma2:2b", "cannot call tools")):
        done = jetbox("run", *rule, "--set", f"routing.large={large}", "Is it?")
        assert (done.returncode, done.stdout) == (6, "")
        assert f"routing by evidence cannot use {large}: " in done.stderr
        assert why in done.stderr
