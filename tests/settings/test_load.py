from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from jetbox.engine.errors import ExitCode, SettingsError
from jetbox.engine.options import EngineOptions, ProbeCommand
from jetbox.settings.fields import option_names
from jetbox.settings.load import load, parse_assignment
from jetbox.settings.model import Settings
from jetbox.settings.profiles import BUILT_IN
from jetbox.settings.trust import trust


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / ".jetbox").mkdir()
    return tmp_path


def user_config(text: str) -> Path:
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "jetbox" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def project_config(workspace: Path, text: str, *, trusted: bool = False) -> Path:
    path = workspace / ".jetbox" / "config.toml"
    path.write_text(text)
    if trusted:
        trust(str(path), path.read_bytes())
    return path


def failure(workspace: Path | None = None, **kwargs: object) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load(str(workspace) if workspace else None, **kwargs)  # type: ignore[arg-type]
    assert caught.value.exit_code is ExitCode.USAGE
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value


def test_without_any_source_everything_is_the_default(workspace: Path) -> None:
    loaded = load(str(workspace), environment={})
    assert loaded.settings == Settings()
    assert isinstance(loaded.settings, EngineOptions)
    assert loaded.sources == {}
    assert loaded.changed() == {}
    assert loaded.source("model.name").kind == "default"


ORDER = ["profile in a file", "user", "project", "environment", "profile flag", "flag"]


@pytest.mark.parametrize("present", [c for n in range(1, 7) for c in itertools.combinations(range(6), n)])
def test_the_highest_source_wins_and_is_named(workspace: Path, present: tuple[int, ...]) -> None:
    user = "[profiles.beneath.context]\nnum_ctx = 1000\n[profiles.above.context]\nnum_ctx = 5000\n"
    user = (
        ("profile = 'beneath'\n" if 0 in present else "")
        + ("[context]\nnum_ctx = 2000\n" if 1 in present else "")
        + user
    )
    user_path = user_config(user)
    if 2 in present:
        project_config(workspace, "[context]\nnum_ctx = 3000\n")
    environment = {"JETBOX_CONTEXT_NUM_CTX": "4000"} if 3 in present else {}
    loaded = load(
        str(workspace),
        environment=environment,
        profile="above" if 4 in present else "",
        flags=[("context.num_ctx", "6000", "--num-ctx")] if 5 in present else [],
    )
    winner = max(present)
    if winner == 0 and 4 not in present:
        assert loaded.source("context.num_ctx").where == f"beneath {user_path}"
    assert loaded.settings.context.num_ctx == (winner + 1) * 1000
    assert loaded.source("context.num_ctx").kind == ORDER[winner].split()[0]


def test_sources_name_file_and_line_variable_profile_and_flag(workspace: Path) -> None:
    user = user_config('[model]\nname = "a"\n\n[ui]\n# dark\ntheme = "jetbox-light"\n')
    project = project_config(workspace, "loop.max_rounds = 3\n")
    loaded = load(
        str(workspace),
        environment={"OLLAMA_HOST": "gpu-box", "NO_COLOR": "1"},
        flags=[("model.seed", "7", "--set")],
        profile="baseline",
    )
    shown = {option: str(source) for option, source in loaded.sources.items()}
    assert shown == {
        "model.name": f"user {user}:2",
        "ui.theme": f"user {user}:6",
        "loop.max_rounds": f"project {project}:1",
        "model.host": "environment OLLAMA_HOST",
        "ui.color": "environment NO_COLOR",
        **{f"{section}.{key}": "profile baseline" for section, table in BUILT_IN["baseline"].items() for key in table},
        "model.seed": "flag --set",
        "profile": "flag --profile",
    }
    assert loaded.changed()["model.host"] == '"http://gpu-box:11434"'
    assert loaded.changed()["performance.probe_cache"] == "false"
    assert not loaded.settings.ui.color


def test_jetbox_variables_stand_above_those_of_ollama() -> None:
    environment = {"JETBOX_MODEL_NAME": "ours", "OLLAMA_MODEL": "theirs", "JETBOX_MODEL_HOST": ""}
    loaded = load(None, environment=environment)
    assert loaded.settings.model.name == "ours"
    assert loaded.source("model.name").where == "JETBOX_MODEL_NAME"
    assert loaded.settings.model.host == Settings().model.host


@pytest.mark.parametrize("option", option_names())
def test_every_option_can_be_set_by_variable_and_by_set(option: str) -> None:
    section, _, key = option.partition(".")
    default = getattr(getattr(Settings(), section), key)
    text, value = {
        bool: ("false" if default else "true", not default),
        int: ("512", 512),
        float: ("2.5", 2.5),
        str: ("abc", "abc"),
        tuple: ("abc,def", ("abc", "def")),
        dict: ('{ m = "/x.json" }', {"m": "/x.json"}),
        type(None): ("1", 1),
    }[type(default)]
    special = {
        "routing.mode": ("phase", "phase"),
        "model.host": ("box:1", "http://box:1"),
        "model.keep_alive": ("-1", "-1"),
        "permissions.mode": ("auto", "auto"),
        "probes.wait": ("overlap", "overlap"),
        "model.protocol": ("openai", "openai"),
        "tools.spec_style": ("full", "full"),
        "context.prompt_version": ("brief-1", "brief-1"),
        "probes.commands": ("[{ name = 'a', command = 'b c' }]", (ProbeCommand(name="a", command="b c"),)),
        "ui.theme": ("jetbox-light", "jetbox-light"),
        "ui.notify": ("bell", "bell"),
    }
    text, value = special.get(option, (text, value))
    variable = f"JETBOX_{section}_{key}".upper()
    by_variable = load(None, environment={variable: text})
    by_flag = load(None, environment={}, flags=[parse_assignment(f"{option} = {text}")])
    for loaded in (by_variable, by_flag):
        assert getattr(getattr(loaded.settings, section), key) == value
    assert by_variable.source(option).where == variable
    assert by_flag.source(option).where == "--set"


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("model.think=true", "true"),
        ("model.name=gpt-oss:20b", "gpt-oss:20b"),
        ("model.name='quoted = name'", "quoted = name"),
        ("model.name=123", "123"),
        ("model.temperature=none", None),
        ("model.temperature=0", 0.0),
        ("permissions.pass_env=['A', \"B\"]", ("A", "B")),
        ("permissions.sandbox=off", False),
        ("keys.session.cancel=ctrl+x", "ctrl+x"),
    ],
)
def test_set_takes_toml_values_and_bare_words(assignment: str, value: object) -> None:
    loaded = load(None, environment={}, flags=[parse_assignment(assignment)])
    section, _, key = assignment.partition("=")[0].partition(".")
    held = getattr(loaded.settings, section)
    assert (held[key] if section == "keys" else getattr(held, key)) == value


def test_a_flag_of_its_own_stands_above_set() -> None:
    flags = [("model.name", "flag", "--model"), parse_assignment("model.name=set")]
    assert load(None, environment={}, flags=flags).settings.model.name == "flag"


@pytest.mark.parametrize(
    ("text", "line", "says", "hint"),
    [
        ("[model]\nnme = 'x'\n", 2, "unknown key model.nme", "did you mean 'name'?"),
        ("[model]\nnum_ctx = 1\n", 2, "unknown key model.num_ctx", "did you mean 'context.num_ctx'?"),
        ("\n[modle]\nname = 'x'\n", 2, "unknown section 'modle'", "did you mean 'model'?"),
        ("theme = 'x'\n", 1, "unknown section or key 'theme'", "did you mean ui.theme?"),
        ("zzzz = 1\n", 1, "unknown section 'zzzz'", "sections: model, context"),
        ("model = 'x'\n", 1, "model is a section, not a value", "write [model]"),
        (
            "[context]\n\nnum_ctx = '16384'\n",
            3,
            "context.num_ctx must be a whole number, not the text",
            "without quotes",
        ),
        ("[context]\nnum_ctx = 1.5\n", 2, "context.num_ctx must be a whole number, not 1.5", ""),
        ("[probes]\nruff = 'yes'\n", 2, 'probes.ruff must be true or false, not the text "yes"', ""),
        ("[permissions]\nmode = 'yolo'\n", 2, 'permissions.mode must be "ask" or "edits" or "auto"', ""),
        ("[permissions]\nallow = 'x'\n", 2, "permissions.allow must be a list of texts", ""),
        ("[permissions]\nallow = [\n'a',\n1]\n", 2, "permissions.allow must be a list of texts", ""),
        ("[loop]\nmax_rounds = -1\n", 2, "loop.max_rounds must be 0 or more, not -1", ""),
        ("[tools]\ncommand_s = 0\n", 2, "tools.command_s must be more than 0, not 0.0", ""),
        ("[tools]\ncommand_s = nan\n", 2, "tools.command_s must be more than 0, not nan", ""),
        ("[model]\nkeep_alive = 'long'\n", 2, "model.keep_alive must be a duration", "such as 30m"),
        ("[model.tokenizers]\nm = 1\n", 1, "model.tokenizers must be a table", ""),
        ("[model]\ntokenizers = { m = 'x.json' }\n", 2, 'model.tokenizers: the text "x.json" is no whole path', "~/"),
        ("[model]\nhost = 'ftp://x'\n", 2, "'ftp://x' is no address of a server", "http://127.0.0.1:11434"),
        ("[keys]\n'session.cancel' = 3\n", 2, "keys.session.cancel must be a text, not 3", ""),
        ("profile = 'fats'\n", 1, "no profile 'fats'", "profiles: baseline, seed, fast, quality"),
        ("[profiles.fast.model]\nname = 'x'\n", 1, "the profile 'fast' is built in", "another name"),
        ("[profiles.own.model]\nnme = 'x'\n", 2, "unknown key model.nme", "did you mean 'name'?"),
        ("[profiles.own]\nmodel = 1\n", 2, "model is a section", ""),
        ("[model\nname = 1\n", 1, "TOML syntax: Expected ']'", "the line: [model"),
        ("[model]\nname = 'x'\nname = 'y'\n", 3, "TOML syntax: Cannot overwrite", "the line: name = 'y'"),
        ("[model]\nname =\n", 2, "TOML syntax: Invalid value", "the line: name ="),
        ("[model]\nname = 'x'\na = '''", 3, "TOML syntax", ""),
        ("a = '''\n\n[model]\nx = 1\n'''\n[model]\nnme = 1", 1, "unknown section 'a'", ""),
        ('[model]\nname = """\nnme = 1\n"""\nnme = 1', 5, "unknown key model.nme", ""),
    ],
)
def test_an_error_in_a_file_names_file_line_key_and_the_nearest(text: str, line: int, says: str, hint: str) -> None:
    path = user_config(text)
    caught = failure(environment={})
    assert caught.message.startswith(f"{path}:{line}: {says}")
    assert hint in caught.hint


@pytest.mark.parametrize(
    ("environment", "says", "hint"),
    [
        (
            {"JETBOX_MODEL_NUM_PREDICT": "many"},
            "JETBOX_MODEL_NUM_PREDICT: model.num_predict must be a whole number",
            "",
        ),
        ({"JETBOX_MODEL_NAM": "x"}, "JETBOX_MODEL_NAM: no such option", "did you mean JETBOX_MODEL_NAME?"),
        ({"JETBOX_PROFILE": "slow"}, "JETBOX_PROFILE: no profile 'slow'", "baseline"),
        ({"OLLAMA_HOST": "box:port"}, "OLLAMA_HOST: 'box:port' is no address", ""),
    ],
)
def test_an_error_in_a_variable_names_it(environment: dict[str, str], says: str, hint: str) -> None:
    caught = failure(environment=environment)
    assert caught.message.startswith(says)
    assert hint in caught.hint


@pytest.mark.parametrize(
    ("assignment", "says", "hint"),
    [
        ("model.nme=x", "--set: unknown key model.nme", "did you mean 'name'?"),
        ("model=x", "--set: model is a section, not an option", "its keys: name, host"),
        ("name=x", "--set: unknown section or key 'name'", "did you mean model.name?"),
        ("profiles.x.model=1", "--set: profiles are made in a file", ""),
        ("loop.max_rounds=three", '--set: loop.max_rounds must be a whole number, not the text "three"', ""),
    ],
)
def test_an_error_in_set_names_it(assignment: str, says: str, hint: str) -> None:
    caught = failure(environment={}, flags=[parse_assignment(assignment)])
    assert caught.message.startswith(says)
    assert hint in caught.hint


@pytest.mark.parametrize("text", ["model.name", "=x", ""])
def test_set_without_a_value_is_an_error(text: str) -> None:
    with pytest.raises(SettingsError, match="--set"):
        parse_assignment(text)


def test_a_foreign_variable_is_a_notice_and_no_error() -> None:
    loaded = load(None, environment={"JETBOX_HOME": "/opt", "JETBOX_PROFIL": "fast"})
    assert loaded.settings == Settings()
    assert loaded.notices == (
        "JETBOX_HOME is no option of jetbox-tui",
        "JETBOX_PROFIL is no option of jetbox-tui; did you mean JETBOX_PROFILE?",
    )


def test_files_that_cannot_be_configuration_are_refused(workspace: Path) -> None:
    path = user_config("")
    path.write_bytes(b"# ok\n[ui]\ntheme = '\xff'\n")
    assert failure(environment={}).message == f"{path}:3: is not UTF-8"
    path.write_bytes(b" " * (1024 * 1024 + 1))
    assert "too large" in failure(environment={}).message
    path.unlink()
    path.mkdir()
    assert failure(environment={}).message == f"{path}: is no regular file"
    path.rmdir()
    os.mkfifo(path)
    assert failure(environment={}).message == f"{path}: is no regular file"
    path.unlink()
    path.symlink_to(path)
    assert failure(environment={}).message.startswith(f"{path}: cannot be read")


def test_own_profiles_lie_over_one_another_by_source(workspace: Path) -> None:
    user_config("[profiles.mine.model]\nname = 'user'\n")
    text = "profile = 'mine'\n[profiles.mine.model]\nname = 'project'\n"
    path = project_config(workspace, text, trusted=True)
    loaded = load(str(workspace), environment={})
    assert loaded.settings.model.name == "project"
    assert str(loaded.source("model.name")) == f"profile mine {path}:3"
    assert loaded.settings.profile == "mine"
    assert loaded.settings.profiles == {"mine": {"model": {"name": "project"}}}


def test_the_settings_travel_as_json() -> None:
    settings = load(None, environment={"JETBOX_PERMISSIONS_ALLOW": "a,b"}).settings
    assert msgspec.json.decode(msgspec.json.encode(settings), type=Settings) == settings


def test_loading_without_files_imports_next_to_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, msgspec, jetbox.engine.options, jetbox.engine.errors\n"
        "before = set(sys.modules)\n"
        "from jetbox.settings.load import load\n"
        f"load({str(tmp_path)!r}, environment={{}})\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "jetbox.folders", "jetbox.settings", "jetbox.settings.folders", "jetbox.settings.load", "jetbox.settings.model"
    ]  # fmt: skip
