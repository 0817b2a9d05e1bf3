"""`jetbox-tui sessions`: the library of recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jetbox.cli.commands import CONTEXT, tell_notices
from jetbox.cli.models import ListGroup
from jetbox.cli.options import Invocation, invocation, settings_for
from jetbox.cli.plain import plain
from jetbox.engine.errors import ExitCode

if TYPE_CHECKING:
    from jetbox.record.library import Summary

_JSON = click.option("--json", "as_json", is_flag=True, help="As JSON.")
GOAL_CHARS = 60


@click.group(cls=ListGroup, context_settings=CONTEXT)
def sessions() -> None:
    """The library of recordings."""


@sessions.command("list", context_settings=CONTEXT)
@click.option("--all", "everywhere", is_flag=True, help="Of every folder, not of this one alone.")
@_JSON
@settings_for()
def list_(everywhere: bool, as_json: bool, **given: Any) -> int:
    """Sessions of this folder, the newest first."""
    import os

    from jetbox.record.library import sessions_folder, summaries

    asked = _asked(given)
    here = os.path.realpath(asked.cwd)
    found = summaries(sessions_folder(asked.settings.session.folder))
    if not everywhere:
        found = [one for one in found if os.path.realpath(one.workspace or "/") == here]
    if as_json:
        _print_json([_fields(one) for one in found])
        return ExitCode.DONE
    if not found:
        click.echo("no session was recorded" + ("" if everywhere else " in this folder; --all shows those of others"))
    for one in found:
        click.echo(plain(f"{one.id}  {_words(one)}"))
    return ExitCode.DONE


@sessions.command(context_settings=CONTEXT)
@click.argument("session")
@click.option("--rounds", "only_rounds", is_flag=True, help="The log of its rounds alone.")
@_JSON
@settings_for()
def show(session: str, only_rounds: bool, as_json: bool, **given: Any) -> int:
    """What a SESSION (an ID, its beginning, a folder or a journal) was about, and the log of its rounds.

    A round's line has its time, what of that was waiting for the model, and how its verdict came about:
    ⚡ probes ran, ◐ ran in part, ↻ served from the cache (↻? without a proof), ⏭ none applied.
    """
    from jetbox.record.library import find, sessions_folder, summary
    from jetbox.record.recording import read_journal
    from jetbox.record.roundlog import prompts_line, round_log, system_line
    from jetbox.record.traffic import traffic
    from jetbox.ui.words import plural

    asked = _asked(given)
    where = find(session, sessions_folder(asked.settings.session.folder))
    events = read_journal(where).events
    log, wire, prompt = round_log(events), traffic(events), system_line(events)
    about = summary(where)
    if as_json:
        _print_json({**_fields(about), "prompt": prompt, "log": log, "traffic": wire})
        return ExitCode.DONE
    if not only_rounds:
        for name in ("id", "label", "workspace", "model", "goal"):
            if value := getattr(about, name):
                click.echo(plain(f"{name:<10} {value}"))
        if prompt:
            click.echo(plain(f"{'prompt':<10} {prompt}"))
        click.echo(plain(f"{'state':<10} {_state(about)}, {plural(about.rounds, 'round')}, begun {_when(about)}"))
        click.echo(f"{'wire':<10} {wire.line()}")
        click.echo()
    from jetbox.ui import glyphs as signs

    table = signs.choose(ascii=asked.settings.ui.ascii)
    for one in log:
        click.echo(signs.plain(one.line, table))
    if prepared := prompts_line(log):
        click.echo(plain(prepared))
    return ExitCode.DONE


@sessions.command(context_settings=CONTEXT)
@click.argument("names", nargs=-1, metavar="[SESSION]...")
@click.option("--to", type=click.Choice(["markdown", "dataset"]), required=True, help="What to write.")
@click.option("-o", "--output", metavar="PATH", default="", help="Where: a file, or the folder of a training set.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@click.option("--all", "everywhere", is_flag=True, help="Of every folder, where no SESSION is named.")
@click.option("--teacher", metavar="NAME", default="", help="dataset: whose green goals; else large of [routing].")
@click.option("--student", metavar="NAME", default="", help="dataset: for the Modelfile; else small of [routing].")
@click.option(
    "--form", type=click.Choice(["openai", "axolotl", "llamafactory"]), default="openai", help="dataset: for whom."
)
@click.option(
    "--validation",
    type=click.FloatRange(0, 0.9),
    default=0.1,
    show_default=True,
    help="dataset: share kept for validation, by whole sessions.",
)
@click.option("--thinking", is_flag=True, help="dataset: with what the teacher thought.")
@_JSON
@settings_for()
def export(
    names: tuple[str, ...], to: str, output: str, overwrite: bool, everywhere: bool, as_json: bool, **given: Any
) -> int:
    """Write a SESSION as Markdown, or sessions as a training set for another model.

    A training set has the goals that a teacher ended with green probes, from the named sessions or all of this
    folder, with a Modelfile and the commands of the usual trainers beside it.
    """
    from jetbox.cli import exporting
    from jetbox.record.dataset import Recipe

    wanted = {name: given.pop(name) for name in ("teacher", "student", "form", "thinking")}
    recipe = Recipe(share=given.pop("validation"), **wanted)
    asked = _asked(given)
    if to == "markdown":
        return exporting.as_markdown(asked, names, output, overwrite)
    return exporting.as_dataset(
        asked, names, output, recipe, everywhere=everywhere, overwrite=overwrite, as_json=as_json
    )


def _asked(given: dict[str, Any]) -> Invocation:
    asked = invocation(**given)
    tell_notices(asked)
    return asked


def _state(one: Summary) -> str:
    return "running" if one.running else one.outcome or "unfinished"


def _when(one: Summary) -> str:
    return one.created[:16].replace("T", " ")


def _words(one: Summary) -> str:
    if one.problem:
        return f"cannot be read: {one.problem}"
    goal = " ".join((one.label or one.goal or "no goal").split())[:GOAL_CHARS]
    return f"{_when(one)}  {_state(one):11}  {one.rounds:3} rounds  {one.model}  {goal}"


def _fields(one: Summary) -> dict[str, Any]:
    import msgspec

    return {**msgspec.structs.asdict(one), "path": str(one.path)}


def _print_json(value: Any) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
