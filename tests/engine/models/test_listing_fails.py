from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from engine.rig import Rig
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine.errors import SettingsError
from jetbox.engine.models.catalog import Catalog
from jetbox.engine.models.desk import ModelsDesk
from scripted import finish


async def test_a_list_that_fails_is_an_answer_too(
    rig: Callable[..., Awaitable[Rig]], monkeypatch: pytest.MonkeyPatch
) -> None:
    live = await rig(finish())
    desk = asyncio.create_task(ModelsDesk(live.parts).run())
    await asyncio.sleep(0)
    monkeypatch.setattr(Catalog, "look", broken)
    live.submit(c.ListModels())
    assert (await live.until(e.Notice, level="error")).text == "that failed here: ZeroDivisionError: the moon is full"
    assert (await live.until(e.ModelsListed)).problem == "that failed here: ZeroDivisionError: the moon is full"
    monkeypatch.undo()
    live.submit(c.ListModels(anew=True))
    assert not (await live.until(e.ModelsListed)).problem
    desk.cancel()
    await asyncio.wait([desk])


async def test_a_server_that_is_gone_is_told_with_what_to_do(rig: Callable[..., Awaitable[Rig]]) -> None:
    live = await rig(finish())
    desk = asyncio.create_task(ModelsDesk(live.parts).run())
    await asyncio.sleep(0)
    await asyncio.to_thread(live.server.stop)
    live.submit(c.ListModels(anew=True))
    listed = await live.until(e.ModelsListed)
    assert listed.problem.startswith(f"no Ollama server answers at {live.server.url} — start it with `ollama serve`")
    desk.cancel()
    await asyncio.wait([desk])


async def broken(*_: object, **__: object) -> None:
    raise ZeroDivisionError("the moon is full")


async def bad_proxy(*_: object, **__: object) -> None:
    raise SettingsError("https_proxy names no proxy that can be used", "unset https_proxy")


async def test_what_fails_beside_the_list_is_no_empty_list(
    rig: Callable[..., Awaitable[Rig]], monkeypatch: pytest.MonkeyPatch
) -> None:
    live = await rig(finish())
    desk = asyncio.create_task(ModelsDesk(live.parts).run())
    await asyncio.sleep(0)
    for failing, level, text, hint in (
        (broken, "error", "that failed here: ZeroDivisionError: the moon is full", ""),
        (bad_proxy, "warning", "https_proxy names no proxy that can be used", "unset https_proxy"),
    ):
        monkeypatch.setattr(Catalog, "look", failing)
        live.submit(c.WarmModel("gpt-oss:20b"))
        told = await live.until(e.Notice, level=level)
        assert (told.text, told.hint) == (text, hint)
    assert not live.events(e.ModelsListed)
    live.submit(c.ListModels())
    problem = (await live.until(e.ModelsListed)).problem
    assert problem == "https_proxy names no proxy that can be used \N{EM DASH} unset https_proxy"
    desk.cancel()
    await asyncio.wait([desk])
