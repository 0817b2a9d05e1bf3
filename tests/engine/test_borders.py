from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "textual",
    "rich",
    "ollama",
    "pydantic",
    "watchfiles",
    "pygments",
    "jetbox.settings",
    "jetbox.ui",
    "jetbox.sim",
)


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport sys; print('\\n'.join(sys.modules))"
    return set(
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    )


@pytest.mark.parametrize(
    "module", ["jetbox.engine.loop", "jetbox.engine.assemble", "jetbox.engine.models.ollama", "jetbox.record.journal"]
)
def test_engine_and_record_run_without_the_screen(module: str) -> None:
    assert not loaded_by(f"import {module}").intersection(HEAVY)


def test_httpx_comes_without_its_command_line_program() -> None:
    modules = loaded_by("from jetbox.engine.models.lean import import_httpx; import_httpx()")
    assert "httpx" in modules
    assert not modules.intersection({"httpx._main", "rich", "pygments", "click"})


def test_the_embedded_server_knows_nothing_of_the_product() -> None:
    modules = {m for m in loaded_by("import jetbox.sim.__main__") if m.startswith("jetbox.")}
    assert all(m.startswith("jetbox.sim") for m in modules)


ROOT = Path(__file__).parents[2]


def imported_anywhere() -> set[str]:
    """Packages that some module of the product names in an import."""
    return {
        name.split(".")[0]
        for path in (ROOT / "app").rglob("*.py")
        for name in re.findall(r"^\s*(?:from|import) ([\w.]+)", path.read_text(), re.MULTILINE)
    }


TOKENIZERS = {"tiktoken", "tokenizers", "transformers", "sentencepiece", "mistral_common"}


def test_one_module_alone_may_import_a_tokenizer_and_it_runs_in_a_process_of_its_own() -> None:
    app = ROOT / "app"
    naming = {
        str(path.relative_to(app / "jetbox"))
        for path in app.rglob("*.py")
        if re.search(rf"^\s*(?:from|import) (?:{'|'.join(TOKENIZERS)})\b", path.read_text(), re.MULTILINE)
    }
    assert naming == {"engine/context/token_worker.py"}
    importing = {
        path.name for path in app.rglob("*.py") if re.search(r"(?:from|import) .*token_worker", path.read_text())
    }
    assert importing == set(), "it is started by its name, as a script"
    needed, _, optional = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")
    assert not any(name in needed for name in TOKENIZERS)
    assert '"tokenizers>' in optional


def test_a_start_and_a_loop_know_no_tokenizer_and_what_counts_loads_none() -> None:
    start = "import jetbox.cli.main, jetbox.cli.live, jetbox.engine.loop, jetbox.engine.round, jetbox.engine.assemble"
    counting = {"jetbox.engine.counting", "jetbox.engine.context.token_worker"}
    assert not loaded_by(start) & {*TOKENIZERS, *counting}
    assert not loaded_by(f"import {', '.join(counting)}") & TOKENIZERS


def test_ollamas_own_package_is_for_tests_alone() -> None:
    assert "ollama" not in imported_anywhere(), "it drops ids of calls and counts"
    needed = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[0]
    assert '"ollama>' not in needed
