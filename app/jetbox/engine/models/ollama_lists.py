"""What Ollama says of its models: `/api/tags`, `/api/show`, `/api/ps` and `/api/pull`, as values."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from jetbox.engine.models.base import LoadedModel, ModelInfo
from jetbox.engine.models.entries import entries


class Details(msgspec.Struct):
    """The `details` of a model."""

    family: str | None = ""
    parameter_size: str | None = ""
    quantization_level: str | None = ""
    context_length: int | None = 0


class Installed(msgspec.Struct):
    """A model of `/api/tags`."""

    name: str | None = ""
    model: str | None = ""
    """Its name once more; all that some tell."""
    size: int | None = 0
    digest: str | None = ""
    capabilities: list[str] | None = None
    details: Details | None = None
    remote_host: str | None = ""


class Tags(msgspec.Struct):
    """The answer of `/api/tags`."""

    models: list[Any] | None = None


class Thinking(msgspec.Struct):
    """How a model can be told to think; newer servers say it."""

    values: list[str | bool] | None = None


class Show(msgspec.Struct):
    """The answer of `/api/show`."""

    capabilities: list[str] | None = None
    model_info: dict[str, Any] | None = None
    details: Details | None = None
    remote_host: str | None = ""
    parameters: str | None = ""
    template: str | None = ""
    modelfile: str | None = ""
    thinking: Thinking | None = None


class Held(msgspec.Struct):
    """A model of `/api/ps`."""

    name: str | None = ""
    model: str | None = ""
    size: int | None = 0
    size_vram: int | None = 0
    context_length: int | None = 0
    expires_at: str | None = ""
    digest: str | None = ""


class Ps(msgspec.Struct):
    """The answer of `/api/ps`."""

    models: list[Any] | None = None


class Pulled(msgspec.Struct):
    """A line of `/api/pull`."""

    status: str | None = ""
    total: int | None = 0
    completed: int | None = 0
    error: str | None = ""


def full_name(name: str) -> str:
    """The name under which Ollama lists a model: with its tag, without the places that it assumes."""
    name = name.removeprefix("registry.ollama.ai/").removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def installed(tags: Tags) -> list[ModelInfo]:
    """The models that are there and have a name."""
    return [_listed(name, model) for model in entries(tags.models, Installed) if (name := model.name or model.model)]


def _listed(name: str, model: Installed) -> ModelInfo:
    details = model.details or Details()
    return ModelInfo(
        name=name,
        max_ctx=max(0, details.context_length or 0),
        capabilities=tuple(model.capabilities or ()),
        size=model.size or 0,
        digest=model.digest or "",
        family=details.family or "",
        parameters=details.parameter_size or "",
        quantisation=details.quantization_level or "",
        remote=model.remote_host or "",
    )


WINDOW = ".context_length"
NUMBER = re.compile(r"\d{1,18}(\.\d+)?")
TOOLS_AT_LAST = re.compile(r"if\s+and\s+(?:\$?\.Tools\s+\$last|\$last\s+\$?\.Tools)\b")
"""In a template of Ollama's own kind: tools where the message is the last one, as Llama 3.1 and 3.2 have it."""


def shown(name: str, show: Show) -> ModelInfo:
    """What the server says of one model."""
    details, told = show.details or Details(), show.model_info or {}
    levels = (show.thinking or Thinking()).values or ()
    return ModelInfo(
        name=name,
        max_ctx=next((n for key, n in told.items() if key.endswith(WINDOW) and isinstance(n, int) and n > 0), 0),
        capabilities=tuple(show.capabilities or ()),
        family=details.family or "",
        parameters=details.parameter_size or "",
        quantisation=details.quantization_level or "",
        remote=show.remote_host or "",
        kv_bytes=_kv_bytes(told),
        own_ctx=int(_own(show, "num_ctx") or 0),
        own_temperature=_own(show, "temperature"),
        levels=tuple(value for value in levels if isinstance(value, str)),
        moves_tools=TOOLS_AT_LAST.search(show.template or "") is not None,
    )


def _kv_bytes(model_info: dict[str, Any]) -> int:
    """Keys and values of a token at 16 bits, all layers as if they saw the whole window; 0 where unknown."""

    def number(*names: str) -> int:
        """The first of these that is told; where it is told for each layer, the largest."""
        for name in names:
            found = next((value for key, value in model_info.items() if key.endswith(f".{name}")), None)
            if isinstance(found, list):
                found = max((n for n in found if isinstance(n, int)), default=0)
            if isinstance(found, int) and found > 0:
                return found
        return 0

    layers, heads = number("block_count"), number("attention.head_count")
    width = number("attention.key_length") or (number("embedding_length") // heads if heads else 0)
    return 2 * 2 * layers * number("attention.head_count_kv", "attention.head_count") * width


def _own(show: Show, option: str) -> float | None:
    """What the model's own file sets an option to; None where it sets none."""
    for line in (show.parameters or "").splitlines():
        name, _, value = line.strip().partition(" ")
        if name == option and NUMBER.fullmatch(value.strip()):
            return float(value)
    return None


def held(ps: Ps) -> list[LoadedModel]:
    """The models in memory."""
    return [
        LoadedModel(name, m.size or 0, m.size_vram or 0, m.context_length or 0, m.expires_at or "", m.digest or "")
        for m in entries(ps.models, Held)
        if (name := m.name or m.model)
    ]
