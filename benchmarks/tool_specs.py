"""What the descriptions of the tools cost: compact ones, as by default, beside full ones.

    python benchmarks/tool_specs.py

Bytes of the `tools` array, and tokens of the first prompt as the embedded server counts them, with
`tools.spec_style` at each of its values and the same goal. The difference is read once a session where the
server keeps its prefix, and in every round where it does not; in the window it stands in every round.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.headless import recorded

from jetbox.engine.events import ModelAnswered
from jetbox.engine.options import SpecStyle
from jetbox.engine.tools.registry import specs, standard_tools
from jetbox.record.recording import read_journal

GOAL = "What does the context manager in this folder do?"


def tokens(style: SpecStyle) -> int:
    """Of the first prompt."""
    with recorded("question", GOAL, model="gpt-oss:20b", options=["--set", f"tools.spec_style={style}"]) as journal:
        events = read_journal(journal).events
        return next(s.event.metrics["prompt_eval_count"] for s in events if isinstance(s.event, ModelAnswered))


def main() -> None:
    """Measure and print."""
    styles: tuple[SpecStyle, ...] = get_args(SpecStyle)
    found = {style: (len(specs(standard_tools(), style)), tokens(style)) for style in styles}
    for style, (size, prompt) in found.items():
        print(f"{style:8} {size:6} bytes of tools, {prompt:5} tokens of the first prompt")
    print(f"compact saves {found['full'][1] - found['compact'][1]} tokens of every prompt")


if __name__ == "__main__":
    main()
