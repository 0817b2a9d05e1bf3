"""Finds the tool calls that a server left in an answer's text.

Servers parse a model's calls out of its text, and fail where the model's habit is not the one
they expect: the call then stands in the text, in one of the forms of `callforms.py`. It is taken from
there only when the text consists of calls or ends with them, names a tool that was offered, and has
arguments that fit it; never out of a quotation, an example or a passage that goes on behind it, and not
where another call stands before it that cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice, pairwise
from typing import NamedTuple, Protocol

import msgspec

from jetbox.engine.models.base import Call, CallFunction
from jetbox.engine.models.callforms import A_NAME, APERTUS, FENCES, INVOKE, PYTHONIC, TAG, TAGS, TOKENS, Found
from jetbox.engine.models.mendjson import read
from jetbox.engine.models.pythonic import NAME, PRINTED, stands_alone
from jetbox.engine.models.shown import cited, quoted
from jetbox.engine.models.shown import shown as is_shown
from jetbox.engine.models.toplevel import Begun, Offered, Part, parts

Fits = Callable[[str, str], bool]
"""Takes a name and its arguments as JSON: whether such a tool was offered, and they fit it."""


class Offer(Protocol):
    """What was offered to the model."""

    def fits(self, name: str, arguments: str) -> bool:
        """Whether there is such a tool and it takes these arguments (JSON)."""
        ...

    def exact(self, name: str, arguments: str) -> bool:
        """Whether it fits, and knows every one of the arguments."""
        ...

    def offered(self, name: str) -> bool:
        """Whether there is a tool of this name."""
        ...

    def begins(self, word: str) -> bool:
        """Whether the name of a tool begins like this."""
        ...

    def takers(self, keys: frozenset[str]) -> list[str]:
        """The tools that know every one of these arguments and need no other."""
        ...


ASIDES = frozenset(
    [
        "description",
        "explanation",
        "reason",
        "reasoning",
        "purpose",
        "thought",
        "thoughts",
        "title",
        "is_background",
        "encoding",
        "recursive",
        "security_risk",
    ]
)
"""What models say of a call among its arguments, though no tool asks for it."""
_OF_FILES = frozenset(("content", "old", "new", "edits", "text"))
"""Arguments with text of files, which may itself hold tags."""
CANDIDATES = 20
"""Places of one form that are looked at: a long text about calls must not hold up the screen."""
_THOUGHTS = (
    *(("<think>", "</think>"), ("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]"), ("<|channel>", "<channel|>")),
    *(("<seed:think>", "</seed:think>"), ("<|START_THINKING|>", "<|END_THINKING|>")),
    *(("<|inner_prefix|>", "<|inner_suffix|>"), ("<|open|>think<|sep|>", "<|close|>think<|sep|>")),
)
_PYTHON = rf"(?m:^) {{0,3}}(?:{PRINTED})?\[?(?P<python>{NAME})\(\s*\w+\s*="
_MARKS = re.compile(
    rf"{TAG}|{INVOKE}|{TOKENS}|<\|tool_call>|<start_function_call>|"
    rf"<\|open\|>\s*(?:\w*call|tools\s*<)|{APERTUS}|>>>(?={NAME}\s)|"
    r"<function=|\[TOOL_CALLS?\]|<\|python_tag\|>|to=functions\.|(?m:^)call:\w+\{|"
    r"[\"']name[\"']\s*:\s*[\"']\w+[\"']\s*,\s*[\"'](?:arguments|parameters)[\"']\s*:|"
    rf"{_PYTHON}"
)
_BEGUN = re.compile(rf"```(?i:text|{'|'.join(FENCES)})[ \t]*\n(?:[ \t]*#[^\n]*\n)*[\s\[{{]*\Z")
"""A code block in which a call may stand, up to that."""
_NO_FENCE = re.compile(r"(?m)(?<=[^\s`])[ \t]*```(?=[ \t]+[^\s`])(?=[^`\n]*$)|(?<=\S\n)~{4,}+[ \t]*$")
"""What opens no block: ticks among the words of a line, and what underlines a heading."""
NEAR = 200
"""Characters behind a mark of a call in which its tool is named."""
_BEGIN = re.compile(r"[ \t]*")


class _Judge(NamedTuple):
    """What says whether a call that was found is one to be run."""

    fits: Fits
    offered: Offered
    cut: bool
    exact: Fits


class Recovered(msgspec.Struct, frozen=True):
    """Calls that stood in a text."""

    calls: tuple[Call, ...]
    text: str
    """What stood before them."""
    form: str
    doubted: bool = False
    """What stood before one of them leads to it, and does not say that it is the speaker's: it may be quoted."""


def recover(
    text: str,
    thinking: str,
    fits: Fits,
    *,
    offered: Offered = lambda name: False,
    exact: Fits | None = None,
    cut: bool = False,
) -> Recovered | None:
    """The calls at the end of an answer's text, or of its thinking where it has no text; None where there are none.

    `offered` tells which names are those of tools, `exact` whether one knows every argument. Where the answer was cut
    at its limit, what may lack its end is no call.
    """
    judge = _Judge(fits, offered, cut, exact or fits)
    said = _spoken(text, offered)
    if said:
        return _ending(said, judge) or _ending(_undoubled(said), judge)
    found = _ending(thinking.strip(), judge)
    return msgspec.structs.replace(found, text="", form=f"{found.form} in thinking") if found is not None else None


def _spoken(text: str, offered: Offered) -> str:
    """Without what the model thought before it spoke, where the server left that in the text."""
    text = text.strip()
    while tags := next((tags for tags in _THOUGHTS if text.startswith(tags[0])), None):
        _, ended, rest = text.partition(tags[1])
        if not ended:
            break
        text = rest.lstrip()
    for _, end in _THOUGHTS:
        at = _unnamed(text, end)
        if at >= 0 and not _begun(text[:at], offered):  # the beginning of what was thought stood in the prompt
            text = text[at + len(end) :].lstrip()
    return text.removeprefix("<|open|>response<|sep|>").removeprefix(">>>all\n")


def _unnamed(text: str, mark: str) -> int:
    """Where that mark stands outside of inline code; -1 where it does not."""
    at = text.find(mark)
    for _ in range(CANDIDATES):
        if at < 0 or text.count("`", text.rfind("\n", 0, at) + 1, at) % 2 == 0:
            return at
        at = text.find(mark, at + 1)
    return -1


def _undoubled(text: str) -> str:
    """Without what Ollama says twice: where a model's template has no mark for calls, its parser keeps the first piece
    of an answer from its first brace on, and adds that to the end."""
    first, second = text.find("{"), len(text)
    for _ in range(CANDIDATES):
        second = text.rfind("{", first + 1, second)
        if first < 0 or second < 0:
            break
        if text.startswith(text[second:], first):
            whole = read(text, second)
            # A piece that is none may be what came of another call.
            return text[:second] if text[second - 1] in "}]>`)" or (whole is not None and whole.complete) else ""
    return ""


def looks_like_a_call(text: str, offer: Offer) -> bool:
    """True where marks of a call stand in a text outside of code and quotations, with the name of a tool.

    A code block that begins with one and ends the text is no code that is shown.
    """
    for mark in islice(_MARKS.finditer(text), CANDIDATES):
        before, behind = _NO_FENCE.sub("", text[: mark.start()]), text[mark.start() :]
        within = before.count("```") % 2
        if (
            (behind.partition("```")[2].strip() or not _BEGUN.search(before) or is_shown(before))
            if within
            else quoted(before)
        ):
            continue
        if mark["python"]:
            if offer.offered(mark["python"].rpartition(".")[2]) and stands_alone(text, mark.start()):
                return True
            continue
        if mark.end() == len(text.rstrip()) and not before.rpartition("\n")[2].strip():
            return True  # nothing but its mark has come
        near = re.findall(NAME, behind[:NEAR])
        if any(offer.offered(word.removeprefix("functions.")) for word in near):
            return True
    return False


def lacks_its_end(text: str, offer: Offer) -> bool:
    """Whether what looks like a call has begun there, and is not whole: no words of an answer."""
    said = _spoken(text, offer.offered).rstrip()
    marks = islice(_MARKS.finditer(said), CANDIDATES)
    return _begun(said, offer.offered) or any(mark.end() == len(said) for mark in marks)


def recover_raw(raw: str, offer: Offer) -> Recovered | None:
    """The call that a server could not read; without a name it is for the one tool that takes its arguments."""
    found = _ending(raw.strip(), _Judge(offer.fits, offer.offered, cut=True, exact=offer.exact))
    if found is not None:
        return found
    start = raw.find("{")
    loose = read(raw, start) if start >= 0 else None
    # An array's end may be left of one that the server's parser has begun to read.
    if (
        loose is None
        or not loose.complete
        or not isinstance(loose.value, dict)
        or raw[loose.end :].strip() not in ("", "]")
    ):
        return None
    arguments = msgspec.json.encode(loose.value).decode()
    takers = [name for name in offer.takers(frozenset(loose.value)) if offer.fits(name, arguments)]
    if len(takers) != 1:
        return None
    call = Call(CallFunction(takers[0], msgspec.Raw(arguments.encode())))
    return Recovered((call,), raw[:start].strip(), "the server's error")


def _ending(text: str, judge: _Judge) -> Recovered | None:
    try:
        found = parts(text, judge.offered)
    except Begun:
        return None
    meant = _meant(text, found, judge)
    calls = [call for part in meant for call in part.calls]
    said = [text[part.end : following.start] for part, following in pairwise(meant)]
    if (
        not calls
        or text[meant[-1].end :].strip() not in ("", "" if "```" in text[: meant[-1].end] else "```")
        or any(words.strip() and (meant[0].form != TAGS or any(mark in words for mark in "<{`")) for words in said)
        or not all(_takes(judge, call) for call in calls)
        or (judge.cut and not all(call.closed for call in calls))
    ):
        return None
    made = tuple(Call(CallFunction(call.name, msgspec.Raw(call.arguments.encode()), n)) for n, call in enumerate(calls))
    words = (text[: meant[0].start], *said)
    return Recovered(made, "".join(words).rstrip(), meant[0].form, any(map(_doubted, words)))


def _doubted(words: str) -> bool:
    if not words.strip():
        return False
    from jetbox.engine.models.announced import doubtful

    return doubtful(words)


def _takes(judge: _Judge, call: Found) -> bool:
    """Whether there is such a tool and it takes the arguments; where those may hold tags, it must know all of them.

    An argument that is not known, behind another, may have been part of that one's value: that holds of an aside only
    where text of a file stands before it.
    """
    if not judge.fits(call.name, call.arguments):
        return False
    if not call.between or judge.exact(call.name, call.arguments):
        return True
    given = msgspec.json.decode(call.arguments, type=dict[str, msgspec.Raw])
    if call.doubtful:
        return False

    def exact(keys: list[str]) -> bool:
        return judge.exact(call.name, msgspec.json.encode({key: given[key] for key in keys}).decode())

    keys = list(given)
    texts = [n for n, key in enumerate(keys) if key in _OF_FILES]
    known = [key for n, key in enumerate(keys) if key not in ASIDES or (texts and n > texts[0])]
    return exact(known) or (known[:1] == keys[:1] and exact(known[1:]))


def _meant(text: str, found: list[Part], judge: _Judge) -> list[Part]:
    """Without what is shown: an example, a quotation, a line of code, a block with the calls that stand outside of one.

    Empty where a block holds others, and calls outside of one end the text: they may be meant or not.
    """
    meant: list[Part] = []
    shown, since, words = -1, 0, ""
    for part in found:
        plain = part.form in (PYTHONIC, A_NAME) or part.fenced or all(call.arguments == "{}" for call in part.calls)
        if plain and not any(judge.offered(call.name) or judge.fits(call.name, call.arguments) for call in part.calls):
            continue
        begin = _BEGIN.match(text, part.start)
        words += text[since : begin.end() if begin else part.start]
        since = part.end
        if (shown >= 0 and not text[shown : part.start].strip()) or cited(words) or is_shown(words):
            shown = part.end
        else:
            meant.append(part)
            words = ""
    if not meant or meant[-1].fenced:
        return meant
    plain_calls = {(call.name, call.arguments) for part in meant if not part.fenced for call in part.calls}
    fenced = {(call.name, call.arguments) for part in meant if part.fenced for call in part.calls}
    return [part for part in meant if not part.fenced] if fenced <= plain_calls else []


def _begun(text: str, offered: Offered) -> bool:
    """Whether a call begins there that is not whole."""
    try:
        parts(text, offered)
    except Begun as begun:
        return not begun.words
    return False
