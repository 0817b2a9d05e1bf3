"""`jetbox-tui config`: what holds, where it came from, and which project files are trusted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from jetbox.cli.commands import CONTEXT
from jetbox.cli.dispatch import find_words
from jetbox.cli.options import invocation, settings_for, settings_options
from jetbox.cli.plain import plain
from jetbox.engine.errors import SettingsError, StorageError

if TYPE_CHECKING:
    from jetbox.settings.files import ConfigFile

_NEW_FILE = """\
# Configuration of jetbox-tui. `jetbox-tui config show` lists every option with its value.
# [model]
# name = "gpt-oss:20b"
"""


class ConfigGroup(click.Group):
    """Options may stand before the word that says what to do, as everywhere else."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words, _ = find_words(args)
        if words:
            args = [args[words[0]], *args[: words[0]], *args[words[0] + 1 :]]
        return super().parse_args(ctx, args)


@click.group(cls=ConfigGroup, context_settings=CONTEXT)
def config() -> None:
    """Show, explain, edit and trust the configuration.

    What stands higher wins: flag, environment, .jetbox/config.toml of the folder, the user's file,
    default. A profile lies beneath the files; one named with --profile lies above the environment.
    """


@config.command(context_settings=CONTEXT)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--changed", is_flag=True, help="Leave out what has its default.")
@settings_options
def show(as_json: bool, changed: bool, **given: Any) -> None:
    """The effective value of every option, and where it came from."""
    from jetbox.cli.ending import tell
    from jetbox.settings.show import effective

    asked = invocation(**given)
    rows = [row for row in effective(asked.loaded) if not changed or row.source.kind != "default"]
    for notice in asked.loaded.notices:
        tell(notice)
    if as_json:
        import msgspec

        made = {row.option: {"value": row.value, "source": row.source} for row in rows}
        click.echo(msgspec.json.format(msgspec.json.encode(made), indent=2))
        return
    names = max((len(row.option) for row in rows), default=0)
    values = min(max((len(row.shown) for row in rows), default=0), 40)
    for row in rows:
        click.echo(plain(f"{row.option:<{names}}  {row.shown or '(none)':<{values}}  {row.source}"))


@config.command(context_settings=CONTEXT)
@settings_for()
def path(**given: Any) -> None:
    """The configuration files, in order of precedence, and whether they are there."""
    from jetbox.settings.folders import project_file, user_file

    asked = invocation(**given)
    for kind, file in (("project", project_file(str(asked.cwd))), ("user", user_file())):
        click.echo(plain(f"{kind:<8} {file}  ({_state(file, kind)})"))


def _state(file: str, kind: str) -> str:
    from jetbox.settings.files import read_bytes
    from jetbox.settings.trust import is_trusted

    try:
        data = read_bytes(file)
    except SettingsError as failure:
        return failure.message.removeprefix(f"{file}: ")
    if data is None:
        return "none"
    if kind == "user":
        return "read"
    return "trusted" if is_trusted(file, data) else "not trusted: what could do harm is ignored"


@config.command(context_settings=CONTEXT)
def schema() -> None:
    """The JSON Schema of a configuration file, with the help of every option."""
    import json

    from jetbox.settings.show import schema as made

    click.echo(json.dumps(made(), indent=2, ensure_ascii=False))


@config.command(context_settings=CONTEXT)
@click.option("--revoke", is_flag=True, help="Forget the trust.")
@settings_for()
def trust(revoke: bool, **given: Any) -> None:
    """Let this folder's .jetbox/config.toml apply whole, as it is now.

    Until then it cannot run programs, widen rights, send data elsewhere or lift limits of the tools.
    An edited file must be trusted again.
    """
    from jetbox.settings import trust as store
    from jetbox.settings.files import read_file
    from jetbox.settings.folders import project_file

    file = project_file(str(invocation(**given).cwd))
    if revoke:
        was = store.distrust(file)
        click.echo(plain(f"{file} is {'no longer' if was else 'not'} trusted"))
        return
    read = read_file(file, "project")
    if read is None:
        raise SettingsError(f"there is no {file}", "only a project's configuration needs trust")
    _list_guarded(read)
    store.trust(file, read.data)
    click.echo(plain(f"{file} is trusted as it is now"))


def _list_guarded(read: ConfigFile) -> None:
    from jetbox.settings.load import guarded_entries
    from jetbox.settings.values import format_value

    entries = guarded_entries(read)
    click.echo("from now on it may set:" if entries else "it sets nothing that needs trust")
    for name, entry in entries:
        click.echo(plain(f"  {name} = {format_value(entry.value)}"))


@config.command(context_settings=CONTEXT)
@click.option("--project", is_flag=True, help="This folder's file, not the user's.")
@settings_for()
def edit(project: bool, **given: Any) -> int:
    """Open the configuration in $VISUAL or $EDITOR, and check it afterwards."""
    from jetbox.settings.files import read_file
    from jetbox.settings.folders import project_file, user_file

    asked = invocation(**given)
    file = project_file(str(asked.cwd)) if project else user_file()
    _create(file)
    _open_editor(file)
    read_file(file, "project" if project else "user")
    click.echo(plain(f"{file} is well-formed"))
    if project and _state(file, "project") != "trusted":
        click.echo("it is not trusted: `jetbox-tui config trust`")
    return 0


def _create(file: str) -> None:
    try:
        os.makedirs(os.path.dirname(file), exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        return
    except OSError as failure:
        raise StorageError(f"{file}: cannot be made: {failure.strerror}") from None
    with os.fdopen(descriptor, "w") as new:
        new.write(_NEW_FILE)


def _open_editor(file: str) -> None:
    import shlex
    import subprocess

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        command = [*shlex.split(editor), file]
        code = subprocess.run(command, check=False).returncode
    except (OSError, ValueError) as failure:
        raise SettingsError(f"the editor {editor!r} cannot be started: {failure}", "set VISUAL or EDITOR") from None
    if code != 0:
        raise SettingsError(f"the editor {editor!r} ended with {code}")
