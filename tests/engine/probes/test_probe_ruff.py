from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from engine.moving import Clock
    from engine.probes.conftest import Bench

CLEAN = "def add(a: int, b: int) -> int:\n    return a + b\n"


async def test_clean_file_passes(bench: Bench) -> None:
    bench.write("m.py", CLEAN)
    verdict = await bench.one(bench.engine(), "ruff")
    assert (verdict.state, verdict.summary, verdict.output) == ("passed", "0 problems", "")
    assert verdict.duration_ns > 0


async def test_findings_are_counted_by_rule(bench: Bench) -> None:
    bench.write("m.py", "import os\nimport sys\n")
    bench.write("n.py", "def f(:\n")
    verdict = await bench.one(bench.engine(pytest=False), "ruff")
    assert verdict.state == "failed"
    assert verdict.summary.startswith("4 problems: ")
    assert "F401 ×2" in verdict.summary
    assert "invalid-syntax" in verdict.summary
    assert "m.py:1:8 F401 `os` imported but unused" in verdict.output.splitlines()
    assert "Found" not in verdict.output


async def test_long_output_keeps_head_and_tail_and_the_whole_count(bench: Bench) -> None:
    for n in range(20):
        bench.write(f"m{n:02}.py", "".join(f"import very_long_module_name_{k}\n" for k in range(20)))
    bench.write("ruff.toml", '[lint]\nselect = ["F"]\n')
    verdict = await bench.one(bench.engine(pytest=False, output_bytes=2_000), "ruff")
    assert verdict.summary == "400 problems: F401 ×400"
    assert len(verdict.output.encode()) < 2_200
    assert "m00.py:1:8" in verdict.output
    assert "m19.py:20:8" in verdict.output
    assert "bytes left out" in verdict.output


async def test_project_that_fixes_by_default_is_not_rewritten(bench: Bench) -> None:
    path = bench.write("m.py", "import os\n")
    bench.write("pyproject.toml", "[tool.ruff]\nfix = true\nunsafe-fixes = true\n")
    verdict = await bench.one(bench.engine(pytest=False), "ruff")
    assert verdict.state == "failed"
    assert path.read_text() == "import os\n"
    assert not (bench.root / ".ruff_cache").exists()


async def test_broken_configuration_is_an_error_in_ruffs_words(bench: Bench) -> None:
    bench.write("m.py", CLEAN)
    bench.write("ruff.toml", "[lint\n")
    verdict = await bench.one(bench.engine(pytest=False), "ruff")
    assert verdict.state == "error"
    assert verdict.red
    assert "Failed to parse" in verdict.summary
    assert "unclosed table" in verdict.summary


async def test_no_python_files_is_skipped(bench: Bench) -> None:
    bench.write("README.md", "# nothing\n")
    verdict = await bench.one(bench.engine(), "ruff")
    assert (verdict.state, verdict.summary) == ("skipped", "no Python files")


async def test_all_files_excluded_is_skipped_too(bench: Bench) -> None:
    bench.write("m.py", "import os\n")
    engine = bench.engine(pytest=False)
    assert (await bench.one(engine, "ruff")).state == "failed"
    bench.write("../ruff.toml", 'exclude = ["ws/m.py"]\n')
    verdict = await bench.one(engine, "ruff")
    assert verdict.why == "ruff configuration changed"
    assert (verdict.state, verdict.summary) == ("skipped", "no Python files")


async def test_new_package_makes_untouched_imports_wrong(bench: Bench) -> None:
    bench.write("ruff.toml", '[lint]\nselect = ["I"]\n')
    bench.write("app/__init__.py", "")
    bench.write("app/m.py", "import requests\nimport zlibx\n")
    engine = bench.engine(pytest=False)
    assert (await bench.one(engine, "ruff")).state == "passed"
    bench.write("zlibx/__init__.py", "")
    verdict = await bench.one(engine, "ruff")
    assert verdict.summary == "1 problem: I001"
    assert verdict.why == "new file: zlibx/__init__.py"


async def test_no_ruff_anywhere_is_skipped_with_the_cure(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write("m.py", CLEAN)
    monkeypatch.setattr("sys.prefix", str(bench.root / "nowhere"))
    monkeypatch.setattr("sys.executable", str(bench.root / "nowhere" / "bin" / "python"))
    monkeypatch.setenv("PATH", str(bench.root))
    verdict = await bench.one(bench.engine(pytest=False), "ruff")
    assert (verdict.state, verdict.summary) == ("skipped", "ruff is not installed; cure: pip install ruff")


async def test_ruff_of_the_workspace_comes_before_ours(bench: Bench) -> None:
    bench.write("m.py", CLEAN)
    own = bench.write(".venv/bin/ruff", "#!/bin/sh\necho 'm.py:1:1: OWN1 found by its own'\nexit 1\n")
    own.chmod(0o755)
    (bench.root / ".venv/bin/python").symlink_to(os.path.realpath("/bin/sh"))
    verdict = await bench.one(bench.engine(pytest=False), "ruff")
    assert (verdict.summary, verdict.output) == ("1 problem: OWN1", "m.py:1:1 OWN1 found by its own")
    own.write_text("#!/bin/sh\nexit 0\n")
    again = await bench.one(bench.engine(pytest=False), "ruff")
    assert again.state == "passed"


async def test_new_ruff_is_a_miss(bench: Bench) -> None:
    bench.write("m.py", CLEAN)
    own = bench.write(".venv/bin/ruff", "#!/bin/sh\nexit 0\n")
    own.chmod(0o755)
    (bench.root / ".venv/bin/python").symlink_to(os.path.realpath("/bin/sh"))
    engine = bench.engine(pytest=False)
    await engine.verdicts()
    own.write_text("#!/bin/sh\necho 'm.py:1:1: NEW1 stricter'\nexit 1\n")
    verdict = await bench.one(engine, "ruff")
    assert (verdict.cache, verdict.why, verdict.summary) == ("ran", "ruff changed", "1 problem: NEW1")


async def test_ruff_that_hangs_times_out(bench: Bench, clock: Clock) -> None:
    bench.write("m.py", CLEAN)
    bench.write(".venv/bin/ruff", f"#!/bin/sh\necho waiting\n: > {bench.begun}\nexec sleep 600\n").chmod(0o755)
    (bench.root / ".venv/bin/python").symlink_to(os.path.realpath("/bin/sh"))
    verdict = await bench.out_of_time(bench.engine(pytest=False, time_s=100), "ruff", clock)
    assert (verdict.state, verdict.summary, verdict.output) == ("timeout", "no result after 100 s", "waiting\n")


async def test_ruff_that_cannot_be_started_is_an_error(bench: Bench) -> None:
    bench.write("m.py", CLEAN)
    bench.write(".venv/bin/ruff", "#!/nonexistent/interpreter\n").chmod(0o755)
    (bench.root / ".venv/bin/python").symlink_to(os.path.realpath("/bin/sh"))
    verdict = await bench.one(bench.engine(pytest=False), "ruff")
    assert verdict.state == "error"
    assert verdict.summary
    assert Path(bench.root / ".venv/bin/ruff").exists()
