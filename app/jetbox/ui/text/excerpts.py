"""The code of a text, to be copied."""

from __future__ import annotations

from jetbox.ui.text.markdown import State, in_fence, indented, pass_over
from jetbox.ui.text.rows import TAB


def codes(text: str) -> list[str]:
    """Each block of code, without its marks and without the indentation that makes it one."""
    out: list[str] = []
    state, code, loose = State(), list[str](), False
    for line in text.split("\n"):
        fenced = bool(state.mark)
        inner, goes_on = in_fence(line, state) if fenced else (None, True)
        if not fenced:
            bare = line.lstrip()
            inner = indented(line[: len(line) - len(bare)].replace("\t", TAB) + bare, state)[1]
            loose = loose or inner is not None
            inner = "" if loose and not bare else inner
        if inner is not None:
            code.append(inner)
            continue
        if fenced or loose:
            out.append(_whole(code, loose=loose))
            code, loose = [], False
        if goes_on:
            pass_over(line, state)
    return [*out, _whole(code, loose=loose)] if code else out


def _whole(code: list[str], *, loose: bool) -> str:
    """What stands between two marks stays as it is; where there are none, blank lines at the end are not the code's."""
    text = "\n".join(code)
    return text.rstrip("\n") if loose else text
