from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jetbox.engine.probes.span import change

LINES = st.lists(st.text(alphabet="ab\né😀\x0c\u2028", max_size=4), max_size=8).map("\n".join)


def applied(old: str, made: dict[str, object]) -> str:
    """As a server does it."""
    span, text = made.get("range"), made["text"]
    assert isinstance(text, str)
    if not isinstance(span, dict):
        return text
    starts = [0]
    for line in old.split("\n")[:-1]:
        starts.append(starts[-1] + len(line) + 1)
    begin, end = (starts[span[side]["line"]] + span[side]["character"] for side in ("start", "end"))
    return old[:begin] + text + old[end:]


@given(LINES, LINES)
def test_a_change_makes_the_new_text_of_the_old(old: str, new: str) -> None:
    assert applied(old, change(old, new)) == new


def test_only_the_lines_that_differ_are_sent() -> None:
    lines = [f"line {n}" for n in range(1000)]
    other = [*lines[:500], "another", *lines[501:]]
    made = change("\n".join(lines), "\n".join(other))
    assert made["text"] == "another\n"
    assert made["range"]["start"] == {"line": 500, "character": 0}


def test_other_line_ends_are_sent_whole() -> None:
    assert change("a\r\nb", "a\r\nc") == {"text": "a\r\nc"}
