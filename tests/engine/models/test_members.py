from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from jetbox.engine.models.members import Members

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5), st.booleans(), st.data())
def test_strings_at_the_top_are_found_however_the_object_is_cut(
    value: dict[str, object], ascii: bool, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    members = Members()
    while text:
        size = data.draw(st.integers(1, len(text)))
        members.feed(text[:size])
        text = text[size:]
    # A half of a pair of surrogates is no text.
    wanted = {k: v for k, v in value.items() if isinstance(v, str)}
    assert members.found == wanted


def test_each_is_told_of_with_the_piece_that_ends_it() -> None:
    members = Members()
    pieces = ['{"path', '": "a', '.py"', ', "content": "x = \\', '"1\\"\\n', '"', "}"]
    assert [members.feed(piece) for piece in pieces] == [False, False, True, False, False, True, False]
    assert members.found == {"path": "a.py", "content": 'x = "1"\n'}


def test_what_is_no_object_tells_nothing() -> None:
    for text in ('["path", "a.py"]', '"path": "a.py"', '{"a": ["path", {"path": "x"}]}', "path = a.py", "}}{{", ""):
        members = Members()
        assert not members.feed(text)
        assert members.found == {}
