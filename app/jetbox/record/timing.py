"""Where a session's time went, round by round: taken from its events one after another, live or recorded."""

from __future__ import annotations

from array import array
from bisect import insort
from collections.abc import Sequence
from sys import intern

import msgspec

from jetbox.engine import events as e
from jetbox.engine.clock import Span, model_spans, segments
from jetbox.engine.models.figures import COLD_NS, clocked
from jetbox.record.prepared import Shortened, stages
from jetbox.record.reference import Work, work
from jetbox.record.savings import READS, Saving, between, within
from jetbox.record.spent import RoundTime, Segment, Switch, ToolTime, packed, runs


class Live(msgspec.Struct):
    """The round that runs: what is known of it so far. Its parts are those of the journal, to within a millisecond."""

    number: int
    start: int
    model: str
    since: int
    """Up to here all is in `past`."""
    past: list[Span] = []
    sent: int = -1
    reading: int = -1
    first: int = -1
    spoke: int = -1
    thought: bool = False
    retrying: bool = False
    running: dict[str, int] = {}
    called: int = 0
    tools_end: int = -1
    probing: dict[str, int] = {}
    probed: int = -1
    """Since when probes were waited for, and until when."""
    probed_end: int = -1
    asked: dict[str, int] = {}
    closed: bool = False
    """The answer has ended."""

    def spans(self, now: int) -> list[Span]:
        """What was waited for up to now."""
        out = list(self.past)
        if self.sent >= 0:
            out += self._streaming(now)
        elif not self.closed:
            out.append(Span("queue and load" if self.retrying else "context", self.since, now))
        else:
            out += self._working(now)
        out += [Span("waiting for you", since, now) for since in self.asked.values()]
        return [span for span in out if span.end > span.start]

    def _streaming(self, now: int) -> list[Span]:
        until = self.first if self.first >= 0 else now
        read = self.reading if self.reading >= 0 else until
        out = [
            Span("queue and load" if self.retrying else "context", self.since, self.sent),
            Span("queue and load", self.sent, min(read, until)),
            Span("prompt eval", min(read, until), until),
        ]
        if self.first >= 0:
            spoke = (self.spoke if self.spoke >= 0 else now) if self.thought else self.first
            out += [Span("thinking", self.first, spoke), Span("decode", spoke, now)]
        return out

    def _working(self, now: int) -> list[Span]:
        at = self.since
        out: list[Span] = []
        if self.called:
            done = now if self.running else max(at, self.tools_end)
            out.append(Span("tools", at, done))
            at = done
        if self.probed >= 0 and not self.running:
            done = now if self.probing else max(at, self.probed_end)
            out.append(Span("probe", at, done))
            at = done
        return [*out, Span("context", at, now)]

    def segments(self, now: int) -> list[Segment]:
        """What it waited for, from when to when, up to now."""
        return segments(self.spans(now), self.start, now) if now > self.start else []


class Timing:
    """Takes the events; what it holds grows with the rounds, not with the tokens."""

    def __init__(self) -> None:
        self.rounds: list[RoundTime] = []
        self.idle = array("q")
        """For each round, how long nothing was worked on before it in all, ns."""
        self.live: Live | None = None
        self.tools: dict[str, ToolTime] = {}
        self.switches: list[Switch] = []
        self.savings: list[Saving] = []
        """What could still be saved, in order of the rounds."""
        self.worked = array("q")
        self.llms = array("q")
        """Of all rounds, sorted."""
        self.cold = array("q")
        self.warm = array("q")
        """Of rounds that waited for a load how long they worked, and of the others, sorted."""
        self.ttfts = array("q")
        self.phases: dict[str, int] = {}
        self.tiers: dict[str, int] = {}
        self.verdicts = 0
        self.hits = 0
        self.probes_saved = 0
        """What the runs took that hits stand for, ns."""
        self.reused = 0
        """Tokens that the server did not have to read again."""
        self.reused_guessed = False
        """Some of them are an estimate."""
        self.calls = 0
        self.parallel = 0
        self.stages: dict[str, int] = {}
        """What the engine itself did, in all rounds, ns."""
        self.logged = 0
        """How long recording held up the event loop in all rounds, ns."""
        self.work = Work(0, 0, 0)
        """What tools did in all rounds."""
        self.shortened = Shortened()
        self._goal = 0
        self._ended = -1
        self._names: dict[str, str] = {}
        self._reads: list[tuple[int, int]] = []
        self._only_reads = True
        self._figures: dict[str, int] = {}
        self._ttft = -1
        self._clocked = False
        self._final = False
        self._prefix: e.PrefixReused | None = None
        self._prompts: dict[str, int] = {}
        self._rates: dict[str, list[int]] = {}

    def take(self, stamped: e.Stamped) -> None:
        """One more event."""
        event, t, live = stamped.event, stamped.t, self.live
        if isinstance(event, e.TextDelta | e.ThinkingDelta):
            if live is not None and live.sent >= 0:
                self._delta(live, t, isinstance(event, e.ThinkingDelta))
            return
        match event:
            case e.GoalStarted():
                self._goal, self._ended = event.goal, t
            case e.GoalEnded() | e.SessionClosed() | e.SessionResumed():
                self.live, self._ended = None, -1
            case e.RoundStarted():
                self._begin(stamped.round, t, event.model)
            case e.RoundEnded():
                self._end(stamped.round, t, event)
            case e.ModelSwitched():
                self.switches.append(Switch(len(self.rounds), event.old, event.new, event.reason))
            case e.ToolEnded():
                self._tool_ended(t, event)
            case e.ProbeEnded():
                self._probe_ended(t, event)
            case e.RoundDrawn():
                self._drawn(event)
            case e.Compacted():
                self.shortened.made(event)
            case _ if live is not None:
                self._in_round(live, t, event)
            case _:
                pass

    def _drawn(self, event: e.RoundDrawn) -> None:
        done = next((each for each in reversed(self.rounds) if each.number == event.round), None)
        if done is not None:
            done.drawn, done.frames = event.drawing_ns, event.frames

    def _begin(self, number: int, t: int, model: str) -> None:
        start = min(t, self._ended) if self._ended >= 0 else t
        self.live = Live(number, start, model, since=start)
        self._figures, self._ttft, self._prefix, self._clocked = {}, -1, None, False
        self._reads, self._only_reads, self._final = [], True, False

    def _delta(self, live: Live, t: int, thinking: bool) -> None:
        if live.first < 0:
            live.first = t
            live.thought = thinking
        if not thinking and live.spoke < 0:
            live.spoke = t

    def _in_round(self, live: Live, t: int, event: e.AnyEvent) -> None:
        match event:
            case e.RequestSent():
                self.shortened.sent()
                live.sent, live.first, live.spoke, live.reading, live.thought = t, -1, -1, -1, False
                live.closed = False
            case e.Waiting():
                if live.sent >= 0 and live.first < 0:
                    begun = live.reading if live.reading >= 0 else t
                    live.reading = begun if event.what == "reading" else -1
                live.retrying = live.retrying or event.what == "retrying"
                if live.sent >= 0 and event.what == "writing":
                    self._delta(live, t, False)
            case e.ModelAnswered():
                self._answered(live, t, event)
            case e.PrefixReused():
                self._prefix = event
            case e.ToolCalled():
                self._names[event.call] = event.name
                live.called += 1
                self._only_reads = self._only_reads and event.name in READS
                self._final = self._final or event.name == "finish"
                self._delta(live, t, False)
            case e.ToolStarted():
                live.running[event.call] = t
            case e.ProbeStarted():
                live.probing[event.name] = t
                live.probed = t if live.probed < 0 else live.probed
            case e.PermissionAsked() | e.QuestionAsked():
                live.asked[event.id] = t
            case e.PermissionAnswered() | e.QuestionAnswered():
                since = live.asked.pop(event.id, t)
                live.past.append(Span("waiting for you", since, t))
            case _:
                pass

    def _answered(self, live: Live, t: int, event: e.ModelAnswered) -> None:
        ended = t
        if live.sent >= 0:
            ended = min(t, live.sent + event.wall_ns) if event.wall_ns else t
            live.past.append(Span("queue and load" if live.retrying else "context", live.since, live.sent))
            live.past += model_spans(live.sent, live.first, live.spoke, ended, event.metrics, thought=live.thought)
        live.since, live.sent, live.closed, live.retrying = ended, -1, True, False
        if self._ttft < 0:
            self._ttft = event.ttft_ns
        metrics = clocked(event, there=False)
        self._clocked = self._clocked or (metrics is not event.metrics and "eval_duration" in metrics)
        for name in ("load_duration", "eval_count", "eval_duration"):
            self._figures[name] = self._figures.get(name, 0) + metrics.get(name, 0)
        for name in ("prompt_eval_count", "prompt_eval_cached_count", "prompt_eval_duration"):
            if name in event.metrics:
                self._figures[name] = event.metrics[name]

    def _tool_ended(self, t: int, event: e.ToolEnded) -> None:
        name = self._names.pop(event.call, "")
        if name:
            known = self.tools.setdefault(name, ToolTime())
            known.calls += 1
            known.failed += event.state == "failed"
            known.total += event.duration_ns
            known.longest = max(known.longest, event.duration_ns)
        if self.live is None:
            return
        begun = self.live.running.pop(event.call, t)
        self.live.tools_end = t
        if name in READS:
            self._reads.append((begun, begun + event.duration_ns))

    def _probe_ended(self, t: int, event: e.ProbeEnded) -> None:
        if self.live is not None:
            live = self.live
            live.probing.pop(event.name, None)
            if live.closed and not event.of_round and not event.baseline:
                live.probed = live.probed if live.probed >= 0 else t
                live.probed_end = t
        if event.baseline or event.state in ("skipped", "cancelled"):
            return
        self.verdicts += 1
        self.hits += event.cache == "hit"
        self.probes_saved += event.saved_ns

    def _end(self, number: int, t: int, event: e.RoundEnded) -> None:
        start = min((span.start for span in event.spans), default=t - event.wall_ns)
        if abs(t - event.wall_ns - start) > event.wall_ns:
            start = t - event.wall_ns
        end = start + event.wall_ns
        model = intern(self.live.model) if self.live is not None else ""
        figures = self._figures
        done = RoundTime(
            number,
            self._goal,
            model,
            start,
            end,
            event.phases,
            packed(segments(event.spans, start, end)),
            event.tier or "slow",
            ttft=self._ttft,
            load=figures.get("load_duration", 0),
            prompt=figures.get("prompt_eval_count", 0),
            cached=figures.get("prompt_eval_cached_count", -1),
            written=figures.get("eval_count", 0),
            writing=figures.get("eval_duration", 0),
            clocked=self._clocked,
            tools=event.tools,
            parallel=event.parallel,
            runs=runs(event),
            only_reads=self._only_reads and event.tools > 0,
            final=self._final,
            stages=stages(event),
            logged=event.log_ns,
        )
        if self._prefix is not None and done.cached < 0:
            done.cached, done.guessed = self._prefix.tokens, self._prefix.estimated
        self.live, self._ended = None, end
        self._add(done)

    def _add(self, done: RoundTime) -> None:
        before = self.rounds[-1] if self.rounds else None
        reading = self._reading(done)
        known = done.model in self._prompts
        self.savings += within(done, self._reads, self._prefix, self._prompts.get(done.model, 0), reading, again=known)
        if before is not None and before.goal == done.goal:
            self.savings += between(before, done)
        self.idle.append(self.idle_before(done.start))
        self.rounds.append(done)
        if done.prompt:
            self._prompts[done.model] = done.prompt
        insort(self.worked, done.worked)
        insort(self.cold if done.load >= COLD_NS else self.warm, done.worked)
        insort(self.llms, done.llm)
        if done.ttft >= 0:
            insort(self.ttfts, done.ttft)
        self.shortened.over(done.phases.get("prompt eval", 0), done.reuse, reading)
        self.logged += done.logged
        self.work = self.work.plus(work(done))
        for name, ns in done.stages.items():
            self.stages[name] = self.stages.get(name, 0) + ns
        for name, ns in done.phases.items():
            self.phases[name] = self.phases.get(name, 0) + ns
        self.tiers[done.tier] = self.tiers.get(done.tier, 0) + 1
        self.calls += done.tools
        self.parallel += done.parallel
        self.reused += max(0, done.cached)
        self.reused_guessed = self.reused_guessed or done.guessed

    def _reading(self, done: RoundTime) -> float:
        """What a token of the prompt costs this model, ns; 0 where that is not known."""
        known = self._rates.setdefault(done.model, [0, 0, 0])
        fresh = done.prompt - max(0, done.cached)
        spent = self._figures.get("prompt_eval_duration", 0)
        if fresh > 0 and spent > 0:
            known[0] += fresh
            known[1] += spent
        known[2] += max(0, done.cached)
        return known[1] / known[0] if known[0] else 0.0

    @property
    def prefix_saved(self) -> int:
        """About how long reading what was reused would have taken, ns: by each model's own rate here."""
        return round(sum(cached * spent / fresh for fresh, spent, cached in self._rates.values() if fresh))

    def idle_before(self, start: int) -> int:
        """How long nothing was worked on before a round that begins then and follows those that are over, ns."""
        if not self.rounds:
            return start
        return self.idle[-1] + max(0, start - self.rounds[-1].end)

    def around(self, switch: Switch) -> tuple[int, int]:
        """Medians of the rounds' time with the model, ns, from the switch before and up to the next; -1 for none."""
        marks = [0, *(each.before for each in self.switches), len(self.rounds)]
        at = self.switches.index(switch) + 1
        return (
            _median([r.llm for r in self.rounds[marks[at - 1] : switch.before]]),
            _median([r.llm for r in self.rounds[switch.before : marks[at + 1]]]),
        )


def percentile(ordered: Sequence[int], share: float) -> int:
    """The value below which `share` of sorted values lie, by linear interpolation; -1 for none."""
    if not ordered:
        return -1
    at = (len(ordered) - 1) * share
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return round(ordered[low] + (ordered[high] - ordered[low]) * (at - low))


def _median(values: list[int]) -> int:
    return percentile(sorted(values), 0.5)
