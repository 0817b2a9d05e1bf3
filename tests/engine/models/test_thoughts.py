"""What of an answer's text is thinking, however it is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetbox.engine.models.thoughts import Thoughts

K3_END = "<|close|>response<|sep|><|close|>message<|sep|><|end_of_msg|>"
ANSWERS = {
    "<think>\nHm. Yes.\n</think>\n\nI'll write it.": ("Hm. Yes.", "I'll write it."),
    " \n<thinking>a < b, <thin, </ and\n\nso on</thinking>Well </think> done.": (
        "a < b, <thin, </ and\n\nso on",
        "Well </think> done.",
    ),
    "<think>\n\n</think>\n\nYes.": ("", "Yes."),
    "<think>Never ended, </thi \n": ("Never ended, </thi", ""),
    "<thin ice>": ("", "<thin ice>"),
    "<thi": ("", "<thi"),
    "\n  Plain words, <think>and no thoughts</think>\n": ("", "\n  Plain words, <think>and no thoughts</think>\n"),
    " ": ("", " "),
    ">>>all\nThat is\n>>> all.": ("", "That is\n>>> all."),
    ">>>all": ("", ">>>all"),
    ">>> all\n": ("", ">>> all\n"),
    "<|inner_prefix|>Hm.<|inner_suffix|>Four.": ("Hm.", "Four."),
    "<|inner_prefix|>Hm. <|tools_prefix|>[": ("Hm.", "<|tools_prefix|>["),
    f"<|open|>think<|sep|>Hm.<|close|>think<|sep|><|open|>response<|sep|>a < b{K3_END}": ("Hm.", "a < b"),
    "<|open|>response<|sep|>Four.<|close|>response<|sep|>": ("", "Four."),
    "Four.<|close|>response<|sep|><|close|>mess": ("", "Four."),
    "<think>Hm.</think>\n<|open|>resp": ("Hm.", "<|open|>resp"),
    "Four<|close|>respon": ("", "Four<|close|>respon"),
    f"It ends with `{K3_END}`.": ("", f"It ends with `{K3_END}`."),
    f"```\n{K3_END}\n```": ("", f"```\n{K3_END}\n```"),
    "I look.<|close|>response<|sep|><|open|>tools<|sep|>": ("", "I look.<|close|>response<|sep|><|open|>tools<|sep|>"),
}


@pytest.mark.parametrize(("text", "parted"), ANSWERS.items())
@given(cuts=st.lists(st.integers(0, 140), max_size=12))
def test_an_answer_is_parted_the_same_however_it_is_cut(text: str, parted: tuple[str, str], cuts: list[int]) -> None:
    thoughts = Thoughts()
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [thoughts.feed(text[start:end]) for start, end in pairwise(edges)]
    pieces.append(thoughts.rest())
    assert ("".join(thought for thought, _ in pieces), "".join(said for _, said in pieces)) == parted


def test_what_is_thought_is_told_at_once_and_so_is_what_is_said() -> None:
    thoughts = Thoughts()
    said = [thoughts.feed(piece) for piece in ("<think>", "Hm, ", "four", "</think>", "\n\n", "It ", "is ", "four.")]
    assert said == [("", ""), ("Hm,", ""), (" four", ""), ("", ""), ("", ""), ("", "It "), ("", "is "), ("", "four.")]
