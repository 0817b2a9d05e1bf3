"""Which model a session works with, and what the server says of it."""

from __future__ import annotations

from jetbox.engine.errors import ForeignServer, ModelError, ModelNotFound, ModelUnfit, ServerBusy, ServerUnreachable
from jetbox.engine.models.base import ChatModel, ModelInfo
from jetbox.engine.models.names import misnamed
from jetbox.engine.options import ModelOptions


async def choose_model(model: ChatModel, name: str) -> ModelInfo:
    """The model to use and what the server says of it.

    Raises:
        ServerUnreachable, ModelNotFound, ModelUnfit
    """
    if not name:
        installed = await model.installed()
        if len(installed) != 1:
            there = ", ".join(m.name for m in installed) or "nothing yet"
            raise ModelNotFound(
                f"no model was named, and the server has: {there}",
                "name one with --model" if installed else _get_one(model, "gpt-oss:20b"),
            )
        name = installed[0].name
    if why := misnamed(name):
        raise _misnamed(name, why)
    try:
        info = await model.info(name)
    except (ServerUnreachable, ServerBusy, ForeignServer):
        raise
    except ModelError as error:
        # Whose rules hold is known once somebody has answered.
        if why := misnamed(name, ollama=model.manages):
            raise _misnamed(name, why) from error
        if not isinstance(error, ModelNotFound):
            raise
        there = ", ".join(m.name for m in await model.installed()) or "nothing yet"
        raise ModelNotFound(
            f"the server does not have {name}; it has: {there}",
            f"get it with `jetbox-tui models pull {name}`, or there with `ollama pull {name}`"
            if model.manages
            else "name one of those with --model",
        ) from error
    if info.capabilities and "tools" not in info.capabilities:
        fit = [m.name for m in await model.installed() if "tools" in m.capabilities]
        raise ModelUnfit(
            f"{name} cannot call tools, which an agent needs",
            f"choose one that can: {', '.join(fit)}" if fit else _get_one(model, "qwen3:8b"),
        )
    return info


def _misnamed(name: str, why: str) -> ModelNotFound:
    return ModelNotFound(f"no model can have the name {name!r}: {why}", "see `jetbox-tui models list`")


def options_for(info: ModelInfo, options: ModelOptions) -> ModelOptions:
    """The options as far as this model takes them: a wish to think is left out where it cannot, or becomes one that
    it knows."""
    import msgspec

    can, think = info.capabilities, options.think
    if think in ("", "false"):
        return options
    if can and "thinking" not in can:
        think = ""
    elif info.levels and think not in ("true", *info.levels):
        think = "high" if think == "max" and "high" in info.levels else ""
    return options if think == options.think else msgspec.structs.replace(options, think=think)


def _get_one(model: ChatModel, example: str) -> str:
    """How a server comes to a model that can call tools."""
    if model.manages:
        return f"get one that can call tools, for example with `jetbox-tui models pull {example}`"
    return f"start {model.product} with a model that can call tools"


def duration_ns(text: str) -> int:
    """A Go duration ("30m", "1h30m", "90") in ns; negative for ever; 0 where it cannot be read."""
    import re

    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3}
    if text.lstrip("-").isdigit():
        return int(text) * 10**9
    found = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    seconds = sum(float(n) * units[unit] for n, unit in found)
    return int(seconds * 1e9) * (-1 if text.startswith("-") else 1)
