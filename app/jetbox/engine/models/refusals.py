"""What a server's refusal means, by its status and its words: Ollama's, and those of servers with OpenAI's protocol."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from jetbox.engine.errors import (
    BadAnswer,
    CallGarbled,
    ContextOverflow,
    CountsRefused,
    ForeignServer,
    KeyWanted,
    LogprobsRefused,
    ModelError,
    ModelNotFound,
    ModelUnfit,
    OtherProtocol,
    OutOfMemory,
    RequestRefused,
    ServerBusy,
    ServerUnreachable,
    StillLoading,
    WordsDropped,
)
from jetbox.engine.models.http import Refused, retry_after
from jetbox.engine.models.mendlines import UNREADABLE
from jetbox.engine.models.nested import RESENT
from jetbox.engine.models.unreached import like_a_web_server, redirected, speaks_tls
from jetbox.engine.times import stretch

OVERFLOW = (
    "exceed_context_size",
    "exceeds the available context size",
    # The words of Ollama's own runners, before they were replaced by llama-server.
    "input length exceeds the context length",
    "longer than the context length",
    "Context size has been exceeded",
)
"""What servers of different ages say of a prompt that does not fit."""
NO_USER = "no user query found"
"""What it says where it has dropped the oldest messages, the goal among them, and the template needs one."""
NO_MEMORY = (
    *("out of memory", "cudamalloc failed", "requires more system memory", "unable to allocate"),
    *("failed to allocate", "insufficient memory", "free space in the kv cache"),
)
"""What it says of a load or a prompt that its memory does not do for."""
TOO_LARGE = 413
GARBLED = (
    *("error parsing tool call", "XML syntax error", "> closed by </", "failed to parse tool call"),
    "expected element type <",
)
"""What the server's parsers say of a call that they cannot read."""
NO_MODEL = re.compile(
    r"model.*(not found|not exist|not loaded)|no such model|no models? loaded|not find (base )?model", re.IGNORECASE
)
"""What is said of a model that is not there; other words for 404 are about the path."""
LONG = re.compile(
    r"context length|context window|context size|exceed_context_size|maximum context|max_model_len|too long"
    r"|at least 1, got 0",  # of room for an answer, says vLLM
    re.IGNORECASE,
)
LOADING = re.compile(r"loading model", re.IGNORECASE)
NO_JINJA = re.compile(r"--jinja")
NO_TOOLS = re.compile(r"tool.?choice|tool.?call.?parser|does not support tools", re.IGNORECASE)
COUNTED = (
    re.compile(r"\(?(?P<tokens>\d+)(?: tokens\)|\s+in the messages)"),
    re.compile(r'n_prompt_tokens\\?"?\s*:\s*(?P<tokens>\d+)'),
    re.compile(r"(?:first|contains) (?P<tokens>\d+) (?:input )?tokens"),
)
WINDOW = (
    re.compile(
        r"(?:context length is|context length \(|context size \(|length of only|max_model_len=)\s*(?P<window>\d+)"
    ),
    re.compile(r'n_ctx\\?"?\s*:\s*(?P<window>\d+)'),
)
HTTPS_WANTED = re.compile(rb"http request.{0,20} https (server|port)", re.IGNORECASE)
"""What servers with TLS say to whoever speaks to them without."""
LONG_S = 60.0
"""A wish to be left alone for so long is put in words."""
PASSING = (408, 425, 499)
"""What may be otherwise the next time, of the statuses that speak of the request."""
SPARED = {"logprobs": LogprobsRefused, "stream_options": CountsRefused}
"""Fields that a request can do without, and what is refused where words name one."""
UNFIT = (400, 422)
"""What is said of fields that are not known."""
KEY_PLACES = "a variable that model.api_key_env names, or into the keyring (model.api_key)"
NO_OPENAI = "check --host; model.protocol ollama is for Ollama's own"
NO_REASON = "no reason given"
SAID = 300
"""Characters of a server's words that are shown."""


def words_of(error: Any, most: int | None = SAID) -> str:
    """The first `most` characters of an error in any shape that servers use, in one line; JSON in its text too.

    For None it is all of them, as they came.
    """
    while True:
        if isinstance(error, str) and error.lstrip().startswith("{"):
            try:
                error = msgspec.json.decode(error, type=dict[str, Any])
            except UNREADABLE:
                return _one_line(error, most)
        if not isinstance(error, dict):
            return _one_line(str(error), most)
        told = (error[key] for key in ("error", "message", "detail", "msg", "type") if error.get(key))
        error = next(told, NO_REASON)


def _one_line(text: str, most: int | None) -> str:
    return text if most is None else " ".join(text.split())[:most] or NO_REASON


def text_of(raw: bytes, most: int | None = SAID) -> str:
    """The words of a body that holds an error."""
    try:
        return words_of(msgspec.json.decode(raw), most)
    except UNREADABLE:
        return "a page of HTML" if raw.lstrip()[:1] == b"<" else _one_line(raw.decode(errors="replace"), most)


def error_of(raw: bytes) -> str | None:
    """What stands at `error`, as text; None where it is none of Ollama's."""
    try:
        error = msgspec.json.decode(raw)["error"]
    except (KeyError, TypeError, *UNREADABLE):
        return None
    return error if isinstance(error, str) else msgspec.json.encode(error).decode()


def refusal(host: str, refused: Refused, by: Callable[..., ModelError], *, known: bool) -> ModelError:
    """What a server's refusal means, `by` its protocol; `known`: the server spoke that before."""
    return redirected(host, refused) if refused.status < 400 else by(host, refused, known=known)


def by_ollama(host: str, refused: Refused, *, known: bool = False) -> ModelError:
    """A refusal in Ollama's protocol."""
    status, raw, later = refused.status, refused.body, refused.retry_after
    text = error_of(raw)
    if status == 400 and HTTPS_WANTED.search(raw):
        return speaks_tls(host)
    if status == TOO_LARGE:
        return _too_large(raw)
    if text is None and status in (429, 502, 503, 504):
        return _gateway(host, status, later)
    if status == 403 and not raw:
        return ServerUnreachable(
            f"the server at {host} answers to its own names alone (403)",
            "ask it as 127.0.0.1, or start it with OLLAMA_HOST=0.0.0.0 where others may use it",
        )
    if status == 401:
        return _sign_in(host, raw)
    if (text is None and (status < 500 or (not known and like_a_web_server(status, raw)))) or (
        status == 404 and not NO_MODEL.search(text or "")
    ):
        return _no_ollama(host, status, raw, known=known)
    return _said_by_ollama(status, text_of(raw) if text is None else text, later)


def _said_by_ollama(status: int, text: str, later: str) -> ModelError:
    said = words_of(text)
    if status == 404:
        return ModelNotFound(said, "list what is there with `jetbox-tui models list`")
    if status in (429, 503):
        if loading := _loading(status, said):
            return loading
        return _busy(f"the server is busy: {said}", "wait, or stop what else uses it", later)
    long = status == 400 and LONG.search(said) is not None
    if known := _known_words(text, long=long, starving=status >= 500):
        return known
    if "does not support tools" in text:
        return ModelUnfit("the model cannot call tools", "choose one that can, with --model")
    if "does not support thinking" in text:
        return ModelUnfit("the model cannot think", "leave model.think empty, or choose another with --model")
    if "invalid think value" in text:
        return ModelUnfit(f"the server knows no such level of thinking: {said}", "set model.think")
    return _unknown(status, said)


def _gateway(host: str, status: int, later: str) -> ServerBusy:
    """Refused for now, and not by the server."""
    before = f"what stands before the server at {host}"
    if status == 429:
        words = f"{before} lets nothing through for now ({status})"
        return _busy(words, "wait, or stop what else uses it", later)
    return _busy(f"{before} does not reach it ({status})", "see whether the server runs", later)


def _no_ollama(host: str, status: int, raw: bytes, *, known: bool) -> ModelError:
    """A 4xx that Ollama does not give."""
    if status in PASSING:
        return _unknown(status, text_of(raw))
    if known:
        return _barred(host, status, raw)
    cure = f"check --host and OLLAMA_HOST; a server with OpenAI's protocol is named with its path: --host {host}/v1"
    if status == 403:
        return ForeignServer(_barred(host, status, raw).message, f"see what stands before it; {cure}")
    return OtherProtocol(f"what answers at {host} does not speak Ollama's protocol (status {status})", cure)


def _barred(host: str, status: int, raw: bytes) -> RequestRefused:
    """Refused by what is not the server itself, as far as can be told."""
    said = text_of(raw)[:200].strip() or "without a word"
    return RequestRefused(
        f"the server at {host} refused ({status}, {said})",
        "it seems to be what stands before the server, such as a gateway or a proxy: see its log and its rules",
    )


def _busy(said: str, hint: str, later: str) -> ServerBusy:
    """A refusal for now, with how long the server wants to be left alone, where that is long."""
    seconds = retry_after(later)
    if seconds >= LONG_S:
        said = f"{said}; it asks to be left alone for {stretch(seconds)}"
    return ServerBusy(said, hint, seconds)


def _loading(status: int, said: str) -> StillLoading | None:
    """What llama.cpp's server says until its model is there, whichever protocol it is asked in."""
    if status != 503 or not LOADING.search(said):
        return None
    return StillLoading(
        f"the server still loads its model ({status}: {said[:200]})",
        "it answers once that is done; see the server's log",
    )


def _known_words(whole: str, *, openai: bool = False, long: bool = False, starving: bool = True) -> ModelError | None:
    """What is said alike over both protocols, of a prompt, of memory, of a call; None for other words.

    `whole` is all of it: a call that is cut would be another one. It is looked for first, for in its arguments
    may stand what all the others are known by. `long` is for a prompt that is known by other words to be too long,
    `starving` whether the refusal can be for want of memory.
    """
    said = words_of(whole)
    if any(words in whole for words in GARBLED):
        found = re.search(r"raw='(.*)', err=", whole, re.DOTALL) or re.search(r"raw='(.*)", whole, re.DOTALL)
        return CallGarbled(
            "the server could not read the model's tool call",
            f"{RESENT}; models with a parser in the server do better",
            raw=found[1] if found else "",
        )
    if long or any(words in whole for words in OVERFLOW):
        return _openai_overflow(said) if openai else _ollama_overflow(whole)
    if NO_USER in whole:
        return _words_dropped(said)
    if starving and any(words in whole.lower() for words in NO_MEMORY):
        return _no_memory(said, openai=openai)
    return None


def _words_dropped(said: str) -> WordsDropped:
    return WordsDropped(
        f"the server takes less than the window that it was asked for, and dropped what you had said: {said[:200]}",
        "have the server take a larger window (OLLAMA_CONTEXT_LENGTH), or begin anew with a smaller goal",
    )


def _no_memory(said: str, *, openai: bool) -> OutOfMemory:
    lower = "start the server with a smaller window" if openai else "lower --num-ctx"
    return OutOfMemory(
        f"the server has not enough memory: {said[:200]}",
        f"{lower}, choose a smaller model, or stop what else uses its memory",
    )


def _too_large(raw: bytes) -> ContextOverflow:
    said = text_of(raw)[:200]
    return ContextOverflow(
        f"the request is too large for the server, or for what stands before it ({TOO_LARGE}): {said}",
        "have that let larger requests through, or begin anew with a smaller goal",
    )


def _unknown(status: int, said: str) -> BadAnswer:
    if status < 500 and status not in PASSING:
        words = f"the server refused the request ({status}): {said}"
        named = (kind for field, kind in SPARED.items() if status in UNFIT and field in said)
        return next(named, RequestRefused)(words, "it would be refused again; see the server's log")
    return BadAnswer(f"the server answered {status}: {said}", "see the server's log")


def _sign_in(host: str, raw: bytes) -> KeyWanted:
    said = text_of(raw)
    try:
        url = str(msgspec.json.decode(raw).get("signin_url", ""))
    except (AttributeError, *UNREADABLE):
        url = ""
    if url.startswith(("https://", "http://")):
        return KeyWanted(
            f"the server at {host} has to be signed in for this model (401: {said})",
            f"sign it in with `ollama signin`, or at {url[:SAID]}",
        )
    return KeyWanted(
        f"the server at {host} wants a sign-in or a key (401: {said})",
        f"a model in the cloud: `ollama signin`; a server with OpenAI's protocol: --host {host}/v1, "
        f"and its key into {KEY_PLACES}",
    )


def garbage(raw: bytes) -> BadAnswer:
    """What came in the place of a line of an answer."""
    if raw.lstrip()[:1] == b"<":
        hint = "see what stands before the server, such as a proxy or a gateway"
        return BadAnswer("a page of HTML stands in the answer's place", hint)
    if raw.startswith(b"\x1f\x8b"):
        hint = "nobody asked for that: see what stands before the server, such as a proxy or a gateway"
        return BadAnswer("the answer came compressed (gzip)", hint)
    return BadAnswer(f"garbage in the answer's stream: {raw[:60].decode(errors='replace')!r}", "see the server's log")


def reported(text: str) -> ModelError:
    """An error that Ollama reports in its own words."""
    return _known_words(text) or _in_mid_answer(words_of(text))


def _in_mid_answer(said: str) -> BadAnswer:
    return BadAnswer(f"the server reported an error in mid-answer: {said}", "see the server's log")


def _ollama_overflow(text: str) -> ContextOverflow:
    """With the two numbers out of llama-server's JSON, where they are there."""
    prompt = re.search(r'n_prompt_tokens\\?"?\s*:\s*(\d+)', text)
    window = re.search(r'n_ctx\\?"?\s*:\s*(\d+)', text)
    said = words_of(text)[:200]
    tokens, most = int(prompt[1]) if prompt else 0, int(window[1]) if window else 0
    if tokens and most:
        said = f"{tokens:,} tokens for a window of {most:,}"
    return ContextOverflow(
        f"the prompt does not fit the window: {said}",
        "raise --num-ctx, or begin a new session with a smaller goal",
        tokens,
        most,
    )


def by_openai(host: str, refused: Refused, *, known: bool = False) -> ModelError:
    """A refusal in OpenAI's protocol."""
    status, raw = refused.status, refused.body
    text = text_of(raw)
    if status == 400 and HTTPS_WANTED.search(raw):
        return speaks_tls(host)
    if raw.strip() and not raw.lstrip().startswith(b"{") and (status == 403 or (status == 404 and known)):
        return _barred(host, status, raw)
    if status in (401, 403):
        return KeyWanted(f"the server at {host}/v1 wants a key ({status})", f"put it into {KEY_PLACES}")
    if status in (429, 502, 503, 504):
        if loading := _loading(status, text):
            return loading
        words = f"the server is busy: {text[:200]}"
        return _busy(words, "wait, or stop what else uses it", refused.retry_after)
    if status == TOO_LARGE:
        return _too_large(raw)
    long = LONG.search(text) is not None or b"exceed_context_size" in raw
    if known_words := _known_words(text_of(raw, None), openai=True, long=long, starving=status >= 500):
        return known_words
    if not known and like_a_web_server(status, raw):
        return OtherProtocol(f"what answers at {host} does not speak OpenAI's protocol (status {status})", NO_OPENAI)
    return _said_by_openai(host, status, text)


def _said_by_openai(host: str, status: int, text: str) -> ModelError:
    if NO_JINJA.search(text):
        return ModelUnfit(f"the server does not take tools: {text[:200]}", "start llama-server with --jinja")
    if NO_TOOLS.search(text):
        return ModelUnfit(
            f"the server does not parse tool calls: {text[:200]}",
            "start it with its tool parser, for vLLM --enable-auto-tool-choice --tool-call-parser NAME",
        )
    if status == 404 and NO_MODEL.search(text):
        return ModelNotFound(text, "see what the server serves with `jetbox-tui models list`")
    if status == 404:
        words = f"what answers at {host} has no such path of OpenAI's protocol (404: {text[:200]})"
        return OtherProtocol(words, NO_OPENAI)
    return _unknown(status, text)


def reported_by_openai(error: Any) -> ModelError:
    """An error that a server with OpenAI's protocol reports in mid-answer."""
    return _known_words(words_of(error, None), openai=True) or _in_mid_answer(words_of(error))


def _openai_overflow(text: str) -> ContextOverflow:
    """With the two numbers, where the server says them."""
    tokens = next((int(found[1]) for each in COUNTED if (found := each.search(text))), 0)
    window = next((int(found[1]) for each in WINDOW if (found := each.search(text))), 0)
    return ContextOverflow(
        f"the prompt does not fit the window: {text[:200]}",
        "start the server with a larger window, or begin a new session with a smaller goal",
        tokens,
        window,
    )
