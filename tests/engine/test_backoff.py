"""How long a server that is busy is left alone before it is asked again, by a clock that the test moves on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest

from engine.conftest import OpenRig
from engine.gateway import answer, gateway
from engine.moving import Clock
from engine.rig import Rig, within
from jetbox.engine import events as e
from jetbox.engine import retries
from jetbox.engine.models.connect import connect
from jetbox.engine.options import ModelOptions
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, step

YES = step(text="Yes and no.")
BASE = [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
BUSY = b'{"error":"server busy, please try again.  maximum pending requests exceeded"}'


async def waits(live: Rig, clock: Clock, goal: asyncio.Task[e.GoalEnded], count: int) -> list[float]:
    """The seconds that were told of so many pauses; each is over as soon as it was told."""
    told = []
    for number in range(1, count + 1):
        pause = (await live.until(e.Waiting, what="retrying")).expected_ns / 1e9
        assert len(live.events(e.RequestSent)) == number, "nothing is sent before the pause is over"
        told.append(pause)
        clock.forward(pause)
    await within(goal)
    return told


def gaps(live: Rig) -> list[float]:
    """Seconds from each refusal to the request that followed it."""
    live.of()  # all that there is
    ends = [s.t for s in live.seen if isinstance(s.event, e.ModelAnswered)]
    sent = [s.t for s in live.seen if isinstance(s.event, e.RequestSent)]
    return [(after - before) / 1e9 for before, after in zip(ends[:-1], sent[1:], strict=True)]


@pytest.mark.parametrize(
    ("drawn", "pauses"), [(0.0, BASE), (1.0, [0.625, 1.25, 2.5, 5.0, 5.0, 5.0]), (0.5, [1.125 * n for n in BASE])]
)
async def test_pauses_double_up_to_four_seconds_and_are_longer_by_a_quarter_at_most(
    rig: OpenRig, clock: Clock, monkeypatch: pytest.MonkeyPatch, drawn: float, pauses: Sequence[float]
) -> None:
    monkeypatch.setattr(retries, "random", lambda: drawn)
    live = await rig(YES, faults=("busy:6",), clock=clock, model={"retries": 6})
    goal = live.start()
    assert await waits(live, clock, goal, len(pauses)) == pytest.approx(pauses)
    assert goal.result().outcome == "answered"
    assert all(gap >= pause for gap, pause in zip(gaps(live), pauses, strict=True)), "they are really waited for"
    shas = {sent.sha for sent in live.events(e.RequestSent)}
    assert len(shas) == 1, "nothing of it was answered: it is the same request"


async def test_clients_that_were_refused_together_do_not_come_together_again(rig: OpenRig, clock: Clock) -> None:
    found = []
    for _ in range(2):
        live = await rig(YES, faults=("busy:99",), clock=clock)
        goal = live.start()
        pauses = await waits(live, clock, goal, 4)
        assert goal.result().outcome == "failed", "four pauses by default, and the fifth refusal is the last"
        assert all(base < pause < 1.25 * base for base, pause in zip(BASE, pauses, strict=False))
        assert all(one < other for one, other in pairwise(pauses)), "however they fall, each is longer than the last"
        found.append(pauses)
    assert found[0] != found[1]


@pytest.mark.parametrize("protocol", ["ollama", "openai"])
@pytest.mark.parametrize(("status", "seconds"), [(429, 30.0), (503, 30.0), (503, 119.5), (503, 0.0), (503, 121.0)])
async def test_the_pause_that_a_server_asks_for_is_kept_to_exactly(
    tmp_path: Path,
    write_script: WriteScript,
    sim_server: Callable[..., ServerProcess],
    clock: Clock,
    protocol: Literal["ollama", "openai"],
    status: int,
    seconds: float,
) -> None:
    server = sim_server(scripts=[str(write_script(YES))], flavour="vllm" if protocol == "openai" else "ollama")
    refusal = answer(status, BUSY, *([f"Retry-After: {seconds:g}"] if seconds else []))
    async with gateway(server.url, refusal) as host:
        client = connect(ModelOptions(host=host, protocol=protocol))
        live = await Rig(server, tmp_path).open(client=client, clock=clock)
        goal = live.start()
        told = await waits(live, clock, goal, int(seconds <= retries.LONGEST_S))
        await live.close()
    if seconds > retries.LONGEST_S:
        assert (goal.result().outcome, len(live.events(e.RequestSent))) == ("failed", 1)
        assert "it asks to be left alone for 2 min" in goal.result().reason
    elif seconds:
        assert told == [seconds], "no jitter: the server said when"
        assert gaps(live)[0] >= seconds
    else:
        assert 0.5 < told[0] < 0.625
