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


def test_ollamas_package_is_imported_when_it_is_asked_for() -> None:
    code = (
        "import asyncio, sys\n"
        "from jetbox.engine.models.ollama import OllamaModel\n"
        "model = OllamaModel('http://127.0.0.1:9')\n"
        "assert 'ollama' not in sys.modules\n"
        "client = asyncio.run(model.rest())\n"
        "assert {'pull', 'create', 'copy', 'delete', 'embed'} <= set(dir(client))"
    )
    assert "ollama" in loaded_by(code)


def test_the_embedded_server_knows_nothing_of_the_product() -> None:
    modules = {m for m in loaded_by("import jetbox.sim.__main__") if m.startswith("jetbox.")}
    assert all(m.startswith("jetbox.sim") for m in modules)


def test_nothing_is_tokenized_here() -> None:
    known = {"tiktoken", "tokenizers", "transformers", "sentencepiece", "mistral_common"}
    root = Path(__file__).parents[2]
    imported = {
        name.split(".")[0]
        for path in (root / "app").rglob("*.py")
        for name in re.findall(r"^\s*(?:from|import) ([\w.]+)", path.read_text(), re.MULTILINE)
    }
    assert "httpx" in imported or "msgspec" in imported
    assert not known & imported
    assert not any(name in (root / "pyproject.toml").read_text() for name in known)
