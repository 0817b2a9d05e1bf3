"""A request's preparation: timed stage by stage, counted once, and of what is new alone."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import msgspec
import pytest

import jetbox
from engine.conftest import OpenRig
from jetbox.engine import events as e
from jetbox.engine.context import history as module
from jetbox.engine.context.carry import Reader
from jetbox.engine.context.history import History, shared
from jetbox.engine.context.wire import OllamaWire, Wanted
from jetbox.engine.options import ModelOptions
from jetbox.engine.session import Feed, NoRecorder, Session
from scripted import call, finish, step

WANTED = Wanted(4096, 100)
STAGES = {"shorten", "budget", "render", "compare", "count", "assemble"}


def opened() -> tuple[History, Feed]:
    session = Session(NoRecorder())
    feed = session.feed()
    log = History(session, OllamaWire())
    log.head("m", ModelOptions(), b"[]")
    log.system("be brief")
    log.user("do it")
    return log, feed


def a_round(log: History, n: int = 0) -> None:
    log.assistant(f"answer {n}", "", [])
    log.tool("read_file", "", f"{n} " * 400)


def counts(feed: Feed) -> list[e.MessagesCounted]:
    return [s.event for s in feed.drain().events if isinstance(s.event, e.MessagesCounted)]


# ---------------------------------------------------------------- what it costs


async def test_every_stage_is_a_span_of_its_round(rig: OpenRig) -> None:
    live = await rig(
        step(call("write_file", path="a.txt", content="a\n"), call("list_dir")),
        finish(),
        routing={"mode": "complexity", "small": "gpt-oss:20b", "large": "llama3.2:3b"},
    )
    assert (await live.run()).exit_code == 0
    rounds = live.events(e.RoundEnded)
    for ended in rounds:
        own = {span.name for span in ended.spans if span.phase == "context" and span.name}
        assert own >= STAGES
        start = min(span.start for span in ended.spans)
        assert all(start <= span.start <= span.end <= start + ended.wall_ns for span in ended.spans)
        assert sum(ended.phases.values()) == ended.wall_ns
    assert {span.name for span in rounds[0].spans} >= {"journal", "routing"}
    tools = {(span.name, span.ref) for span in rounds[0].spans if span.phase == "tools" and span.name}
    wrote, looked = (called.call for called in live.events(e.ToolCalled)[:2])
    assert tools == {("write_file", wrote), ("journal", wrote), ("list_dir", looked)}


def test_whatever_comes_to_an_end_says_how_long_it_took() -> None:
    kinds = {kind.__struct_config__.tag: kind for kind in get_args(e.AnyEvent)}
    over = ("ended", "answered", "done", "compacted", "warmed", "paid", "sandbox")
    ends = {tag: kind for tag, kind in kinds.items() if tag.endswith(over)}
    for kind in (e.PermissionAnswered, e.QuestionAnswered):  # waiting for the user is a span, and a phase of its own
        del ends[kind.__struct_config__.tag]
    assert len(ends) > 10
    for tag, kind in ends.items():
        timed = [f for f in kind.__struct_fields__ if f.endswith("_ns") or f == "cost"]
        assert timed, tag


def test_a_request_is_made_of_what_is_new_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Counting:
        def __init__(self, data: bytes = b"", inner: Any = None) -> None:
            self._inner = inner or hashlib.sha256()
            self.update(data)

        def update(self, data: bytes) -> None:
            seen.append(len(data))
            self._inner.update(data)

        def copy(self) -> Counting:
            return Counting(inner=self._inner.copy())

        def hexdigest(self) -> str:
            return str(self._inner.hexdigest())

    monkeypatch.setattr(module, "hashlib", SimpleNamespace(sha256=Counting))
    log, _ = opened()
    for n in range(50):
        a_round(log, n)
    log.body(WANTED)
    seen.clear()
    before = log.size
    a_round(log, 50)
    body = log.body(WANTED)
    assert sum(seen) == log.size - before + len(body.tail)
    assert body.sha == hashlib.sha256(body.data).hexdigest()


def test_the_hash_is_the_requests_whatever_happened_to_the_history() -> None:
    log, _ = opened()

    def agrees() -> None:
        body = log.body(WANTED)
        assert body.sha == hashlib.sha256(body.data).hexdigest()

    agrees()
    for n in range(3):
        a_round(log, n)
        agrees()
    log.amend("and this")
    agrees()
    log.replace([*log.said[:2], *log.said[-2:]])
    agrees()
    log.rewind(2)
    agrees()
    a_round(log)
    log.head("another", ModelOptions(), b"[]")
    log.read_by(Reader("another"))
    agrees()


async def test_the_model_is_chosen_while_the_goal_goes_to_the_disk(rig: OpenRig) -> None:
    class SlowDisk(NoRecorder):
        """Done with the goal once the model is chosen, and not before."""

        def __init__(self) -> None:
            self.chosen, self.waited = asyncio.Event(), 0

        def record(self, stamped: e.Stamped) -> None:
            if isinstance(stamped.event, e.Routed):
                self.chosen.set()
            if isinstance(stamped.event, e.RequestSent):
                assert self.waited, "a request left before the goal was on the disk"

        def begin_sync(self) -> Callable[[], Awaitable[None]]:
            async def wait() -> None:
                await self.chosen.wait()
                self.waited += 1

            return wait

    live = await rig(
        step(text="Yes."),
        recorder=SlowDisk(),
        routing={"mode": "complexity", "small": "gpt-oss:20b", "large": "llama3.2:3b"},
    )
    assert (await live.run()).outcome == "answered"


async def test_what_fits_loads_nothing_of_what_makes_it_shorter(rig: OpenRig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("compacting", "context.compact", "summary"):
        monkeypatch.setitem(sys.modules, f"jetbox.engine.{name}", None)
    live = await rig(step(call("list_dir")), step(text="Empty."))
    assert (await live.run()).outcome == "answered"


# ---------------------------------------------------------------- counts


def test_a_batch_sums_to_the_servers_figure() -> None:
    assert shared(10, [1, 1, 1]) == [3, 3, 4]
    assert sum(shared(997, [13, 400, 1, 90])) == 997
    assert shared(5, [1000]) == [5]


def test_a_message_is_counted_once_with_its_round_and_keeps_that() -> None:
    log, feed = opened()
    log.counted(60)
    (first,) = counts(feed)
    assert (first.first, len(first.tokens), first.head + sum(first.tokens)) == (0, 2, 60)
    log.counted(60)
    assert counts(feed) == [], "nothing is new"
    a_round(log)
    log.counted(360)
    (second,) = counts(feed)
    assert (second.first, len(second.tokens), sum(second.tokens), second.head) == (2, 2, 300, 0)
    assert log.tokens_of(log.parts[1], 1.0) == 360, "as counted, not by bytes"
    new = msgspec.json.encode({"role": "user", "content": "x" * 100})
    assert log.tokens_of([*log.parts[1], new], 2.0) == 360 + (len(new) + 1) / 2


@pytest.mark.parametrize("tokens", [10, 60, 100_000])
def test_a_figure_that_cannot_be_is_left_to_the_next_batch(tokens: int) -> None:
    log, feed = opened()
    log.counted(60)
    a_round(log)
    counts(feed)
    log.counted(tokens)
    assert counts(feed) == []
    a_round(log)
    log.counted(760)
    (both,) = counts(feed)
    assert (both.first, len(both.tokens), sum(both.tokens)) == (2, 4, 700)


def test_what_is_written_anew_is_counted_anew_and_what_stands_before_it_is_not() -> None:
    log, feed = opened()
    for n in range(3):
        a_round(log, n)
    log.counted(1000)
    counts(feed)
    log.replace([*log.said[:2], *log.said[-2:]])
    log.counted(500)
    (anew,) = counts(feed)
    assert (anew.first, len(anew.tokens)) == (2, 2)
    log.rewind(2)
    a_round(log)
    log.counted(520)
    (again,) = counts(feed)
    assert again.first == 2
    log.read_by(Reader("another"))
    log.counted(450)
    (other,) = counts(feed)
    assert (other.first, other.head + sum(other.tokens)) == (0, 450), "another model has other tokens"


async def test_a_session_counts_in_one_batch_a_round(rig: OpenRig) -> None:
    live = await rig(step(call("list_dir")), step(call("list_dir", path=".")), step(text="Empty."))
    await live.run()
    batches, answers = live.events(e.MessagesCounted), live.events(e.ModelAnswered)
    assert len(batches) == len(answers) == 3
    at = total = 0
    for batch, answer in zip(batches, answers, strict=True):
        assert batch.first == at
        at += len(batch.tokens)
        total += batch.head + sum(batch.tokens)
        assert total == answer.metrics["prompt_eval_count"]
    assert at == live.events(e.RequestSent)[-1].count


# ---------------------------------------------------------------- logging


def test_nothing_logs_beside_the_journal() -> None:
    """What happens is told as events; neither engine nor record writes lines for debugging on the way."""
    root = Path(jetbox.__file__).parent
    wrong = re.compile(r"^\s*(?:import|from) logging\b|\.debug\(", re.MULTILINE)
    paths = [path for part in ("engine", "record") for path in (root / part).rglob("*.py")]
    assert len(paths) > 100
    assert [path.name for path in paths if wrong.search(path.read_text())] == []


async def test_a_round_says_what_recording_it_took(rig: OpenRig) -> None:
    class Slow(NoRecorder):
        def record(self, stamped: e.Stamped) -> None:
            self.spent_ns += 1000

    live = await rig(step(call("list_dir")), step(text="Empty."), recorder=Slow())
    await live.run()
    took = [ended.log_ns for ended in live.events(e.RoundEnded)]
    kinds = live.kinds
    inside = kinds.index(e.RoundEnded) - kinds.index(e.RoundStarted)
    assert took[0] == 1000 * inside, "every event of the round, its beginning included"
    assert json.loads(msgspec.json.encode(live.events(e.RoundEnded)[1]))["log_ns"] == took[1] > 0
