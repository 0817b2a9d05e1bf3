"""The adapter for a server, by the protocol that it speaks."""

from __future__ import annotations

from collections.abc import Mapping

from jetbox.engine.models.base import ChatModel
from jetbox.engine.options import ModelOptions


def speaks_openai(options: ModelOptions) -> bool:
    """OpenAI's protocol where it is asked for or the host ends with `/v1`, else Ollama's own."""
    return options.protocol == "openai" or (options.protocol == "auto" and options.host.rstrip("/").endswith("/v1"))


def connect(options: ModelOptions, key: str = "") -> ChatModel:
    """The adapter, by the protocol; `key` is for servers that want one."""
    if not speaks_openai(options):
        from jetbox.engine.models.ollama import OllamaModel

        return OllamaModel(options.host, key)
    from jetbox.engine.models.openai_compat import OpenAIModel

    return OpenAIModel(options.host, key)


async def key_for(options: ModelOptions, environ: Mapping[str, str], *, prompts: bool = True) -> str:
    """The key that is configured for the server; empty where it is still to be found out whether it wants one.

    `prompts`: a keyring may ask for its password on the terminal.

    Raises:
        SettingsError: it is not where it should be.
    """
    if not speaks_openai(options) and options.protocol != "ollama":
        return ""
    from jetbox.engine.models.keys import api_key

    return await api_key(options, environ, prompts=prompts)


async def connected(options: ModelOptions, environ: Mapping[str, str], *, prompts: bool = True) -> ChatModel:
    """The adapter, with the key that is configured; the protocol is found out where nothing names it.

    `prompts`: a keyring may ask for its password on the terminal.

    Raises:
        SettingsError: it is not where it should be.
    """
    if options.protocol != "auto" or speaks_openai(options):
        return connect(options, await key_for(options, environ, prompts=prompts))
    from jetbox.engine.models.either import EitherModel

    async def key() -> str:
        from jetbox.engine.models.keys import api_key

        return await api_key(options, environ, prompts=prompts)

    return EitherModel(options.host, key)


def key_of(model: ChatModel) -> str:
    """The key that an adapter sends along; empty where there is none."""
    return str(getattr(model, "key", ""))
