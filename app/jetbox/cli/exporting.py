"""`jetbox-tui sessions export`: recordings as documents, and as a training set."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jetbox.cli.plain import plain
from jetbox.engine.errors import ExitCode, RecordingError, SettingsError, StorageError

if TYPE_CHECKING:
    from jetbox.cli.options import Invocation
    from jetbox.record.dataset import Made, Recipe
    from jetbox.record.training import Harvest

INDEX = "dataset.json"
ELSEWHERE = "name another place with --output"
SPACE = f"free some space there, or {ELSEWHERE}"


def as_markdown(asked: Invocation, names: Sequence[str], output: str, overwrite: bool) -> int:
    """Write one session as a document."""
    from jetbox.record.library import sessions_folder
    from jetbox.ui.export import export

    if len(names) != 1:
        raise SettingsError("name one session to write as Markdown", "jetbox-tui sessions lists what there is")
    target = output and str(asked.cwd / Path(output).expanduser())
    try:
        folder = sessions_folder(asked.settings.session.folder)
        click.echo(plain(str(export(names[0], folder, target, overwrite=overwrite))))
    except FileExistsError as error:
        raise SettingsError(f"{output or error.filename} is there already", "--overwrite replaces it") from None
    except OSError as error:
        raise _unwritten(output or "the document", error) from error
    return ExitCode.DONE


def as_dataset(
    asked: Invocation,
    names: Sequence[str],
    output: str,
    recipe: Recipe,
    *,
    everywhere: bool,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Write what the teacher ended green as a training set, and tell what was left out."""
    import msgspec

    routing = asked.settings.routing
    recipe = msgspec.structs.replace(
        recipe, teacher=recipe.teacher or routing.large, student=recipe.student or routing.small
    )
    if not recipe.teacher:
        raise SettingsError(
            "which model is the teacher?", "name it with --teacher, as the server does, or as large in [routing]"
        )
    folder = asked.cwd / Path(output or f"{_slug(recipe.teacher)}-dataset").expanduser()
    _refuse_what_is_there(folder, overwrite)
    harvests: list[Harvest] = []
    unreadable: dict[str, str] = {}
    for where in _wanted(asked, names, everywhere):
        try:
            harvests.append(_harvest(where, recipe.teacher))
        except RecordingError as error:
            if names:
                raise
            unreadable[where.name] = error.message
    made = _write(folder, recipe, harvests, unreadable)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(made), indent=2).decode())
    else:
        _tell(made, folder)
    return ExitCode.DONE


def _slug(name: str) -> str:
    return "".join(char if char.isalnum() or char in ".-_" else "-" for char in name)


def _wanted(asked: Invocation, names: Sequence[str], everywhere: bool) -> Iterator[Path]:
    from jetbox.record.library import find, sessions_folder, summaries

    sessions = sessions_folder(asked.settings.session.folder)
    if names:
        yield from dict.fromkeys(find(name, sessions) for name in names)
        return
    here = os.path.realpath(asked.cwd)
    for one in reversed(summaries(sessions)):
        if everywhere or one.problem or os.path.realpath(one.workspace or "/") == here:
            yield one.path


def _harvest(where: Path, teacher: str) -> Harvest:
    from jetbox.record.recording import read_journal
    from jetbox.record.training import harvest

    return harvest(read_journal(where), teacher)


def _refuse_what_is_there(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"{folder} is no folder", "name another one with --output")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not overwrite:
        raise SettingsError(
            f"{folder} is not empty", "--overwrite replaces a set that is there; or name another folder"
        )
    if not (folder / INDEX).is_file():
        raise SettingsError(f"{folder} holds no training set that could be replaced", "name another folder")


def _write(folder: Path, recipe: Recipe, harvests: list[Harvest], unreadable: dict[str, str]) -> Made:
    """Put the set together and write it. Raises StorageError."""
    import msgspec

    from jetbox.engine.safety.likely import LikelySecrets
    from jetbox.engine.safety.secrets import Redactor
    from jetbox.record import dataset
    from jetbox.record import student as beside
    from jetbox.record.disk import private_folder, replace_file

    likely, known = LikelySecrets(), Redactor.from_environment(os.environ)
    parted = dataset.part(harvests, recipe)
    files: dict[str, bytes] = {}
    named = 0

    def redact(text: str) -> str:
        nonlocal named
        named += known.found(text)
        return likely.redact(known.redact(text))

    for name, samples in ((dataset.TRAIN, parted.train), (dataset.VALIDATION, parted.validation)):
        lines = [dataset.line(one, recipe, redact) for one in samples]
        if lines:
            files[name] = b"\n".join(lines) + b"\n"
    made = dataset.made_of(recipe, parted, harvests, unreadable, named + likely.found)
    if not made.train.samples:
        raise SettingsError(
            f"no goal that {recipe.teacher} ended green in {made.sessions_read} sessions", _why_none(made)
        )
    files |= {name: text.encode() for name, text in beside.texts(made).items()}
    files[INDEX] = msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"
    try:
        private_folder(folder)
        for name in {dataset.TRAIN, dataset.VALIDATION, *beside.names()} - files.keys():
            (folder / name).unlink(missing_ok=True)  # of the set that is replaced
        for name, data in files.items():
            replace_file(folder / name, data)
    except StorageError as error:
        raise StorageError(error.message, ELSEWHERE) from error
    except OSError as error:
        raise _unwritten(folder, error) from error
    return made


def _unwritten(target: Path | str, error: OSError) -> StorageError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return StorageError(f"cannot write {target}: {error.strerror or error}", SPACE if full else ELSEWHERE)


def _why_none(made: Made) -> str:
    reasons = [f"{goals} since {reason}" for reason, goals in made.left_out.items()]
    reasons += [f"{made.others} of other models"] if made.others else []
    return f"left out: {', '.join(reasons)}" if reasons else "jetbox-tui sessions list --all tells what was recorded"


def _tell(made: Made, folder: Path) -> None:
    click.echo(plain(f"{folder}"))
    about = "" if made.counted else "~"
    rows = [("", "conversations", "sessions", "goals", "tokens")]
    for name, part in (("train", made.train), ("validation", made.validation)):
        rows.append((name, f"{part.samples:,}", f"{part.sessions:,}", f"{part.goals:,}", f"{about}{part.tokens:,}"))
    for name, *figures in rows:
        click.echo(f"{name:<12}" + "".join(f"{figure:>15}" for figure in figures))
    if not made.validation.samples:
        click.echo("nothing for validation: it takes sessions that neither fork nor goal makes one with the others")
    for reason, goals in made.left_out.items():
        click.echo(plain(f"left out: {goals} {'goal' if goals == 1 else 'goals'}, since {reason}"))
    if made.others:
        click.echo(f"left out: {made.others} goals of other models")
    for session, problem in made.unreadable.items():
        click.echo(plain(f"left out: session {session}: {problem}"))
    if made.secrets_replaced:
        click.echo(f"replaced: {made.secrets_replaced} known or likely secrets")
    if made.drifted:
        click.echo(f"mixed: {', '.join(made.drifted)}; see README.md there")
    if not made.student:
        click.echo("no Modelfile: name the student with --student, or as small in [routing]")
