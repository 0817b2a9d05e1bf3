"""What servers with OpenAI's protocol say of their models: `/v1/models`, as values."""

from __future__ import annotations

from typing import Any

import msgspec


class Model(msgspec.Struct):
    """A model, with what servers say of its window."""

    id: str
    owned_by: str | None = None
    max_model_len: int | None = None
    context_length: int | None = None
    context_window: int | None = None
    meta: dict[str, Any] | None = None


class Models(msgspec.Struct):
    """The answer of `/v1/models`."""

    data: list[Model]


def window(model: Model) -> int:
    """Tokens of the window that it has there; 0 where the server does not say."""
    meta = model.meta or {}
    sizes = (
        model.max_model_len,
        model.context_length,
        model.context_window,
        meta.get("n_ctx"),
        meta.get("n_ctx_train"),
    )
    return next((size for size in sizes if isinstance(size, int) and size > 0), 0)
