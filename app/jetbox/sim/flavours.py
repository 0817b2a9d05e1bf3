"""Servers that speak OpenAI's protocol, and where they differ in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jetbox.sim.http import BARE_JSON, JSON, encode

Fields = dict[str, Any]


def _ollama_error(status: int, message: str, fields: Fields) -> Any:
    kind = {400: "invalid_request_error", 404: "not_found_error"}.get(status, "api_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def _vllm_error(status: int, message: str, fields: Fields) -> Any:
    if status == 401:
        return {"error": "Unauthorized"}
    kind = {400: "BadRequestError", 404: "NotFoundError", 422: "UnprocessableEntityError"}.get(
        status, "InternalServerError"
    )
    return {"error": {"message": message, "type": kind, "param": fields.get("param"), "code": status}}


def _sglang_error(status: int, message: str, fields: Fields) -> Any:
    if status == 401:
        return {"error": "Unauthorized"}
    kind = {400: "BadRequestError", 404: "NotFoundError"}.get(status, "InternalServerError")
    return {"object": "error", "message": message, "type": kind, "param": None, "code": status}


def _llamacpp_error(status: int, message: str, fields: Fields) -> Any:
    kinds = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error"}
    kind = {**kinds, 501: "not_supported_error", 503: "unavailable_error"}.get(status, "server_error")
    return {"error": {"code": status, "message": message, "type": kind, **fields}}


def _lmstudio_error(status: int, message: str, fields: Fields) -> Any:
    if status == 401:
        code = {"type": "invalid_request_error", "param": None, "code": "invalid_api_key"}
        return {"error": {"message": message, **code}}
    return {"error": message}


def _vllm_overflow(size: int, limit: int, output: int) -> tuple[str, Fields]:
    if output > limit:
        return (
            f"max_tokens={output} cannot be greater than max_model_len={limit}. Please request fewer output tokens. "
            f"(parameter=max_tokens, value={output})",
            {"param": "max_tokens"},
        )
    return (  # it counts no further than it has to
        f"This model's maximum context length is {limit} tokens. However, your prompt contains at least {limit + 1} "
        "input tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input "
        f"prompt. (parameter=input_tokens, value={limit + 1})",
        {"param": "input_tokens"},
    )


def _sglang_overflow(size: int, limit: int, output: int) -> tuple[str, Fields]:
    return f"The input ({size} tokens) is longer than the model's context length ({limit} tokens).", {}


def _llamacpp_overflow(size: int, limit: int, output: int) -> tuple[str, Fields]:
    message = f"request ({size} tokens) exceeds the available context size ({limit} tokens), try increasing it"
    return message, {"type": "exceed_context_size_error", "n_prompt_tokens": size, "n_ctx": limit}


def _lmstudio_overflow(size: int, limit: int, output: int) -> tuple[str, Fields]:
    return (
        f"Trying to keep the first {size} tokens when context the overflows. However, the model is loaded with "
        f"context length of only {limit} tokens, which is not enough. Try to load the model with a larger context "
        "length, or provide a shorter input",
        {},
    )


class Flavour(NamedTuple):
    """A kind of server."""

    name: str
    title: str
    owner: str
    """`owned_by` of its models."""
    reasoning: str
    """Field of the thinking."""
    error: Callable[[int, str, Fields], Any]
    overflow: Callable[[int, int, int], tuple[str, Fields]] | None = None
    """Words for a prompt of so many tokens, with that window and output; None: it is cut in silence."""
    missing: Callable[[str, str], Any] | None = None
    """Reply to a path that it does not have."""
    deltas: bool = True
    """Arguments of calls come in pieces."""
    nulls: bool = False
    """Later pieces of a call have `id` and `name`, which are null."""
    opening: str | None = ""
    """`content` of the opening chunk, which has the role; absent for None."""
    fingerprint: str = ""
    one_model: bool = True
    any_name: bool = False
    """Whatever model is named, it is the one that it has."""
    timings: bool = False
    loads: bool = False
    """Models are loaded when asked for."""
    bounds_output: bool = False
    """An answer that may be longer than the window is refused."""
    parallel: int = 64
    kept_prompts: int = 64
    granularity: int = 1
    no_tools: tuple[int, str] | None = None
    """What it says of tools where it was started without a parser for them; None: calls come as text."""
    public: tuple[str, ...] = ("/health",)
    """Paths that need no key."""
    json: str = BARE_JSON
    """Type of its replies in OpenAI's protocol, and of those beside it."""
    json_end: bytes = b""
    """What stands behind each of them."""
    no_logprobs: str = ""
    """What it says where probabilities are wanted in a stream with tools; empty where it gives them."""
    streams_errors: bool = False
    """An error in a stream's place is framed like the stream."""

    def reply(self, path: str, value: Any, *, streamed: bool = False) -> tuple[bytes, str]:
        """The body and the type of a reply at that path; `streamed`: it stands in a stream's place."""
        if self.name == "ollama" and not path.startswith("/v1/"):
            return encode(value), BARE_JSON if streamed else JSON
        return encode(value) + self.json_end, self.json


FLAVOURS = {
    "ollama": Flavour(
        "ollama",
        "Ollama",
        "library",
        "reasoning",
        _ollama_error,
        deltas=False,
        fingerprint="fp_ollama",
        one_model=False,
        loads=True,
        parallel=1,
        kept_prompts=1,
        public=("/",),
        json_end=b"\n",
        streams_errors=True,
    ),
    "vllm": Flavour(
        "vllm",
        "vLLM",
        "vllm",
        "reasoning",
        _vllm_error,
        _vllm_overflow,
        lambda method, path: {"detail": "Not Found"},
        bounds_output=True,
        granularity=16,
        no_tools=(400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
        public=("/health", "/version"),
    ),
    "sglang": Flavour(
        "sglang",
        "SGLang",
        "sglang",
        "reasoning_content",
        _sglang_error,
        _sglang_overflow,
        lambda method, path: {"detail": "Not Found"},
        nulls=True,
    ),
    "llamacpp": Flavour(
        "llamacpp",
        "llama.cpp's server",
        "llamacpp",
        "reasoning_content",
        _llamacpp_error,
        _llamacpp_overflow,
        lambda method, path: _llamacpp_error(404, "File Not Found", {}),
        opening=None,
        fingerprint="b10488-9c3f2a1d",
        any_name=True,
        timings=True,
        parallel=4,
        kept_prompts=8,
        no_tools=(500, "tools param requires --jinja flag"),
        public=("/health", "/v1/models"),
        json=JSON,
        no_logprobs="logprobs is not supported with tools + stream",
    ),
    "lmstudio": Flavour(
        "lmstudio",
        "LM Studio",
        "organization_owner",
        "reasoning_content",
        _lmstudio_error,
        _lmstudio_overflow,
        lambda method, path: {"error": f"Unexpected endpoint or method. ({method} {path})"},
        one_model=False,
        loads=True,
        parallel=1,
        kept_prompts=1,
        public=(),
        json=JSON,
    ),
}
LACKS = ("tool-parser", "fitting-parser", "usage", "cached-tokens", "logprobs", "timings")
"""What a server can be started without."""
