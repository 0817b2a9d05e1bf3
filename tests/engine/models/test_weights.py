"""Models of the same weights, over HTTP: the server holds those once, under the name that they were loaded by."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from jetbox.engine.models.base import LoadedModel
from jetbox.engine.models.catalog import Catalog
from jetbox.engine.models.listing import as_told
from jetbox.engine.models.manage import unload, warm
from jetbox.engine.models.ollama import OllamaModel
from jetbox.engine.models.ollama_lists import Show
from jetbox.engine.models.weights import Weights
from jetbox.engine.options import ModelOptions
from jetbox.sim.launch import ServerProcess

BASE, MADE, OTHER = "qwen2.5-coder:7b", "coder-16k:latest", "llama3.2:3b"
OPTIONS = ModelOptions()


@pytest_asyncio.fixture
async def model(sim_server: Callable[..., ServerProcess]) -> AsyncIterator[OllamaModel]:
    made = OllamaModel(sim_server(models=["all"]).url)
    yield made
    await made.close()


async def test_what_is_made_of_loaded_weights_is_loaded(model: OllamaModel) -> None:
    await warm(model, BASE, OPTIONS, 8192)
    assert [(each.name, each.also) for each in await model.running()] == [(BASE, ())]
    await model.info(MADE)
    await model.info(OTHER)
    (held,) = await model.running()
    assert (held.name, held.also, held.window) == (BASE, (MADE,), 8192)
    assert [held.serves(name) for name in (BASE, MADE, OTHER)] == [True, True, False]
    await warm(model, MADE, OPTIONS, 8192)
    assert [each.name for each in await model.running()] == [BASE], "nothing was loaded"


async def test_one_that_is_loaded_under_its_own_name_has_no_other(model: OllamaModel) -> None:
    await warm(model, MADE, OPTIONS, 8192)
    await model.info(MADE)
    assert [(each.name, each.also) for each in await model.running()] == [(MADE, ())]
    await unload(model, BASE, OPTIONS)
    assert await model.running() == []


async def test_the_list_says_as_what_it_is_held(model: OllamaModel) -> None:
    await warm(model, BASE, OPTIONS, 8192)
    await model.info(MADE)
    listing = await Catalog(model).look()
    told = {entry.info.name: as_told(entry, 0) for entry in listing.entries}
    assert {name: one.loaded_as for name, one in told.items() if one.loaded} == {BASE: "", MADE: BASE}


async def test_a_model_is_asked_for_its_file_once(model: OllamaModel, monkeypatch: pytest.MonkeyPatch) -> None:
    await warm(model, BASE, OPTIONS, 8192)
    await warm(model, OTHER, OPTIONS, 8192)
    await model.info(MADE)
    asked: list[str] = []
    show = model._show

    async def counted(name: str) -> Show:
        asked.append(name)
        return await show(name)

    monkeypatch.setattr(model, "_show", counted)
    for _ in range(3):
        assert sorted(each.also for each in await model.running()) == [(), (MADE,)]
    assert sorted(asked) == sorted((BASE, OTHER))


DIGEST = "sha256-" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("file", "same"),
    [
        (f"# FROM coder\n\nFROM /var/lib/models/blobs/{DIGEST}\nTEMPLATE x\n", True),
        (f"FROM C:\\Users\\me\\models\\blobs\\{DIGEST}\r\nPARAMETER num_ctx 16384\r\n", True),
        (f"FROM /blobs/{DIGEST}\nADAPTER /blobs/{DIGEST[:-1]}0\n", False),
        (f"FROM /blobs/{DIGEST[:-1]}0\n", False),
        (f'LICENSE """\nsee FROM /blobs/{DIGEST} for more\n"""\n', False),
        ("FROM coder:7b\n", False),
        ("", False),
    ],
)
async def test_what_a_model_is_made_of_stands_in_its_file(file: str, same: bool) -> None:
    weights = Weights()
    weights.told("mine", file)

    async def modelfile(name: str) -> str:
        return f"FROM /elsewhere/{DIGEST.replace('-', ':')}\n"

    (held,) = await weights.named([LoadedModel("theirs")], modelfile)
    assert held.serves("mine") == same
