"""Counts tokens with a model's own tokenizer: run as a script, and the only module that may import the library for it.

It reads lines of JSON from standard input: at first `path` (sys.path), then `id`, the `file` of a tokenizer (a
`tokenizer.json` of Hugging Face's) and `messages` for each batch. Each answer is a line with the `id` and the
`counts`, or the `error`. A file is read once for as long as the process is there.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

THOUGHTS = ("thinking", "reasoning_content")


def texts_of(message: dict[str, Any]) -> list[str]:
    """What a model reads of a message, whatever its template puts around it."""
    texts = [message.get(name) for name in ("content", *THOUGHTS)]
    for call in message.get("tool_calls") or []:
        function = call["function"]
        arguments = function["arguments"]
        said = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        texts += [function["name"], said]
    return [text.encode(errors="replace").decode() for text in texts if text and isinstance(text, str)]


def counted(tokenizer: Any, messages: list[dict[str, Any]]) -> list[int]:
    """Tokens of each message's texts."""
    texts = [texts_of(message) for message in messages]
    found = tokenizer.encode_batch([each for of in texts for each in of], add_special_tokens=False)
    lengths = iter([len(each) for each in found])
    return [sum(next(lengths) for _ in of) for of in texts]


def main() -> None:
    """Answer until standard input is closed."""
    sys.path[:] = json.loads(sys.stdin.buffer.readline() or b'{"path": []}')["path"]
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the other cores are the model's, and the probes'
    known: dict[str, Any] = {}
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        answer: dict[str, object] = {"id": asked["id"]}
        try:
            if asked["file"] not in known:
                with open(asked["file"], "rb") as file:
                    data = file.read()
                from tokenizers import Tokenizer

                known[asked["file"]] = Tokenizer.from_buffer(data)
            answer["counts"] = counted(known[asked["file"]], asked["messages"])
        except ImportError:
            answer["error"] = "missing"
        except OSError as error:
            answer["error"] = f"cannot be read: {error.strerror}"
        except Exception as error:  # the border of the process: the library raises no class of its own
            answer["error"] = f"is none that can be used: {error}"
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
