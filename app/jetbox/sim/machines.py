"""Published speeds of single machines, one user, 4-bit weights: rows for latency profiles.

Where a source tells one of the rates alone, the other one is estimated for the class of machine;
loads are those of the class, unless told.
"""

from __future__ import annotations

from typing import NamedTuple


class Machine(NamedTuple):
    """A machine with a model on it."""

    prefill: float
    """Tokens a second that it reads."""
    decode: float
    """Tokens a second that it writes."""
    load: float
    """Seconds that a cold load takes."""
    floor_ms: float
    """Milliseconds that the shortest prompt takes."""


MACHINES = {
    "rtx4090/gpt-oss:20b": Machine(4500, 225, 8, 30),
    "rtx3090/gpt-oss:20b": Machine(3500, 147, 8, 30),
    "rtx5090/gpt-oss:20b": Machine(5000, 221, 6, 30),
    "rx7900xt/gpt-oss:20b": Machine(2500, 94, 9, 40),
    "m1-ultra/gpt-oss:20b": Machine(800, 86, 8, 60),
    "rtx3060/gpt-oss:20b": Machine(400, 27, 20, 200),
    "cpu-experts/gpt-oss:20b": Machine(200, 20, 20, 200),
    "small/gpt-oss:20b": Machine(15, 37, 30, 200),
    "rtx4090/qwen3-coder:30b": Machine(3000, 196, 10, 40),
    "rtx3090ti/qwen3-coder:30b": Machine(2500, 167, 10, 40),
    "w7800/qwen3-coder:30b": Machine(2800, 122, 10, 40),
    "rtx2080/qwen3-coder:30b": Machine(250, 35, 25, 200),
    "xeon/qwen3-coder:30b": Machine(195, 22, 25, 200),
    "rtx4090/llama3.2:3b": Machine(20_300, 250, 3, 30),
    "m1-max/llama3.2:3b": Machine(1500, 80, 3, 60),
    "ryzen-ai/llama3.2:3b": Machine(250, 23.8, 4, 150),
    "radxa/llama3.2:3b": Machine(81, 16.5, 5, 150),
    "macbook2014/llama3.2:3b": Machine(16, 7.7, 6, 200),
    "rtx4060-laptop/qwen2.5-coder:7b": Machine(1600, 47.7, 6, 96),
    "radeon-780m/qwen2.5-coder:7b": Machine(250, 11.7, 8, 404),
    "rtx3080/8b": Machine(3807, 112, 5, 40),
    "m1-max/8b": Machine(500, 46, 5, 60),
    "gpu32gb/mistral:7b": Machine(138, 29, 12.3, 60),
}
