"""A session's figures beside what is expected: the baseline, shares of the time, stages; and tools side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from jetbox.record.reference import PROBE_NS, ROUND_NS, Share, Work, less, shares, work
from jetbox.record.spent import RoundTime
from jetbox.record.timing import Timing, percentile
from jetbox.ui import words
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.text.rows import BLANK, Piece, Row, one_line, row, spread
from jetbox.ui.widgets.bars import painted

MS = 1_000_000
NAMED = 14
"""Cells of a name."""
MOST_RUNS = 16
STAGES = (("preparing", 5, 50), ("the model", 1500, 3000), ("its tools", 100, 2000), ("a frame", 5, 20))
"""What a round goes through, and the milliseconds that are expected of each."""
BAND_STYLES = {"below": "warning", "within": "ok", "above": "warning"}
PARTS = {"model": "phase.decode", "tools": "phase.tools", "rest": "phase.other"}


def against(timing: Timing, width: int) -> Iterator[Row]:
    """Rounds, and what they waited for probes, beside an agent without cache and parallel probes."""
    yield row(("against the baseline", "title"))
    median = percentile(timing.worked, 0.5)
    yield _beside("a round", f"P50 {words.duration(median)}", [median], ROUND_NS, width)
    probes = [done.probe for done in timing.rounds if done.probe]
    if probes:
        low, high = words.duration(min(probes)), words.duration(max(probes))
        yield _beside("its probes", low if low == high else f"{low}-{high}", probes, PROBE_NS, width)
    yield BLANK


def _beside(name: str, said: str, values: Sequence[int], reference: int, width: int) -> Row:
    left: list[Piece] = [(f"{name:<{NAMED}}", "dim"), (said, ""), (f" of {words.duration(reference)}", "dim")]
    told = less_words(*less(values, reference))
    return spread(left, ((told, "warning" if "more" in told else "hit"),), width)


def less_words(least: float, most: float) -> str:
    """`70-92% less`, `12% more`, `5% more to 20% less`."""
    # What is not wholly gone is not said to be.
    low, high = (min(99, round(each * 100)) if each < 1 else 100 for each in (least, most))
    if low < 0 <= high:
        return f"{-low}% more to {high}% less"
    sign, ends = ("more", sorted((-low, -high))) if high < 0 else ("less", [low, high])
    return f"{ends[0]}% {sign}" if ends[0] == ends[1] else f"{ends[0]}-{ends[1]}% {sign}"


def share_rows(timing: Timing, width: int, glyphs: Glyphs) -> list[Row]:
    """Who had the time: each part with the band that is expected of it."""
    out = [row(("shares of the work", "title"))]
    for share in shares(timing.phases, sum(timing.phases.values())):
        band = f"{share.low:.0%} to {share.high:.0%}"
        figures: list[Piece] = [(f"{share.value:>5.0%}", BAND_STYLES[share.band]), (f"{band:>12}", "dim")]
        bar = banded(share, max(10, width - NAMED - 20), glyphs)
        out.append(spread((((f"{share.name:<{NAMED}}"), "dim"), *bar), tuple(figures), width))
    return [*out, BLANK] if len(out) > 1 else []


def banded(share: Share, room: int, glyphs: Glyphs) -> list[Piece]:
    """The share as a bar of `room` cells, within which the band can be told apart."""
    end = round(share.value * room)
    end = max(1, end) if share.ns else end
    low, high = int(share.low * room), max(int(share.low * room) + 1, round(share.high * room))
    out: list[Piece] = []
    for cell in range(room):
        within = low <= cell < high
        text = (glyphs.full if within else glyphs.block) if cell < end else glyphs.empty if within else " "
        style = PARTS[share.name] if cell < end else "faint" if within else ""
        if out and out[-1][1] == style:
            out[-1] = (out[-1][0] + text, style)
        else:
            out.append((text, style))
    return out


def stage_rows(timing: Timing, width: int) -> Iterator[Row]:
    """What a round goes through, in the middle, with what is expected; each stage when it is come to."""
    yield spread((("stages of a round", "title"),), (("P50", "dim"), (f"{'expected':>18}", "dim")), width)
    rounds = timing.rounds
    found: dict[str, Callable[[], Sequence[int]]] = {
        "preparing": lambda: sorted(done.phases.get("context", 0) for done in rounds),
        "the model": lambda: timing.llms,
        "its tools": lambda: sorted(done.phases["tools"] for done in rounds if "tools" in done.phases),
        "a frame": lambda: sorted(done.drawn // done.frames for done in rounds if done.frames),
    }
    for name, low, high in STAGES:
        middle = percentile(found[name](), 0.5)
        value = words.duration(middle) if middle >= 0 else "not recorded"
        style = "" if middle < 0 else "warning" if middle > high * MS else "ok"
        band = f"{low} to {high} ms"
        yield spread(((f"{name:<{NAMED}}", "dim"),), ((value, style or "faint"), (f"{band:>18}", "dim")), width)
    yield BLANK


def ratio_words(done: Work) -> str:
    """How many calls ran at one time on average; empty where none ran."""
    if not done.wall:
        return ""
    took = f"{words.duration(done.busy)} of work in {words.duration(done.wall)}"
    return f"{done.ratio:.1f} at a time: {took}"


def lane_rows(done: RoundTime, width: int, glyphs: Glyphs) -> list[Row]:
    """A round's calls, each in its lane beneath one axis."""
    if not done.runs:
        return []
    start, end = min(run[1] for run in done.runs), max(run[2] for run in done.runs)
    room = max(8, width - NAMED - 10)
    out = [spread((("tools side by side", "title"),), ((ratio_words(work(done)), "dim"),), width)]
    for name, begun, ended in done.runs[:MOST_RUNS]:
        bar = painted([("tools", begun, ended)], start, max(end, start + 1), room, glyphs)
        left: list[Piece] = [(f"{one_line(name)[: NAMED - 1]:<{NAMED}}", ""), *bar]
        out.append(spread(left, ((words.duration(ended - begun), "dim"),), width))
    if len(done.runs) > MOST_RUNS:
        out.append(row((f"{glyphs.more} {len(done.runs) - MOST_RUNS} more", "faint")))
    return out
