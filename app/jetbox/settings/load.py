"""From files, environment and flags to settings, and where each value came from.

What stands higher wins:

    flag                 --model, --set section.key=VALUE, ...; a flag of its own before --set
    profile              when it is chosen with --profile
    environment          JETBOX_SECTION_KEY; beneath it OLLAMA_HOST, OLLAMA_MODEL, NO_COLOR
    project file         .jetbox/config.toml of the workspace
    user file            $XDG_CONFIG_HOME/jetbox/config.toml
    profile              when it is chosen by `profile` in a file or by JETBOX_PROFILE
    default
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from jetbox.engine.errors import SettingsError
from jetbox.settings.folders import project_file, user_file
from jetbox.settings.model import DEFAULT, Settings, Source

if TYPE_CHECKING:
    from jetbox.settings.files import ConfigFile, Entry

Flag = tuple[str, str, str]
"""Option, text of its value, and the flag's name."""
_FOREIGN_VARIABLES = {"OLLAMA_HOST": "model.host", "OLLAMA_MODEL": "model.name"}


class Loaded(msgspec.Struct, frozen=True):
    """Settings and where they came from."""

    settings: Settings
    sources: dict[str, Source]
    """By option; one that is missing has its default."""
    notices: tuple[str, ...] = ()
    """What the user should know, a line each."""
    user_path: str = ""
    project_path: str = ""
    """The workspace's file; empty where there is none."""
    untrusted: tuple[str, ...] = ()
    """Options of the project file that are ignored until it is trusted."""

    def source(self, option: str) -> Source:
        """Where the option's value came from."""
        return self.sources.get(option, DEFAULT)

    def changed(self) -> dict[str, str]:
        """Options that do not have their default, as TOML values, secrets masked: for a journal's header."""
        from jetbox.settings.show import effective

        return {row.option: row.shown for row in effective(self) if row.source.kind != "default"}


def load(
    workspace: str | None,
    *,
    flags: Iterable[Flag] = (),
    profile: str = "",
    environment: Mapping[str, str] | None = None,
) -> Loaded:
    """Read every source; `workspace` None leaves the project file out.

    Raises:
        SettingsError: something is wrong in one of them; says where and what would be right.
    """
    env = os.environ if environment is None else environment
    user_path, project_path = user_file(), project_file(workspace) if workspace is not None else ""
    given = tuple(flags)
    present = [path for path in (user_path, project_path) if path and os.path.lexists(path)]
    variables = {name: text for name, text in env.items() if text and name.startswith("JETBOX_")}
    foreign = {name: text for name in _FOREIGN_VARIABLES if (text := env.get(name, "").strip())}
    if not (present or variables or foreign or given or profile or env.get("NO_COLOR")):
        return Loaded(Settings(), {}, user_path=user_path)
    return _Merge(user_path, project_path).run(env, variables, foreign, given, profile)


class _Merge:
    """One load: puts the sources over each other, from the lowest to the highest."""

    def __init__(self, user_path: str, project_path: str) -> None:
        self._user_path = user_path
        self._project_path = project_path
        self._values: dict[str, Any] = {}
        self._sources: dict[str, Source] = {}
        self._notices: list[str] = []
        self._untrusted: list[str] = []

    def run(
        self,
        env: Mapping[str, str],
        variables: Mapping[str, str],
        foreign: Mapping[str, str],
        flags: tuple[Flag, ...],
        profile: str,
    ) -> Loaded:
        from jetbox.settings.files import read_file

        user = read_file(self._user_path, "user")
        project = read_file(self._project_path, "project") if self._project_path else None
        environment = self._environment(env, variables, foreign)
        flag_entries = self._flags(flags)
        files = [file for file in (user, project) if file is not None]
        trusted = project is None or self._is_trusted(project)
        chosen, by = self._chosen_profile(flag_entries, profile, environment, files, trusted)
        profile_entries, profile_trusted = self._profile(chosen, by, files, trusted)
        if by.kind != "flag":
            self._put(profile_entries, profile_trusted)
        for file in files:
            self._put(file.entries, trusted or file is user)
        self._put(environment)
        if by.kind == "flag":
            self._put(profile_entries, profile_trusted)
        self._put(flag_entries)
        if chosen:
            self._values["profile"], self._sources["profile"] = chosen, by
        if project is not None and self._untrusted:
            self._notices.append(
                f"{project.path} is not trusted: {', '.join(self._untrusted)} ignored; "
                "look at the file, then `jetbox-tui config trust`"
            )
        return Loaded(
            self._build(files),
            self._sources,
            tuple(self._notices),
            self._user_path,
            project.path if project else "",
            tuple(self._untrusted),
        )

    def _put(self, entries: Iterable[Entry], trusted: bool = True) -> None:
        for entry in entries:
            if not trusted and self._is_guarded(entry):
                if entry.option not in self._untrusted:
                    self._untrusted.append(entry.option)
                continue
            self._values[entry.option] = entry.value
            self._sources[entry.option] = entry.source

    def _is_guarded(self, entry: Entry) -> bool:
        from jetbox.settings.trust import is_guarded

        return is_guarded(entry.option, entry.value, self._values.get(entry.option, _default(entry.option)))

    def _is_trusted(self, project: ConfigFile) -> bool:
        from jetbox.settings.trust import is_trusted

        return is_trusted(project.path, project.data)

    def _environment(
        self, env: Mapping[str, str], variables: Mapping[str, str], foreign: Mapping[str, str]
    ) -> list[Entry]:
        from jetbox.settings.fields import fit_text
        from jetbox.settings.files import Entry

        entries = []
        for name, text in foreign.items():
            source = Source("environment", name)
            entries.append(Entry(_FOREIGN_VARIABLES[name], fit_text(_FOREIGN_VARIABLES[name], text, source), source))
        if env.get("NO_COLOR"):
            entries.append(Entry("ui.color", False, Source("environment", "NO_COLOR")))
        for name, text in variables.items():
            source = Source("environment", name)
            if option := self._option_of(name, source):
                entries.append(Entry(option, fit_text(option, text, source), source))
        return entries

    def _option_of(self, variable: str, source: Source) -> str:
        from jetbox.settings.fields import error, nearest, option_names, section_names

        names = {"JETBOX_PROFILE": "profile", "JETBOX_DEBUG": "ui.debug"}
        names |= {"JETBOX_" + option.replace(".", "_").upper(): option for option in option_names()}
        if variable in names:
            return names[variable]
        near = nearest(variable.removeprefix("JETBOX_"), [name.removeprefix("JETBOX_") for name in names])
        near = near and f"JETBOX_{near}"
        if variable.startswith(tuple(f"JETBOX_{section.upper()}_" for section in section_names())):
            raise error(source, "no such option", f"did you mean {near}?" if near else "")
        self._notices.append(f"{variable} is no option of jetbox-tui" + (f"; did you mean {near}?" if near else ""))
        return ""

    def _flags(self, flags: tuple[Flag, ...]) -> list[Entry]:
        from jetbox.settings.fields import error, fit_text
        from jetbox.settings.files import Entry

        entries = []
        for option, text, flag in sorted(flags, key=lambda flag: flag[2] != "--set"):
            source = Source("flag", flag)
            if option.partition(".")[0] == "profiles":
                raise error(source, "profiles are made in a file", f"[profiles.NAME.SECTION] in {self._user_path}")
            entries.append(Entry(option, fit_text(option, text, source), source))
        return entries

    def _chosen_profile(
        self, flags: list[Entry], profile: str, environment: list[Entry], files: list[ConfigFile], trusted: bool
    ) -> tuple[str, Source]:
        if profile:
            return profile, Source("flag", "--profile")
        places = [*flags, *environment]
        for file in reversed(files):
            places += [e for e in file.entries if trusted or file.kind == "user" or not self._is_guarded(e)]
        return next(((e.value, e.source) for e in places if e.option == "profile" and e.value), ("", DEFAULT))

    def _profile(self, name: str, by: Source, files: list[ConfigFile], trusted: bool) -> tuple[tuple[Entry, ...], bool]:
        """The profile's values, and whether all of them may apply."""
        from jetbox.settings.fields import error
        from jetbox.settings.files import Entry
        from jetbox.settings.profiles import BUILT_IN

        if not name:
            return (), True
        if name in BUILT_IN:
            source = Source("profile", name)
            tables = BUILT_IN[name].items()
            return tuple(
                Entry(f"{s}.{key}", value, source) for s, table in tables for key, value in table.items()
            ), True
        for file in reversed(files) if trusted else files:  # a stranger's profile never replaces the user's own
            if name in file.profiles:
                entries = file.profiles[name]
                named = ((e, Source("profile", f"{name} {e.source.where}", e.source.line)) for e in entries)
                return tuple(Entry(e.option, e.value, source) for e, source in named), trusted or file.kind == "user"
        own = sorted({own for file in files for own in file.profiles})
        raise error(by, f"no profile {name!r}", f"profiles: {', '.join([*BUILT_IN, *own])}")

    def _build(self, files: list[ConfigFile]) -> Settings:
        sections: dict[str, dict[str, Any]] = {}
        for option, value in self._values.items():
            section, _, key = option.partition(".")
            sections.setdefault(section, {})[key] = value
        defaults = Settings()
        built: dict[str, Any] = {
            name: msgspec.structs.replace(getattr(defaults, name), **values)
            for name, values in sections.items()
            if name not in ("keys", "profile")
        }
        built["keys"] = sections.get("keys", {})
        built["profile"] = self._values.get("profile", "")
        built["profiles"] = _profiles(files)
        return msgspec.structs.replace(defaults, **built)


def _profiles(files: list[ConfigFile]) -> dict[str, dict[str, dict[str, Any]]]:
    profiles: dict[str, dict[str, dict[str, Any]]] = {}
    for file in files:
        for name, entries in file.profiles.items():
            table: dict[str, dict[str, Any]] = {}
            for entry in entries:
                section, _, key = entry.option.partition(".")
                table.setdefault(section, {})[key] = entry.value
            profiles[name] = table
    return profiles


def parse_assignment(text: str) -> Flag:
    """`section.key=VALUE` of `--set`.

    Raises:
        SettingsError: it is none.
    """
    option, equals, value = text.partition("=")
    if not equals or not option.strip():
        raise SettingsError(f"--set: {text!r} is no SECTION.KEY=VALUE", "such as --set context.num_ctx=32768")
    return option.strip(), value.strip(), "--set"


def guarded_entries(project: ConfigFile) -> list[tuple[str, Entry]]:
    """What the file may set once it is trusted, each with its full name; against the defaults."""
    from jetbox.settings.trust import is_guarded

    named = [(entry.option, entry) for entry in project.entries]
    named += [(f"profiles.{name}.{e.option}", e) for name, entries in project.profiles.items() for e in entries]
    return [(name, e) for name, e in named if is_guarded(e.option, e.value, _default(e.option))]


def _default(option: str) -> Any:
    section, _, key = option.partition(".")
    return getattr(getattr(Settings(), section), key, None) if key else None
