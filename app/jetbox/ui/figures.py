"""What the timing screen says beside the rounds: figures of the session, of one round, and what could be saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import nlargest

from jetbox.engine.clock import PHASES, TIERS
from jetbox.record.prepared import STAGES, Shortened
from jetbox.record.savings import KINDS, Saving
from jetbox.record.spent import RoundTime, ToolTime
from jetbox.record.targets import Light, Target, targets
from jetbox.record.timing import Timing, percentile
from jetbox.ui import words
from jetbox.ui.comparing import against, lane_rows, ratio_words, share_rows, stage_rows
from jetbox.ui.glyphs import Glyphs
from jetbox.ui.text.rows import BLANK, Piece, Row, flow, one_line, row, spread

SLOWEST = 5
WIDEST = 76
"""Figures stay near what they belong to."""
NAMED = 14
"""Cells of a name."""
LIGHTS: dict[Light, tuple[str, str]] = {
    "met": ("ok", "met"),
    "missed": ("failed", "missed"),
    "few": ("warning", "too few"),
    "none": ("faint", "none yet"),
}
STATISTICS: tuple[tuple[str, Callable[[Sequence[int]], float]], ...] = (
    ("mean", lambda values: sum(values) / len(values)),
    ("P50", lambda values: percentile(values, 0.5)),
    ("P95", lambda values: percentile(values, 0.95)),
    ("P99", lambda values: percentile(values, 0.99)),
)
TOOL_COLUMNS: tuple[tuple[str, int, Callable[[ToolTime], str]], ...] = (
    ("total", 9, lambda tool: words.duration(tool.total)),
    ("calls", 7, lambda tool: str(tool.calls)),
    ("failed", 8, lambda tool: str(tool.failed) if tool.failed else "-"),
    ("longest", 9, lambda tool: words.duration(tool.longest)),
)
TOOL_STYLES = {"calls": "dim", "failed": "dim", "longest": "dim"}


def session_rows(timing: Timing, width: int, glyphs: Glyphs) -> Iterator[Row]:
    """Targets, percentiles, phases, tools, how rounds felt; part by part, since there can be thousands of rounds."""
    width = min(width, WIDEST)
    if not timing.rounds:
        yield row(("no round is over yet", "dim"))
        return
    yield from _targets(timing, width, glyphs)
    yield from _percentiles(timing, width)
    yield from _phases(timing, width, glyphs)
    yield from _tools(timing, width)
    yield from _prepared(timing.stages, timing.logged, width)
    yield from _tiers(timing, width, glyphs)


def expected_rows(timing: Timing, width: int, glyphs: Glyphs) -> Iterator[Row]:
    """The session beside what is expected: the baseline, shares of the time, stages of a round."""
    width = min(width, WIDEST)
    if not timing.rounds:
        yield row(("no round is over yet", "dim"))
        return
    yield from against(timing, width)
    yield from share_rows(timing, width, glyphs)
    yield from stage_rows(timing, width)


def _title(text: str) -> Row:
    return row((text, "title"))


def _targets(timing: Timing, width: int, glyphs: Glyphs) -> list[Row]:
    out = [_title("targets")]
    for target in targets(timing):
        style, said = LIGHTS[target.light]
        left: list[Piece] = [
            (f"{glyphs.loaded if target.light in ('met', 'missed') else glyphs.unloaded} ", style),
            (f"{target.name:<9}", ""),
            (f"{_value(target, target.value):>8}", "" if target.light != "missed" else "failed"),
            (f" {'<' if target.is_time else '>'} {_value(target, target.aim):<6}", "dim"),
        ]
        out.append(spread(left, ((said, style), (f"{f'n {target.n}':>7}", "dim")), width))
    return [*out, BLANK]


def _value(target: Target, value: float) -> str:
    if value < 0:
        return "-"
    return words.duration(round(value)) if target.is_time else f"{value:.0%}"


def _percentiles(timing: Timing, width: int) -> list[Row]:
    """Rounds that waited for a load stand apart from the others: one of them would hide what they are like."""
    columns = STATISTICS if NAMED + 8 * len(STATISTICS) + 5 <= width else STATISTICS[1:]
    head = "".join(f"{title:>8}" for title, _ in columns)
    out = [row((f"{'percentiles':<{NAMED}}", "title"), (f"{head}{'n':>5}", "dim"))]
    warm, cold = timing.warm, timing.cold
    apart = (("  warm", warm), ("  cold", cold)) if warm and cold else ()
    for name, values in (("round", timing.worked), *apart, ("llm", timing.llms), ("ttft", timing.ttfts)):
        if values:
            figures = "".join(f"{words.duration(round(of(values))):>8}" for _, of in columns)
            out.append(row((f"{name:<{NAMED}}", "dim"), (figures, ""), (f"{len(values):>5}", "dim")))
    if waited := timing.phases.get("waiting for you", 0):
        out.append(row((f"without the {words.duration(waited)} that it waited for you", "dim")))
    return [*out, BLANK]


def _phases(timing: Timing, width: int, glyphs: Glyphs) -> list[Row]:
    total = sum(timing.phases.values()) or 1
    out = [_title("time by phase")]
    for name in PHASES:
        ns = timing.phases.get(name, 0)
        if ns:
            out.append(_share(name, ns, total, f"phase.{name}", width, glyphs))
    return [*out, BLANK]


def _share(name: str, ns: int, total: int, style: str, width: int, glyphs: Glyphs) -> Row:
    room = max(4, width - NAMED - 20)
    bar = glyphs.block * max(1, round(ns / total * room))
    left: list[Piece] = [(f"{glyphs.square} ", style), (f"{name:<{NAMED + 2}}", "dim"), (bar, style)]
    return spread(left, ((f"{words.duration(ns):>8}", ""), (f"{ns / total:>5.0%}", "dim")), width)


def _tools(timing: Timing, width: int) -> list[Row]:
    if not timing.tools:
        return []
    columns = TOOL_COLUMNS
    while columns and NAMED + sum(wide for _, wide, _ in columns) > width:
        columns = columns[:-1]
    head = "".join(f"{title:>{wide}}" for title, wide, _ in columns)
    out = [row((f"{'time by tool':<{NAMED}}", "title"), (head, "dim"))]
    for name, tool in sorted(timing.tools.items(), key=lambda item: -item[1].total):
        figures: list[Piece] = [(f"{said(tool):>{wide}}", TOOL_STYLES.get(title, "")) for title, wide, said in columns]
        out.append(row((f"{one_line(name)[: NAMED - 1]:<{NAMED}}", ""), *figures))
    together = ratio_words(timing.work)
    return [*out, *([row((together, "dim"))] if together else []), BLANK]


def _prepared(stages: Mapping[str, int], logged: int, width: int) -> list[Row]:
    """What the engine itself did; nothing where a recording does not say."""
    if not stages:
        return []
    out = [spread((("prompts prepared in", "title"),), ((words.duration(sum(stages.values())), "bold"),), width)]
    for name, ns in stages.items():
        said = one_line(STAGES.get(name, name))
        out.append(spread(((f"{said:<{NAMED + 8}}", "dim"),), ((words.duration(ns), ""),), width))
    out.append(spread((("recorded in", "dim"),), ((words.duration(logged), ""),), width))
    return [*out, BLANK]


def _tiers(timing: Timing, width: int, glyphs: Glyphs) -> list[Row]:
    out = [_title("how rounds felt")]
    n = len(timing.rounds)
    bounds = {name: f"under {words.duration(ms * 1_000_000)}" for ms, name in TIERS}
    for name in (*(name for _, name in TIERS), "slow"):
        count = timing.tiers.get(name, 0)
        bar = glyphs.block * (max(1, round(count / n * max(4, width - NAMED - 24))) if count else 0)
        left: list[Piece] = [(f"{name:<12}", f"tier.{name}"), (f"{bounds.get(name, 'above'):<14}", "dim")]
        out.append(spread([*left, (bar, f"tier.{name}")], ((f"{count}", "" if count else "faint"),), width))
    return [*out, BLANK]


def saving_rows(timing: Timing, width: int, glyphs: Glyphs) -> Iterator[Row]:
    """What caches saved, what could still be saved, the slowest rounds; part by part."""
    width = min(width, WIDEST)
    if not timing.rounds:
        yield row(("no round is over yet", "dim"))
        return
    yield _title("saved by caches")
    hits = f"{timing.hits} of {words.plural(timing.verdicts, 'verdict')}"
    yield spread(((f"{'probes':<10}", ""), (hits, "dim")), ((words.duration(timing.probes_saved), "hit"),), width)
    reused = f"{'~' * timing.reused_guessed}{words.count(timing.reused)} tokens reused"
    about = f"about {words.duration(timing.prefix_saved)}" if timing.prefix_saved else "unknown"
    yield spread(((f"{'prompt':<10}", ""), (reused, "dim")), ((about, "hit"),), width)
    yield from _shortened(timing.shortened, width)
    yield BLANK
    yield from _open(timing.savings, width, glyphs)
    yield BLANK
    yield _title("slowest rounds")
    for done in nlargest(SLOWEST, timing.rounds, key=lambda done: done.worked):
        spent = [(ns, name) for name, ns in done.phases.items() if name != "waiting for you"]
        ns, name = max(spent, default=(0, "other"))
        left: list[Piece] = [
            (f"{glyphs.round} {done.number:<4}", f"tier.{done.tier}"),
            (f"{words.duration(done.worked):>8}", f"tier.{done.tier}"),
        ]
        yield spread([*left, (f"  {name}", "dim")], ((words.duration(ns), ""),), width)


def _shortened(made: Shortened, width: int) -> list[Row]:
    """What shorter histories came to on both axes; what costs more than it saves is told as such."""
    if not made.times:
        return []
    out = [BLANK, _title(f"history made shorter {words.plural(made.times, 'time')}")]
    tokens = f"{words.count(made.saved)} saved in prompts, {words.count(made.spent)} spent"
    times = f"about {words.duration(made.saved_ns)} saved, {words.duration(made.spent_ns)} spent"
    for name, said, net, value in (
        ("tokens", tokens, made.tokens, words.count(abs(made.tokens))),
        ("time", times, made.ns, words.duration(abs(made.ns))),
    ):
        sign, style = ("+", "warning") if net > 0 else ("-", "hit")
        out.append(spread(((f"{name:<10}", ""), (said, "dim")), ((f"net {sign}{value}", style),), width))
    return out


def _open(savings: Sequence[Saving], width: int, glyphs: Glyphs) -> Iterator[Row]:
    if not savings:
        yield _title("could still be saved")
        yield row((f"{glyphs.ok} ", "ok"), ("nothing that can be told", "dim"))
        return
    whole = sum(each.ns for each in savings)
    yield spread((("could still be saved", "title"),), ((f"at most {words.duration(whole)}", "bold"),), width)
    for kind, said in KINDS.items():
        found = [each for each in savings if each.kind == kind]
        if not found:
            continue
        yield spread(((said, ""),), ((words.duration(sum(each.ns for each in found)), "warning"),), width)
        most = nlargest(SLOWEST, found, key=lambda each: each.ns)
        for each in sorted(most, key=lambda each: each.round):
            left: list[Piece] = [(f"  {glyphs.round} {each.round:<4}", "dim"), (one_line(each.why), "dim")]
            yield spread(left, ((words.duration(each.ns), "dim"),), width)
        if len(found) > len(most):
            yield row((f"  {glyphs.more} {len(found) - len(most)} smaller ones", "faint"))


def round_rows(done: RoundTime, timing: Timing, width: int, glyphs: Glyphs) -> list[Row]:
    """One round in figures."""
    width = min(width, WIDEST)
    out = [row((f"round {done.number}", "title"), (f"   goal {done.goal}   {one_line(done.model)}", "dim")), BLANK]
    out.append(spread((("wall time", "dim"),), ((words.duration(done.wall), f"tier.{done.tier}"),), width))
    if done.ttft >= 0:
        out.append(spread((("first token after", "dim"),), ((words.duration(done.ttft), ""),), width))
    if done.rate:
        said = f"{done.rate_words} tokens/s, {done.written:,} in all"
        out.append(spread((("wrote", "dim"),), ((said, ""),), width))
    if done.prompt:
        had = f", {done.reuse_words} of it reused" if done.reuse_words else ""
        out.append(spread((("prompt", "dim"),), ((f"{done.prompt:,} tokens{had}", ""),), width))
    if done.tools:
        beside = f", {done.parallel} beside another" if done.parallel else ""
        out.append(spread((("tools", "dim"),), ((f"{words.plural(done.tools, 'call')}{beside}", ""),), width))
    out += [BLANK, _title("what it waited for")]
    for name, low, high in done.segments:
        at = words.duration(low - done.start)
        left: list[Piece] = [
            (f"{glyphs.square} ", f"phase.{name}"),
            (f"{name:<{NAMED + 2}}", ""),
            (f"from {at}", "dim"),
        ]
        out.append(spread(left, ((words.duration(high - low), ""),), width))
    if lanes := lane_rows(done, width, glyphs):
        out += [BLANK, *lanes]
    if done.drawn >= 0:
        said = f"{words.duration(done.drawn)} in {words.plural(done.frames, 'frame')}"
        out += [BLANK, spread((("drawn in", "dim"),), ((said, ""),), width)]
    if done.stages:
        out += [BLANK, *_prepared(done.stages, done.logged, width)[:-1]]
    missed = [each for each in timing.savings if each.round == done.number]
    if missed:
        out += [BLANK, _title("could have been saved")]
        for each in missed:
            out += flow(((f"{words.duration(each.ns)}  ", "warning"), (one_line(each.why), "dim")), width)
    return out
