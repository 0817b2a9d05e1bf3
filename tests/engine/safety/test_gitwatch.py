"""What a command changes in `.git` and `.jetbox` is told where the sandbox cannot prevent it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.moving import Clock
from jetbox.engine.assemble import assemble
from jetbox.engine.events import Notice
from jetbox.engine.models.base import ModelInfo
from jetbox.engine.models.ollama import OllamaModel
from jetbox.engine.options import EngineOptions
from jetbox.engine.safety.choose import choose_sandbox
from jetbox.engine.safety.gitwatch import ENTRIES, LENGTH, in_words, look
from jetbox.engine.safety.process import Limits, ProcessRunner
from jetbox.engine.session import NoRecorder, Session

LIMITS = Limits(120, 10_000)


def git(root: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "a.txt").write_text("one\n")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "one")
    return root


class Watched:
    """A runner in one sandbox, and what it told."""

    def __init__(self, runner: ProcessRunner, told: list[str]) -> None:
        self.runner = runner
        self.told = told

    async def run(self, *argv: str) -> list[str]:
        """What was told of this one command."""
        self.told.clear()
        await self.runner.run(argv, limits=LIMITS)
        return list(self.told)

    async def sh(self, line: str) -> list[str]:
        return await self.run("/bin/sh", "-c", line)


@pytest.fixture(params=["landlock", "none", "bubblewrap"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def watched(kind: str, repository: Path) -> AsyncIterator[Watched]:
    told: list[str] = []
    sandbox = await choose_sandbox(repository, enabled=True, network=False, prefer=kind)
    assert sandbox.name == kind
    yield Watched(ProcessRunner(sandbox, repository, on_git_change=told.append), told)
    await sandbox.close()


open_kinds = pytest.mark.parametrize("kind", ["landlock", "none"], indirect=True)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("echo 'exit 1' > .git/hooks/pre-commit", ".git/hooks/pre-commit"),
        ("git config core.fsmonitor ./evil", ".git/config"),
        ("git branch other", ".git/refs/heads/other"),
        ("git pack-refs --all", ".git/packed-refs"),
        ("echo x > b && git add b", ".git/index"),
        ("echo 'ref: refs/heads/x' > .git/HEAD", ".git/HEAD"),
        ("echo /elsewhere > .git/objects/info/alternates", ".git/objects/info/alternates"),
        ("mkdir -p .git/modules/m/hooks && echo x > .git/modules/m/hooks/h", ".git/modules/m/hooks/h"),
        ("touch -d 2001-01-01 .git/config", ".git/config"),
        ("chmod +x .git/description", ".git/description"),
        ("rm -rf .git", ".git"),
        ("mkdir .jetbox && echo x > .jetbox/config.toml", ".jetbox/config.toml"),
    ],
)
@open_kinds
async def test_a_change_is_told_with_its_name_and_the_command(watched: Watched, line: str, name: str) -> None:
    (told,) = await watched.sh(line)
    names, _, command = told.partition(" changed while this ran: ")
    assert name in names.partition(" and ")[0].split(", ")
    assert command == (line if len(line) <= LENGTH else f"{line[:LENGTH]}…")


@open_kinds
async def test_a_change_of_the_same_length_with_its_time_set_back_is_told(watched: Watched) -> None:
    lines = ["touch -r .git/config t", "sed s/bare/bear/ .git/config > t2", "cat t2 > .git/config"]
    (told,) = await watched.sh(" && ".join([*lines, "touch -r t .git/config"]))
    assert told.startswith(".git/config changed")


@pytest.mark.parametrize(
    "argv",
    [
        ("git", "rev-parse", "HEAD"),
        ("git", "status", "--porcelain", "--untracked-files=no"),
        ("git", "log", "--oneline"),
        ("/bin/sh", "-c", "echo two >> a.txt; git diff"),
        ("/bin/sh", "-c", "echo two > a.txt; mkdir d; echo x > d/b"),
        ("/bin/sh", "-c", "cat .git/config; ls -R .git"),
    ],
)
async def test_reading_and_changes_elsewhere_are_not_told(watched: Watched, repository: Path, argv: tuple[str]) -> None:
    os.utime(repository / "a.txt", (1, 1))
    assert await watched.run(*argv) == []


@pytest.mark.parametrize("kind", ["bubblewrap"], indirect=True)
async def test_where_the_sandbox_keeps_it_read_only_there_is_nothing_to_tell(
    watched: Watched, repository: Path
) -> None:
    (repository / ".jetbox").mkdir()
    assert watched.runner.sandbox.guards_git
    before = look(repository, outside=False)
    assert await watched.sh("echo x > .git/hooks/h; echo x > .jetbox/c; rm -rf .git") == []
    assert look(repository, outside=False) == before


@pytest.mark.parametrize("kind", ["bubblewrap"], indirect=True)
async def test_what_is_not_there_yet_can_be_made_in_every_sandbox_and_is_told(watched: Watched) -> None:
    assert not watched.runner.sandbox.guards_git
    (told,) = await watched.sh("mkdir .jetbox; echo x > .jetbox/config.toml; echo x > .git/config")
    assert told.startswith(".jetbox, .jetbox/config.toml changed while")


@open_kinds
async def test_a_command_that_runs_out_of_time_or_is_cancelled_is_looked_at_too(
    watched: Watched, repository: Path, clock: Clock
) -> None:
    late = "echo x > .git/late; echo begun; sleep 600"
    await watched.runner.run(["/bin/sh", "-c", late], limits=LIMITS, on_output=clock.once(LIMITS.seconds))
    assert [words.partition(" ")[0] for words in watched.told] == [".git/late"]

    begun = asyncio.Event()
    line = "echo x > .git/later; echo begun; sleep 600"
    running = asyncio.create_task(
        watched.runner.run(["/bin/sh", "-c", line], limits=LIMITS, on_output=lambda _text: begun.set())
    )
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [words.partition(" ")[0] for words in watched.told] == [".git/late", ".git/later"]


@open_kinds
async def test_one_change_is_told_once_though_two_commands_ran_meanwhile(watched: Watched, repository: Path) -> None:
    os.mkfifo(repository / "go")
    waits = asyncio.create_task(watched.runner.run(["cat", "go"], limits=LIMITS))
    await watched.runner.run(["/bin/sh", "-c", "echo x > .git/made; echo x > go"], limits=LIMITS)
    await waits
    assert len(watched.told) == 1
    assert (await watched.sh("echo more >> .git/made"))[0].startswith(".git/made changed")
    (repository / ".git" / "made").unlink()
    assert await watched.sh("true") == []
    assert (await watched.sh("echo x > .git/made"))[0].startswith(".git/made changed")
    assert (await watched.sh("rm .git/made"))[0].startswith(".git/made changed")


@pytest.mark.parametrize(("outside", "seen"), [(False, False), (True, True)])
def test_the_repository_of_a_worktree_counts_where_it_can_be_written(
    repository: Path, tmp_path: Path, outside: bool, seen: bool
) -> None:
    tree = tmp_path / "tree"
    git(repository, "worktree", "add", "-q", str(tree))
    before = look(tree, outside=outside)
    (repository / ".git" / "config").write_text("[core]\n")
    (repository / ".git" / "worktrees" / "tree" / "HEAD").write_text("ref: refs/heads/x\n")
    changed = {name for name, stamp in look(tree, outside=outside).items() if before.get(name) != stamp}
    main = os.path.realpath(repository / ".git")
    assert changed == ({f"{main}/config", f"{main}/worktrees/tree/HEAD"} if seen else set())

    (tree / ".git").write_text("gitdir: /elsewhere\n")
    assert look(tree, outside=False)[".git"] != before[".git"]


def test_a_git_that_is_a_link_a_pipe_or_nonsense_is_looked_at_without_harm(repository: Path) -> None:
    (repository / ".git").rename(repository / "real")
    (repository / ".git").symlink_to("real")
    assert "real/config" in look(repository, outside=False)
    for content in ("gitdir: \0", "gitdir: .git", "no such line", ""):
        (repository / ".git").unlink()
        (repository / ".git").write_text(content)
        assert set(look(repository, outside=True)) == {".git"}
    (repository / ".git").unlink()
    os.mkfifo(repository / ".git")
    assert set(look(repository, outside=True)) == {".git"}


def test_what_can_run_programs_is_seen_however_many_branches_there_are(repository: Path) -> None:
    heads = repository / ".git" / "refs" / "heads" / "many"
    heads.mkdir()
    for number in range(ENTRIES):
        (heads / str(number)).touch()
    found = look(repository, outside=False)
    assert len(found) == ENTRIES
    assert {".git", ".git/config", ".git/index", ".git/hooks/pre-commit.sample"} <= found.keys()


def test_the_words_are_short_and_cannot_steer_a_terminal() -> None:
    names = [".git/\x1b[2Jx", *(f".git/refs/{n}" for n in range(20))]
    words = in_words(names, ["/bin/sh", "-c", "printf '\x1b]0;t\x07'\n" + "y" * 500])
    assert words.isprintable()
    assert " and 15 more changed while this ran: printf " in words
    assert len(words) < 500


async def test_the_user_is_warned_without_the_secret_that_the_command_named(repository: Path) -> None:
    session = Session(NoRecorder())
    feed = session.feed()
    parts = assemble(
        session,
        OllamaModel("http://127.0.0.1:9"),
        ModelInfo("m", capabilities=("tools",)),
        EngineOptions(),
        repository,
        attended=False,
        environ={"API_TOKEN": "s3cr3t-value-of-some-length"},
    )
    processes = parts.context.processes
    processes.sandbox = await choose_sandbox(repository, enabled=True, network=False, prefer="landlock")
    await processes.run(
        ["git", "config", "user.password", "s3cr3t-value-of-some-length"],
        limits=LIMITS,
    )
    await processes.sandbox.close()
    notices = [stamped.event for stamped in feed.drain().events if isinstance(stamped.event, Notice)]
    (told,) = [notice for notice in notices if notice.text.startswith(".git/")]
    assert told.level == "warning"
    assert told.text.startswith(".git/config changed while this ran: git config user.password ")
    assert "s3cr3t" not in told.text
    assert "before you use git" in told.hint
