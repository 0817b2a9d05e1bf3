"""The adapter for a server, by the protocol that it speaks."""

from __future__ import annotations

from collections.abc import Mapping

from jetbox.engine.models.base import ChatModel
from jetbox.engine.options import ModelOptions


def connect(options: ModelOptions, environ: Mapping[str, str]) -> ChatModel:
    """OpenAI's protocol where it is asked for or the host ends with `/v1`, else Ollama's own."""
    openai = options.protocol == "openai" or (options.protocol == "auto" and options.host.rstrip("/").endswith("/v1"))
    if not openai:
        from jetbox.engine.models.ollama import OllamaModel

        return OllamaModel(options.host)
    from jetbox.engine.models.openai_compat import OpenAIModel

    return OpenAIModel(options.host, environ.get(options.api_key_env, "") if options.api_key_env else "")
