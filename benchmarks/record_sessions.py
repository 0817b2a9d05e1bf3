"""Makes the recordings in `sessions/`: each shipped script is really run, with its latencies.

    python benchmarks/record_sessions.py [NAME ...]

Run it when the journal's format or a script changes; the recordings are the tour of the
product, the examples of the documentation, and fixtures of the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from jetbox.sim.launch import ServerProcess
from jetbox.sim.workspaces import copy_workspace, goal_for, workspace_for

HERE = Path(__file__).resolve().parent
SESSIONS = HERE.parent / "sessions"
MODELS = {"mathx": "gpt-oss:20b", "fix-test": "gpt-oss:20b", "refactor": "llama3.2:3b", "question": "llama3.2:3b"}


def record(script: str, place: Path) -> None:
    """Run one script to its end and keep its journal and blobs."""
    workspace = place / script
    workspace.mkdir()
    if workspace_for(script) is not None:
        copy_workspace(script, workspace)
    data = place / "data"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JETBOX_", "OLLAMA_", "PYTHON"))}
    environment |= {"HOME": str(place), "XDG_DATA_HOME": str(data), "XDG_STATE_HOME": str(place / "state")}
    program = str(Path(sys.executable).with_name("jetbox-tui"))
    model = MODELS[script]
    with ServerProcess(scripts=[script], profile=model) as server:
        command = [program, "run", "--yolo", "--host", server.url, "-m", model, "-C", str(workspace)]
        subprocess.run([*command, goal_for(script)], env=environment, check=True)
    newest = max((data / "jetbox" / "sessions").iterdir())
    target = SESSIONS / script
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    shutil.copy(newest / "journal.jsonl", target / "journal.jsonl")
    if (newest / "blobs").is_dir():
        shutil.copytree(newest / "blobs", target / "blobs")
    for path in [target, *target.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    print(f"{script}: {sum(p.stat().st_size for p in target.rglob('*') if p.is_file()):,} bytes")


def main() -> None:
    """Record the named scripts, or all."""
    place = Path(tempfile.gettempdir()) / "jetbox-samples"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    try:
        for script in sys.argv[1:] or MODELS:
            record(script, place)
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
