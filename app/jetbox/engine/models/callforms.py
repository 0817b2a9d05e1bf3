"""The forms in which models write calls: what each begins with, and how it is read.

Every reader takes the text and the place where its form begins, and gives the calls there with the place behind
them; none where they are not whole. Where at the top of a text they stand is told by `toplevel.py`, and whether they
may be run by `repair.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from jetbox.engine.models.calltags import Tags, arguments_between, past_spaces
from jetbox.engine.models.mendjson import Loose, read, read_string
from jetbox.engine.models.pythonic import BEGIN, NAME, read_calls


class Found(msgspec.Struct, frozen=True):
    """A call, with its arguments as JSON."""

    name: str
    arguments: str
    end: int
    closed: bool = True
    """False where it ended before what belongs at its end."""
    between: bool = False
    """Its arguments stood between tags."""
    doubtful: bool = False
    """And one of them may itself hold such tags."""


Reader = Callable[[str, int], list[Found]]

OBJECT = r"\{\s*+(?:[\"'}<]|\w+\s*:)"
OBJECTS = re.compile(rf"(?:\[\s*+)?{OBJECT}")
CALL_LIST = re.compile(rf"\[\s*+{NAME}\s*+\(")
"""What every object, list of objects and list of calls begins with: where a form's reader reads on behind that and
finds none, nothing further on is looked at."""
FENCES = ("", "json", "jsonc", "tool_call", "tool_calls", "tool_code", "tool", "xml", "python", "py")
"""Languages of code blocks that may hold a call which is meant."""
_NAMES = ("name", "tool", "tool_name", "function_name")
_ARGUMENTS = ("arguments", "parameters", "args", "input", "params")
_WRAPPED = ("function", "tool_call", "function_call")

_SPACE = r"(?:\]<\]minimax\[>\[)?"
"""What MiniMax M3 puts before each of its tags."""
_SPACED = r"(?:[｜|]{1,2}DSML[｜|]{1,2}|[a-z]{1,12}:)?"
"""The namespace of a tag: DeepSeek's, MiniMax's, Seed's, Step's."""
_BLOCKS = r"(?:(?:longcat_)?tool_calls?|function_calls?|calls|tools?|TOOLCALL)"
TAG = (
    rf"{_SPACE}<{_SPACED}{_BLOCKS}>|<\|tool_call\|>|<\|tool_call_start\|>|<\|START_ACTION\|>|"
    r"<\|action_start\|>(?:\s*<\|plugin\|>)?|<\|function_call\|>|\bfunction call<\|role_sep\|>|\bfunctools(?=\[)"
)
_NAMESAKE = r"(?:invoke|function|tool_call|tool)"
INVOKE = rf"{_SPACE}<{_SPACED}{_NAMESAKE}\s(?:[^<>]{{0,80}}?\s)?name\s*=\s*[\"']?{NAME}[\"']?[^<>]{{0,80}}>"
HARMONY = (
    r"(?:<\|start\|>)?(?:assistant\s{0,20}+)?(?:<\|channel\|>)?(?:(?:commentary|analysis)\s{0,20}+)?\bto="
    r"(?:functions\.)?(?=[A-Za-z_])"
)
TOKENS = r"<[｜|]tool[▁_]calls?(?:[▁_]section)?[▁_]begin[｜|]>"
"""DeepSeek's and Kimi's."""
GEMMA = r"(?:<\|tool_call>:?\s*|<start_function_call>\s*|(?m:^)[ \t]*)call:(?=\w)"
_OPEN, _CLOSE, _SEP = r"<\|open\|>\s*", r"<\|close\|>\s*", r"\s*<\|sep\|>"
KIMI_3 = rf"(?:{_CLOSE}response{_SEP}\s*)?(?:{_OPEN}tools{_SEP}\s*)?(?={_OPEN}(?:call|argument)\b)"
"""The end of the words before its calls, up to the first of them."""
APERTUS = r"<\|tools_prefix\|>"
RECIPIENT = rf"(?<!>)>>>(?={NAME}[ \t]*+\n\s*+\{{)"
"""Functionary's."""
NAMED = rf"(?m:^) {{0,3}}(?:functions\.)?(?={NAME}(?::\d+)?[ \t]*+(?:\n[ \t]*+)?(?:\([ \t]*+)?\{{)"
"""A name and an object, which is what is left of some forms where a server leaves special tokens out."""

_TAGS = re.compile(rf"(?:(?:{TAG})\s*)+")
_HARMONY = re.compile(
    rf"{HARMONY}(?P<name>{NAME})"
    r"(?:<\|channel\|>(?:commentary|analysis))?\s*+(?:<\|constrain\|>)?\s*+(?:json|code)?\s*+(?:<\|message\|>)?\s*+(?=\{)"
)
_FUNCTION = re.compile(rf"<function=(?P<name>{NAME})>")
_INVOKE = re.compile(INVOKE.replace(_NAMESAKE, f"(?P<tag>{_NAMESAKE})").replace(NAME, f"(?P<name>{NAME})"))
_GLM = re.compile(rf"\s*(?P<name>{NAME})\s*(?:<tool_sep>\s*)?(?=<arg_key>|</tool_call>)")
_LINE = re.compile(rf"(?P<name>{NAME})\s*(?=\{{)")
_MISTRAL = re.compile(rf"\s*(?P<name>{NAME})(?:\[CALL_ID\][\w\-]+)?(?:\[ARGS\])?\s*(?=\{{)")
_TOKENS = re.compile(rf"(?:{TOKENS}\s*)+(?:function<[｜|]tool[▁_]sep[｜|]>\s*)?")
_AFTER_TOKENS = re.compile(
    rf"(?:functions\.)?(?P<name>{NAME})(?::\d+)?\s*+"
    r"(?:<[｜|]tool[▁_]sep[｜|]>|<\|tool_call_argument_begin\|>)?\s*+(?:```(?:json)?\s*+)?(?=[{\"])"
)
_CALL = re.compile(rf"(?:{GEMMA})(?P<name>{NAME})\s*(?=\{{)")
_NAMED = re.compile(
    rf" {{0,3}}(?:functions\.)?(?P<name>{NAME})(?::\d+)?[ \t]*+(?:\n[ \t]*+)?(?P<open>\(?)[ \t]*+(?=\{{)"
)
_KIMI_3_BEGINS = re.compile(KIMI_3)
_KIMI_3 = re.compile(rf"{_OPEN}call\s+tool=\"(?P<name>{NAME})\"[^<>]{{0,80}}{_SEP}")
_KIMI_3_ENDS = re.compile(rf"{_CLOSE}call{_SEP}")
_RECIPIENT = re.compile(rf">>>(?P<name>{NAME})[ \t]*+\n\s*+")
_STRAY = re.compile(r"[}\]]{1,3}")
CLOSERS = re.compile(
    rf"(?:\s|{_SPACE}</{_SPACED}(?:{_BLOCKS}|invoke|function|function_invocation)>|\[/TOOL_CALLS\]|"
    r"<\|/?(?:call|end|return|im_end|eom_id|eot_id|eot|eom|role_end|message_sep|tool_call_end|tool_calls_section_end|"
    r"python_end|action_end|END_ACTION|END_OF_TURN_TOKEN|tools_suffix|assistant_end|end_of_msg)\|>|</s>|"
    rf"{_CLOSE}(?:call|tools|response|message){_SEP}|"
    r"<\|/tool_call\|>|<\|tool_call\|>(?=\s*\Z)|<[｜|]tool[▁_]calls?[▁_]end[｜|]>|<[｜|]end[▁_]of[▁_]sentence[｜|]>|<tool_call\|>|<end_function_call>|<turn\|>|<end_of_turn>)*"
)
"""What may stand behind a call."""


_PARAMETERS = Tags(
    re.compile(r"<parameter=(?P<key>[\w.\-]+)>"),
    re.compile(r"</parameter>"),
    re.compile(r"</(?:function|tool_call)>|\Z"),
    r"<parameter[=\s][^<>]{1,80}>",
)
_PAIRS = Tags(
    re.compile(r"<arg_key>\s*(?P<key>[\w.\-]+)\s*</arg_key>\s*<arg_value>"),
    re.compile(r"</arg_value>"),
    re.compile(r"</tool_call>|\Z"),
    "<arg_value>",
)
_KIMI_3_ARGUMENTS = Tags(
    re.compile(rf"{_OPEN}argument\s+key=\"(?P<key>[\w.\-]+)\"[^<>]{{0,40}}{_SEP}"),
    re.compile(rf"{_CLOSE}argument{_SEP}"),
    _KIMI_3_ENDS,
    rf"{_OPEN}argument\s[^<>]{{1,80}}{_SEP}",
)
_ARGUMENT = re.compile(
    rf"{_SPACE}<{_SPACED}(?P<word>parameter|param|arg)\s+name\s*=\s*[\"']?(?P<key>[\w.\-]+)[\"']?[^<>]{{0,40}}>"
)
_BARE_ARGUMENT = re.compile(r"\]<\]minimax\[>\[<(?P<key>\w+)>")


def tagged(text: str, at: int) -> list[Found]:
    """`<tool_call>{...}</tool_call>`, the inside in any of its forms."""
    tag = _TAGS.match(text, at)
    if tag is None:
        return []
    inside = tag.end()
    if text.startswith("<function=", inside):
        return function(text, inside)
    if _INVOKE.match(text, inside):
        return _row(text, inside)
    if glm := _GLM.match(text, inside):
        read_ = arguments_between(text, glm.end(), _PAIRS, block=False)
        return [_between(glm, *read_, text.startswith("</tool_call>", read_[1]))] if read_ else []
    if line := _LINE.match(text, inside):
        return _with_json(text, line)
    return _json(text, inside, begins=True) or pythonic(text, inside)


def function(text: str, at: int) -> list[Found]:
    """`<function=n><parameter=k>v</parameter></function>`, or with JSON inside."""
    opening = _FUNCTION.match(text, at)
    if opening is None:
        return []
    at = past_spaces(text, opening.end())
    if text.startswith("{", at):
        return [_past_end(call, text, "</function>") for call in _with_json(text, opening, at)]
    found = arguments_between(text, at, _PARAMETERS, block=True)
    if found is None or not _PARAMETERS.ends.match(text, found[1]):
        return []
    return [_past_end(_between(opening, *found, found[1] < len(text)), text, "</function>")]


def invoked(text: str, at: int) -> list[Found]:
    """`<invoke name="n"><parameter name="k">v</parameter></invoke>` in any namespace, or with JSON inside."""
    opening = _INVOKE.match(text, at)
    if opening is None:
        return []
    at = past_spaces(text, opening.end())
    if text.startswith("{", at):
        return _with_json(text, opening, at)
    ends = re.compile(rf"{_SPACE}</{_SPACED}{opening['tag']}>")
    if argument := _ARGUMENT.match(text, at):
        tags = Tags(
            _ARGUMENT,
            re.compile(rf"{_SPACE}</{_SPACED}{argument['word']}>"),
            ends,
            rf"<{_SPACED}{argument['word']}[=\s][^<>]{{1,80}}>",
        )
    else:
        tags = Tags(_BARE_ARGUMENT, re.compile(r"\]<\]minimax\[>\[</\w+>"), ends, _BARE_ARGUMENT.pattern)
    found = arguments_between(text, at, tags, block=False)
    end = ends.match(text, found[1]) if found else None
    return [_between(opening, found[0], end.end())] if found and end else []


def kimi_3(text: str, at: int) -> list[Found]:
    """`<|open|>call tool="n" index="1"<|sep|>`, each argument as `<|open|>argument key="k" type="string"<|sep|>v`."""
    found: list[Found] = []
    begin = _KIMI_3_BEGINS.match(text, at)
    at = begin.end() if begin else at
    while opening := _KIMI_3.match(text, at):
        read_ = arguments_between(text, past_spaces(text, opening.end()), _KIMI_3_ARGUMENTS, block=False)
        end = _KIMI_3_ENDS.match(text, read_[1]) if read_ else None
        if read_ is None or end is None:
            return []
        found.append(_between(opening, read_[0], end.end()))
        at = past_spaces(text, end.end())
    return found


def apertus(text: str, at: int) -> list[Found]:
    """`<|tools_prefix|>[{"n": {...}}]<|tools_suffix|>`: a tool's name is the only key of its arguments."""
    loose = _read(text, past_spaces(text, at + len("<|tools_prefix|>")))
    if loose is None or not isinstance(loose.value, list):
        return []
    pairs = [list(each.items()) for each in loose.value if isinstance(each, dict) and len(each) == 1]
    calls = [(name, arguments) for ((name, arguments),) in pairs if isinstance(arguments, dict)]
    whole = len(calls) == len(loose.value)
    return [Found(name, _encoded(given), loose.end, loose.complete) for name, given in calls] if whole else []


def recipient(text: str, at: int) -> list[Found]:
    """Functionary: `>>>n`, and in the next line its arguments."""
    opening = _RECIPIENT.match(text, at)
    return _with_json(text, opening) if opening else []


def _row(text: str, at: int) -> list[Found]:
    """Calls one behind the other in one block."""
    found: list[Found] = []
    while calls := invoked(text, at):
        found += calls
        at = past_spaces(text, calls[-1].end)
    return found if not _INVOKE.match(text, at) else []


def _json(text: str, at: int, *, begins: bool = False) -> list[Found]:
    """An object or array that names a tool and its arguments; with `begins`, it is no part of anything."""
    loose = _read(text, at)
    if loose is None:
        return []
    end = loose.end
    if begins and loose.complete and (stray := _STRAY.match(text, end)):
        end = stray.end()
    value = loose.value
    if isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    values = value if isinstance(value, list) else [value]
    calls = [_named(each, end, closed=loose.complete) for each in values]
    return [call for call in calls if call is not None] if calls and None not in calls else []


def _named(value: Any, end: int, *, closed: bool) -> Found | None:
    if not isinstance(value, dict):
        return None
    inner = next((value[key] for key in _WRAPPED if isinstance(value.get(key), dict)), None)
    if inner is not None:
        value = inner
    if isinstance(value.get("steps"), list) and len(value) == 1:
        return Found("plan", _encoded(value), end, closed)
    name = next((value[key] for key in (*_NAMES, "function") if isinstance(value.get(key), str)), None)
    key = next((key for key in _ARGUMENTS if key in value), None)
    if name is None or key is None:
        return None
    arguments = value[key]
    if isinstance(arguments, str):
        loose = read(arguments.strip())
        arguments = loose.value if loose is not None else None
    return Found(name, _encoded(arguments), end, closed) if isinstance(arguments, dict) else None


def mistral(text: str, at: int) -> list[Found]:
    """`[TOOL_CALLS][{...}]` and `[TOOL_CALLS]name[ARGS]{...}`, `[ARGS]` left out at times."""
    at = past_spaces(text, at + len("[TOOL_CALLS]"))
    if opening := _MISTRAL.match(text, at):
        return _with_json(text, opening)
    return _json(text, at, begins=True)


def harmony(text: str, at: int) -> list[Found]:
    """gpt-oss: `<|channel|>commentary to=functions.n <|constrain|>json<|message|>{...}`."""
    opening = _HARMONY.match(text, at)
    return _with_json(text, opening) if opening else []


def by_tokens(text: str, at: int) -> list[Found]:
    """DeepSeek: `<｜tool▁call▁begin｜>n<｜tool▁sep｜>{...}`; Kimi: `<|tool_call_begin|>functions.n:0<|...|>{...}`.

    Step puts an invoke tag there.
    """
    tokens = _TOKENS.match(text, at)
    if tokens is None:
        return []
    opening = _AFTER_TOKENS.match(text, tokens.end())
    if opening is None:
        return invoked(text, tokens.end())
    if text.startswith('"', opening.end()):
        packed = read_string(text, opening.end())
        loose = read(packed[0].strip()) if packed is not None else None
        if packed is None or loose is None or not loose.complete or not isinstance(loose.value, dict):
            return []
        return [_with(opening, loose.value, packed[1])]
    calls = _with_json(text, opening)
    return [_past_end(call, text, "```") for call in calls]


def gemma(text: str, at: int) -> list[Found]:
    """`<|tool_call>call:n{k:<|"|>v<|"|>}<tool_call|>`, with FunctionGemma's marks, or without the tag."""
    opening = _CALL.match(text, at)
    return _with_json(text, opening) if opening else []


def named(text: str, at: int) -> list[Found]:
    """`n{...}`, `n({...})` or `functions.n:0{...}` on a line of its own."""
    opening = _NAMED.match(text, at)
    calls = _with_json(text, opening) if opening else []
    if opening is None or not calls or not opening["open"]:
        return calls
    end = past_spaces(text, calls[0].end)
    return [msgspec.structs.replace(calls[0], end=end + 1)] if text.startswith(")", end) else []


def pythonic(text: str, at: int) -> list[Found]:
    """`[f(a=1), g()]`, or calls one after another: with constants for arguments, as Python writes them."""
    for tag in ("<|python_tag|>", "<|python_start|>"):
        at = _past_tag(text, at, tag)
    at = past_spaces(text, at)
    if text.startswith("{", at):
        return _json(text, at)
    calls = read_calls(text, at) if not text.startswith("[", at) or CALL_LIST.match(text, at) else []
    return [Found(call.name, _encoded(call.arguments), call.end) for call in calls]


def bare(text: str, at: int) -> list[Found]:
    """An object or array by itself."""
    return _json(text, past_spaces(text, at), begins=past_spaces(text, 0) >= at)


def _read(text: str, at: int) -> Loose | None:
    """The same as `read`, which goes to the text's end for what is none: only of what begins as objects do."""
    return read(text, at) if OBJECTS.match(text, at) else None


def _with_json(text: str, opening: re.Match[str], at: int = -1) -> list[Found]:
    loose = _read(text, at if at >= 0 else opening.end())
    if loose is None or not isinstance(loose.value, dict):
        return []
    return [_with(opening, loose.value, loose.end, loose.complete)]


def _with(opening: re.Match[str], arguments: dict[str, Any], end: int, closed: bool = True) -> Found:
    return Found(opening["name"], _encoded(arguments), end, closed)


def _between(opening: re.Match[str], arguments: dict[str, str], end: int, closed: bool = True) -> Found:
    """With arguments that stood between tags: one over lines, or with half of a quotation, may hold such tags."""
    doubtful = any("\n" in value or value.count('"') % 2 or value.count("'") % 2 for value in arguments.values())
    return msgspec.structs.replace(_with(opening, arguments, end, closed), between=True, doubtful=doubtful)


def _past_end(call: Found, text: str, tag: str) -> Found:
    return msgspec.structs.replace(call, end=_past_tag(text, past_spaces(text, call.end), tag))


def _encoded(arguments: Any) -> str:
    return msgspec.json.encode(arguments).decode()


def _past_tag(text: str, at: int, tag: str) -> int:
    return at + len(tag) if text.startswith(tag, at) else at


KEYS = (
    "name|tool|tool_name|function_name|function|type|id|arguments|parameters|args|input|params|steps|"
    "tool_calls?|tool_call_id|function_call|thoughts?|reasoning|explanation"
)
"""What may be the first member of a call."""
TAGS = "tool_call tags"
HARMONIES, BARE, PYTHONIC, A_NAME = "harmony", "bare JSON", "pythonic", "a name and JSON"
FORMS: dict[str, tuple[str, Reader]] = {
    TAGS: (rf"(?:(?:{TAG})\s*+)+", tagged),
    "function tags": (rf"<function={NAME}>", function),
    "invoke tags": (INVOKE, invoked),
    "TOOL_CALLS": (r"\[TOOL_CALLS\]", mistral),
    "special tokens": (rf"(?:{TOKENS}\s*+)+", by_tokens),
    "Gemma's call": (GEMMA, gemma),
    "Kimi K3's call": (KIMI_3, kimi_3),
    "Apertus's calls": (APERTUS, apertus),
    "a recipient": (RECIPIENT, recipient),
    "python tag": (r"<\|python_(?:tag|start)\|>", pythonic),
    HARMONIES: (HARMONY, harmony),
    BARE: (rf"(?m:^)[ \t]*+(?=(?:\[\s{{0,200}})?\{{\s{{0,200}}[\"']?(?:{KEYS})\b)", bare),
    PYTHONIC: (BEGIN, pythonic),
    A_NAME: (NAMED, named),
}
"""Each with what it begins with and its reader, in the order in which they are tried."""
