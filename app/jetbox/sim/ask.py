"""A chat request, read and checked as Ollama checks it."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from jetbox.sim import catalog, fields, player
from jetbox.sim.durations import keep_alive_seconds
from jetbox.sim.http import ApiError
from jetbox.sim.setup import Setup

LAUNCH = ("num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict")
LEVELS = ("low", "medium", "high", "max")
CHOICES = '"high", "medium", "low", "max", true, or false'
NAME = re.compile(r"(?:[\w.:-]+/)*[\w.-]+(?::[\w.-]+)?", re.ASCII)
LACKING = "model '{}' not found"


class Asked(NamedTuple):
    """A checked request."""

    model: catalog.Model
    named: str
    """What the request calls the model, and so the answer."""
    messages: list[dict[str, Any]]
    tools: list[Any]
    think: Any
    stream: bool
    truncate: bool
    options: dict[str, Any]
    launch: dict[str, Any]
    keep_alive: float | None
    logprobs: bool = False
    top_logprobs: int = 0
    format: Any = None
    deltas: bool = False
    """Calls are sent in parts, arguments as pieces of JSON."""
    progress: bool = False
    """Words about the progress of the prompt are wanted."""
    debug: bool = False
    """The rendered prompt is wanted, and no answer."""
    send: str = ""
    """How calls are sent where no script says it; empty for what the model's parser does."""
    fixed_window: bool = False
    """A prompt that is too long is refused, whatever is asked for."""

    @property
    def thinking(self) -> bool:
        """True where the model is to think."""
        return "thinking" in self.model.capabilities and self.think is not False


def parse(body: bytes, setup: Setup) -> Asked:
    """Check a request.

    Raises:
        ApiError: with the status and the words that Ollama has for it.
    """
    data = read_json(body, "ChatRequest")
    fields.check_request(data)
    return asked(data, setup, player.as_messages(data.get("messages") or []), "chat")


def asked(data: dict[str, Any], setup: Setup, messages: list[dict[str, Any]], use: str) -> Asked:
    """Check what chat and generate requests have in common; `use` is which of them it is.

    Raises:
        ApiError: with the status and the words that Ollama has for it.
    """
    think = _think(data.get("think"))
    keep_alive = keep_alive_seconds(data.get("keep_alive"))
    if not 0 <= (data.get("top_logprobs") or 0) <= 20:
        raise ApiError(400, "top_logprobs must be between 0 and 20")
    model = require_model(data.get("model"), setup.models)
    if model.remote_host:
        raise ApiError(401, "unauthorized", signin_url=f"{model.remote_host}/connect?name=scripted")
    if "completion" not in model.capabilities:
        raise ApiError(400, f'"{data["model"]}" does not support {use}')
    if think and "thinking" not in model.capabilities:
        raise ApiError(400, f'"{data["model"]}" does not support thinking')
    if (wanted := data.get("format")) and wanted != "json" and not isinstance(wanted, dict):
        said = json.dumps(json.dumps(wanted))
        raise ApiError(500, f'invalid format: {said}; expected "json" or a valid JSON Schema object')
    tools = data.get("tools") or []
    if tools and "tools" not in model.capabilities:
        raise ApiError(400, f"registry.ollama.ai/library/{model.name} does not support tools")
    options = data.get("options") or {}
    fields.check_options(options)
    return Asked(
        model=model,
        named=data["model"],
        messages=messages,
        tools=tools,
        think=think,
        stream=data.get("stream") is not False,
        truncate=data.get("truncate") is not False,
        options=options,
        launch=launch_options(model, options, data.get("shift"), setup.default_ctx),
        keep_alive=keep_alive,
        logprobs=data.get("logprobs") is True and setup.tells_logprobs,
        top_logprobs=int(data.get("top_logprobs") or 0),
        format=data.get("format"),
        debug=data.get("_debug_render_only") is True,
    )


def launch_options(model: catalog.Model, options: dict[str, Any], shift: Any, default_ctx: int) -> dict[str, Any]:
    """What a model must be loaded with to serve such a request: any difference loads it again."""
    window = min(int(options.get("num_ctx") or default_ctx), model.context_length)
    return {"num_ctx": window, "shift": shift, **{n: options[n] for n in LAUNCH if n in options}}


def read_json(body: bytes, struct: str) -> dict[str, Any]:
    """The object in a request body; `struct` is what it should have been decoded into.

    Raises:
        ApiError: there is none.
    """
    if not body.strip():
        raise ApiError(400, "missing request body")
    try:
        data: dict[str, Any] = json.loads(body)
    except json.JSONDecodeError as error:
        rest = error.doc[error.pos :].strip()
        raise ApiError(
            400, f"invalid character '{rest[0]}' looking for beginning of value" if rest else "unexpected EOF"
        ) from error
    except ValueError as error:
        raise ApiError(400, "invalid character in string literal") from error
    fields.check_object(data, struct)
    return data


def require_model(
    name: str | None, installed: tuple[catalog.Model, ...], *, full: bool = False, lacking: str = LACKING
) -> catalog.Model:
    """The model that a request names; `full` says what is missing with its tag, `lacking` in which words.

    Raises:
        ApiError: none is named, or it is not installed.
    """
    if not name:
        raise ApiError(400, "model is required")
    if not NAME.fullmatch(name):
        raise ApiError(400, "invalid model name")
    model = catalog.find(name, installed)
    if model is None:
        raise ApiError(404, lacking.format(catalog.with_tag(name) if full else name))
    return model


def shown(body: bytes, setup: Setup) -> catalog.Model:
    """The model that a question about a model names.

    Raises:
        ApiError: with the status and the words that Ollama has for it.
    """
    data = read_json(body, "ShowRequest")
    for name in ("model", "name"):
        fields.check_text(data, name, "ShowRequest")
    return require_model(data.get("model") or data.get("name"), setup.models, full=setup.release >= (0, 30))


def _think(value: Any) -> Any:
    if value is None or isinstance(value, bool) or value in LEVELS:
        return value
    if isinstance(value, str):
        raise ApiError(400, f'invalid think value: "{value}" (must be {CHOICES})')
    raise ApiError(400, f"think must be a boolean or string ({CHOICES})")
