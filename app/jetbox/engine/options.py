"""Typed options of the engine: the sections of the configuration that it reads.

`jetbox.settings` fills them from files, environment and flags; the engine only gets values.
The docstring under each field is its help text.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from jetbox.engine.events import Mode

SpecStyle = Literal["compact", "full"]
"""How much the model is told of each tool."""
PromptVersion = Literal["full-1", "brief-1"]
"""Texts of the system message; one that has been used never changes, another text gets another number."""


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the configuration."""


class ModelOptions(Section, frozen=True, kw_only=True):
    name: str = ""
    """Model to use, as the server names it; empty: the only one there, or an error that lists them."""
    host: str = "http://127.0.0.1:11434"
    """Address of the model server."""
    protocol: Literal["auto", "ollama", "openai"] = "auto"
    """What the server speaks; auto: OpenAI's where the host ends with /v1, else it is found out."""
    api_key_env: str = ""
    """Name of the variable that holds the key for the server; empty: OLLAMA_API_KEY for ollama.com, else none."""
    api_key: str = ""
    """Where in the system's keyring the key is kept instead, as `keyring:SERVICE/USER`."""
    keep_alive: str = "30m"
    """How long the server keeps the model after an answer: a duration, or -1 for ever."""
    think: str = ""
    """Thinking: empty (the model's default), true, false, low, medium, high."""
    temperature: float | None = None
    seed: int | None = None
    num_predict: int = 8192
    """Most tokens of one answer; lowered to what is left of the window."""
    first_chunk_s: float = 0.0
    """Watchdog before the first chunk: connecting, queue, load and prompt reading; 0: by what was measured
    of the model here."""
    chunk_s: float = 0.0
    """Watchdog between chunks; 0: by the model's own pace."""
    heartbeats: bool = False
    """Ask for log probabilities with each token, so that a call that is written in silence shows signs of life."""
    warmup: bool = True
    """Load the model when the workbench opens, and let it read what every request begins with."""
    tokenizers: dict[str, str] = {}
    """By a model's name, the `tokenizer.json` of its repository: prompts are then counted with it where the window gets
    narrow, and shares of the server's counts go by it; empty: tokens are estimated. Needs jetbox-tui[tokenizers]."""
    retries: int = 4
    """How often a request is tried again when the server is busy or breaks off before any call ran."""


class ContextOptions(Section, frozen=True, kw_only=True):
    num_ctx: int = 0
    """Tokens of the window: one value for the whole session, lowered to each model's maximum; 0: decided
    for each model by what the server and its memory have."""
    gpu_gib: float = 0.0
    """Memory for models where the server runs, in GiB; 0: looked up where that is this machine."""
    compact: bool = True
    """Make the history shorter when the window is nearly full: old outputs first, then a summary."""
    compact_tokens: int = 0
    """Make it so as though the window had no more tokens than this (4096 at least); 0: what it has."""
    prompt_version: PromptVersion = "full-1"
    """Text of the system message: `full-1` in sentences, `brief-1` the same in fewer tokens."""
    instructions: bool = True
    """Read AGENTS.md."""
    instructions_bytes: int = 32768
    """Most bytes of AGENTS.md that are read."""


class LoopOptions(Section, frozen=True, kw_only=True):
    max_rounds: int = 24
    """Most rounds of one goal; 0 for no limit."""
    max_tokens: int = 0
    """Most tokens (prompt and answer, as the server counts) of one goal; 0 for no limit."""
    max_seconds: float = 0.0
    """Longest time of one goal, without waiting for the user; 0 for no limit."""
    gate_attempts: int = 3
    """How often red probes go back to the model when it says it is done."""
    plan: bool = False
    """Let the model plan all steps of a goal in one call; independent ones run together, and one more call joins."""


class ToolOptions(Section, frozen=True, kw_only=True):
    concurrency: int = 5
    """How many calls run at once."""
    output_bytes: int = 10_000
    """Most bytes of a tool's output for the model; head and tail are kept."""
    command_s: float = 120.0
    """Time limit of a command."""
    command_memory: int = 4 * 1024**3
    """Most bytes of address space of a command; 0 for no limit."""
    read_bytes: int = 200_000
    """Most bytes of one read_file."""
    file_bytes: int = 10 * 1024**2
    """Larger files are neither read whole nor edited."""
    spec_style: SpecStyle = "compact"
    """What the model is told of the tools: `compact`, or `full` with every word spelled out, in more tokens."""


class PermissionOptions(Section, frozen=True, kw_only=True):
    mode: Mode | None = None
    """ask, edits or auto; unset: ask, and auto for --demo."""
    sandbox: bool = True
    """Confine everything that executes code of the workspace."""
    network: bool = False
    """Let confined commands reach the network."""
    read_outside: tuple[str, ...] = ()
    """Folders outside the workspace that may be read without asking, by tools, commands and probes."""
    pass_env: tuple[str, ...] = ()
    """Variables that commands see besides the harmless ones."""
    allow: tuple[str, ...] = ()
    """Calls that need no question: `write_file`, `run_cmd pytest`, ..."""


class ProbeCommand(Section, frozen=True, kw_only=True):
    """A command of the user's that is a probe: exit code 0 is passed, others failed."""

    name: str
    """Name of the probe, as it is shown."""
    command: str | tuple[str, ...]
    """What runs in the workspace's folder: a text by `sh`, a list of words as it is."""
    scope: tuple[str, ...] = ()
    """Files that its verdict depends on, such as `*.rs` or `src/**`; empty: every file of the workspace."""
    time_s: float = 0.0
    """Time limit; 0: that of `time_s` of the section."""
    output_bytes: int = 0
    """Most bytes of output that are kept; 0: `output_bytes` of the section."""


class ProbeOptions(Section, frozen=True, kw_only=True):
    enabled: bool = True
    ruff: bool = True
    pytest: bool = True
    mypy: bool = False
    """Run mypy, the workspace's own or the one on the path, with the project's configuration."""
    pyright: bool = False
    """Run pyright, the workspace's own or the one on the path, with the project's configuration."""
    commands: tuple[ProbeCommand, ...] = ()
    """Commands of your own, as `[[probes.commands]]`."""
    python: str = ""
    """Interpreter of the workspace; empty: .venv, venv, VIRTUAL_ENV, else ours."""
    time_s: float = 120.0
    """Time limit of one probe."""
    output_bytes: int = 10_000
    """Most bytes of a probe's output that are kept; head and tail."""
    memory: int = 4 * 1024**3
    """Most bytes of address space of a probe; 0 for no limit."""
    wait: Literal["verdict", "overlap", "off"] = "verdict"
    """What the next request waits for: the verdict on what the round changed; nothing, and a red verdict
    follows; or nothing at all before the gate."""


class PerformanceOptions(Section, frozen=True, kw_only=True):
    """Each optimisation has its own switch, so that an experiment can turn off exactly one."""

    probe_cache: bool = True
    """Serve a verdict again when it is proved that nothing in its scope changed."""
    probe_ttl_s: float = 0.0
    """Serve a verdict again for so long without any proof, marked unproven; 0: never."""
    probe_inotify: bool = True
    """Prove by the kernel's own queue of changes, where there is one, instead of by a sweep."""
    probe_early: bool = True
    """Begin with the probes when a write is on the disk, while the model still streams."""
    probe_baseline: bool = True
    """Run the probes once before the first change, at low priority: what was red before is then known."""
    ruff_server: bool = True
    """Keep one `ruff server`: verdicts on single files without starting a process."""
    lint_candidates: bool = True
    """Check the text of a write before it is written, and say so in the call's result."""
    pytest_server: bool = True
    """Fork test runs from a server that has pytest loaded, where that is proved to change nothing."""
    affected_first: bool = True
    """Run the tests that a change can have touched first, and the whole suite behind them."""
    probe_parallel: bool = True
    """Run the probes side by side."""
    probe_skip_without_tests: bool = True
    """Skip pytest where there are no tests."""
    parallel_tools: bool = True
    """Run independent calls side by side, and while the model still streams."""


class RoutingOptions(Section, frozen=True, kw_only=True):
    """Rules that choose the model of a round; each decision is told with its reason."""

    mode: Literal["off", "complexity", "phase", "evidence", "cascade"] = "off"
    """complexity: by a score of the goal; phase: the small model drafts, the large one refines and repairs;
    evidence: the large one after red verdicts or unreadable calls, and back; cascade: the small one's work
    is accepted where its log probabilities and the probes say so, else the large one goes on."""
    small: str = ""
    """Name of the small model."""
    large: str = ""
    """Name of the large model."""
    threshold: int = 40
    """Score of a goal, from 0 to 100, from which the large model works on it."""
    num_predict_trivial: int = 500
    """complexity: most tokens of one answer of a goal that scores below 20, in place of `model.num_predict`, which
    holds from the first answer on that was cut at it; 0: `model.num_predict`."""
    num_predict_simple: int = 2000
    """The same of a goal that scores from 20 on."""
    num_predict_moderate: int = 4000
    """From 40 on."""
    num_predict_complex: int = 8000
    """From 60 on."""
    num_predict_expert: int = 16_000
    """From 80 on."""
    escalate_red: int = 2
    """So many red verdicts in a row call the large model."""
    escalate_garbled: int = 2
    """So many answers in a row with calls that nobody can read call the large model."""
    escalate_syntax: int = 1
    """So many verdicts in a row with syntax errors call the large model."""
    step_down: int = 3
    """So many green verdicts in a row give the work back to the small model; 0: never."""
    confidence: float = 0.85
    """Least geometric mean of the probabilities of an answer's tokens that is accepted of the small model."""


class SessionOptions(Section, frozen=True, kw_only=True):
    record: bool = True
    """Write the journal; off with --no-session."""
    folder: str = ""
    """Where sessions are kept; empty: the user's data folder."""


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """All that the engine is given."""

    model: ModelOptions = ModelOptions()
    context: ContextOptions = ContextOptions()
    loop: LoopOptions = LoopOptions()
    tools: ToolOptions = ToolOptions()
    permissions: PermissionOptions = PermissionOptions()
    probes: ProbeOptions = ProbeOptions()
    performance: PerformanceOptions = PerformanceOptions()
    routing: RoutingOptions = RoutingOptions()
    session: SessionOptions = SessionOptions()
