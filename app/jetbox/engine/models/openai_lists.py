"""What servers with OpenAI's protocol say of their models: `/v1/models`, and llama.cpp's `/props`, as values."""

from __future__ import annotations

from typing import Any

import msgspec

from jetbox.engine.models.base import ModelInfo
from jetbox.engine.models.entries import entries

THINKS = ("think", "reason")
"""What a template of a model that thinks has in it."""


class Model(msgspec.Struct):
    """A model, with what servers say of its window."""

    id: str
    owned_by: str | None = None
    max_model_len: int | None = None
    context_length: int | None = None
    context_window: int | None = None
    meta: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    """Ray Serve's."""


class Models(msgspec.Struct):
    """The answer of `/v1/models`."""

    data: list[Any] | None
    """`null` of Ollama's, where it has none."""


class Caps(msgspec.Struct):
    """What llama.cpp found a template to have room for."""

    supports_tools: bool = False
    supports_tool_calls: bool = False


class Sees(msgspec.Struct):
    """What else than text llama.cpp takes for a model."""

    vision: bool = False


class Props(msgspec.Struct):
    """The answer of `/props`, of what llama.cpp's server was started with."""

    build_info: str = ""
    chat_template: str = ""
    chat_template_caps: Caps | None = None
    modalities: Sees | None = None


def models_of(models: Models) -> list[Model]:
    """Those that have a name."""
    return [model for model in entries(models.data, Model) if model.id]


def described(model: Model) -> ModelInfo:
    """The model; its size, weights and quantisation where the server, which is llama.cpp's, says so."""
    meta = model.meta or {}
    size, weights, kind = meta.get("size"), meta.get("n_params"), meta.get("ftype")
    return ModelInfo(
        name=model.id,
        max_ctx=window(model),
        size=size if isinstance(size, int) else 0,
        parameters=_weights(weights) if isinstance(weights, int) else "",
        quantisation=kind.removeprefix("(guessed) ").removeprefix("all ") if isinstance(kind, str) else "",
    )


def capabilities(props: Props) -> tuple[str, ...]:
    """What the model can do; nothing where its template has no words of tools: llama.cpp has a form for these too."""
    caps = props.chat_template_caps
    if caps is None or not (caps.supports_tools or caps.supports_tool_calls):
        return ()
    thinks = any(word in props.chat_template.lower() for word in THINKS)
    sees = props.modalities is not None and props.modalities.vision
    return ("completion", "tools", *(["thinking"] if thinks else []), *(["vision"] if sees else []))


def _weights(n: int) -> str:
    """Their number in words, as Ollama has it: `20.9B`, `648.0M`."""
    return f"{n / 1e9:.1f}B" if n >= 1e9 else f"{n / 1e6:.1f}M"


def window(model: Model) -> int:
    """Tokens of the window that it has there; 0 where the server does not say."""
    meta = {**(model.metadata or {}), **(model.meta or {})}
    sizes = (
        model.max_model_len,
        model.context_length,
        model.context_window,
        meta.get("n_ctx"),
        meta.get("n_ctx_train"),
        meta.get("max_request_context_length"),
    )
    return next((size for size in sizes if isinstance(size, int) and size > 0), 0)
