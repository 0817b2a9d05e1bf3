"""Figures in words: durations, counts, paths. One place, so that a figure looks the same everywhere.

Words that the engine says too are at home there: sizes (`engine/sizes.py`), long times (`engine/times.py`).
"""

from __future__ import annotations

from jetbox.engine.events import Compacted, ModelPulled, PrefixReused, SwitchCost
from jetbox.engine.sizes import size

NS = 1_000_000_000


def ended(how: str, why: str) -> str:
    """How it ended, and why; many reasons begin with how: that is not said twice."""
    if why.lower().startswith(how.partition(",")[0].lower()):
        return why
    return f"{how}: {why}" if why else how


def duration(ns: int) -> str:
    """`64 ms`, `3.64 s`, `12.4 s`, `2m 05s`, `1h 02m`."""
    ms = ns / 1e6
    if ms < 9.95:
        return f"{ms:.0f} ms" if ms >= 1 or ms == 0 else "<1 ms"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    seconds = ns / NS
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def elapsed(ns: int) -> str:
    """A running time that changes by tenths: `0.4 s`, `12.3 s`, `2m 05s`."""
    tenths = ns // (NS // 10)
    return f"{tenths // 10}.{tenths % 10} s" if tenths < 1000 else duration(ns)


def stopwatch(ns: int) -> str:
    """`00:11.2`, `1:02:03`."""
    tenths = ns // (NS // 10)
    seconds = tenths // 10
    if seconds >= 3600:
        return f"{seconds // 3600}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"
    return f"{seconds // 60:02d}:{seconds % 60:02d}.{tenths % 10}"


def milliseconds(ns: int) -> str:
    """A bare figure in ms, for lists whose unit stands elsewhere; from ten seconds on with its own."""
    return f"{ns / 1e6:.0f}" if ns < 10 * NS else duration(ns)


def countdown(ns: int) -> str:
    """What is left, coarse enough to be looked at seldom: `29m`, `4m`, `50s`, `<10s`."""
    seconds = ns // NS
    if seconds >= 3600:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"
    if seconds >= 60:
        return f"{seconds // 60}m"
    return f"{seconds // 10 * 10}s" if seconds >= 10 else "<10s"


def count(n: int) -> str:
    """`812`, `3.4k`, `128k`, `1.2M`."""
    if n < 1000:
        return str(n)
    if n < 9950:
        return f"{n / 1000:.1f}k"
    if n < 999_500:
        return f"{n / 1000:.0f}k"
    return f"{n / 1e6:.1f}M"


def switch_cost(cost: SwitchCost) -> str:
    """`about 12.4 s: load 8.0 s, 9.2k tokens to read 4.4 s`; what is not known is said."""
    load = "load unknown" if cost.load_ns < 0 else f"load {duration(cost.load_ns)}" if cost.load_ns else "loaded"
    cached = f" ({count(cost.cached)} cached)" if cost.cached else ""
    read = f"{count(cost.tokens)} tokens to read{cached}"
    if cost.prefill_ns >= 0:
        read += f" {duration(cost.prefill_ns)}"
    total = f"about {duration(cost.total_ns)}: " if cost.total_ns >= 0 else ""
    return f"{total}{load}, {read}"


def compacted(event: Compacted) -> str:
    """`history made shorter: 12k to 4.1k tokens, old outputs left out (the window is nearly full)`."""
    how = {
        "outputs": "old outputs left out",
        "summary": f"summary by the model in {duration(event.duration_ns)}",
        "list": "older rounds as a list of their calls",
    }[event.how]
    return f"history made shorter: ~{count(event.before)} to ~{count(event.after)} tokens, {how} ({event.why})"


def read_again(event: PrefixReused) -> str:
    """`the prompt was read anew, 0 of 4,096 tokens were cached: the tools changed`; where half was, not anew."""
    if event.again and event.tokens * 2 >= event.of:
        return f"~{event.again:,} of {event.of:,} tokens of the prompt were read again: {event.miss}"
    told = "the prompt was read anew, " if event.tokens * 2 < event.of else "of the prompt "
    cached = f"{'~' if event.estimated else ''}{event.tokens:,} of {event.of:,} tokens"
    return f"{told}{cached} were cached: {event.miss}"


def fetching(pulled: ModelPulled) -> str:
    """`fetching qwen3:8b: 25% of 5.2 GB`, or what the server says where it tells no size."""
    share = f"{pulled.completed / pulled.total:.0%} of {size(pulled.total)}" if pulled.total else pulled.status
    return f"fetching {pulled.name}: {share}"


def plural(n: int, one: str, many: str = "") -> str:
    """`1 round`, `3 rounds`."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def short_path(path: str, home: str, width: int) -> str:
    """A path with `~` for the home folder, cut at its beginning to `width` characters."""
    if home and (path == home or path.startswith(home.rstrip("/") + "/")):
        path = "~" + path[len(home.rstrip("/")) :]
    if len(path) <= width:
        return path
    return "…" + path[len(path) - width + 1 :] if width > 1 else ""


def lines_changed(added: int, removed: int) -> str:
    """`+14`, `+3 -1`, `-7`, or nothing."""
    parts = [f"+{added}"] if added else []
    if removed:
        parts.append(f"-{removed}")
    return " ".join(parts)
