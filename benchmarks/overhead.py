"""What the client itself costs: a scripted model that answers at once, ten rounds of one write each.

    python benchmarks/overhead.py [--runs 15] [--json]

All times are seen from the server, a process of its own on the same machine and clock:
- start: exec of `jetbox-tui run` to its first chat request
- round: last byte of an answer to the arrival of the next request, over all ten rounds of all runs
- exit: last byte of the last answer to the end of the process, final sync included
- memory: peak resident set of our process, without its children
- bytes: the body of the first request
Each is measured with probes off and with probes as they are by default; `python -c pass` is timed
in the same run, since absolute times move from machine to machine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from jetbox.sim.launch import ServerProcess

SCRIPT = Path(__file__).parent / "scripts" / "ten-writes.toml"
GOALS = {"start ms": 200.0, "round ms": 2.5, "exit ms": 50.0, "peak MiB": 80.0, "first request bytes": 4500.0}


def once(program: str, server: ServerProcess, home: Path, options: list[str]) -> dict[str, Any]:
    """One whole run of ten rounds; times in ms."""
    folder = Path(tempfile.mkdtemp(prefix="overhead-"))
    # A probe has something to judge only where there is code.
    (folder / "app.py").write_text("def answer() -> int:\n    return 42\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JETBOX_", "OLLAMA_", "PYTHON"))}
    environment |= {"HOME": str(home), "XDG_DATA_HOME": str(home / "data"), "OLLAMA_HOST": server.url}
    before = len(server.stats()["timeline"])
    command = [program, "run", "--mode", "edits", "-m", "gpt-oss:20b", "-C", str(folder), *options, "Do ten writes."]
    # Into a file: a reader of ours would compete for the two cores with what is measured.
    with (home / "progress.txt").open("w+b") as progress:
        started = time.monotonic_ns()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=progress)
        _, status, usage = os.wait4(process.pid, 0)
        ended = time.monotonic_ns()
        process.returncode = os.waitstatus_to_exitcode(status)
        shutil.rmtree(folder)
        if process.returncode != 0:
            progress.seek(0)
            raise SystemExit(f"the run ended with {process.returncode}: {progress.read().decode()}")
    chats = server.stats()["timeline"][before:]
    assert len(chats) == 11, f"{len(chats)} requests instead of 11"
    return {
        "start ms": (chats[0][1] - started) / 1e6,
        "round ms": [(after[1] - answered[2]) / 1e6 for answered, after in itertools.pairwise(chats)],
        "exit ms": (ended - chats[-1][2]) / 1e6,
        "peak MiB": usage.ru_maxrss / 1024,
    }


def bare_python() -> float:
    """`python -c pass` in ms: the floor of this machine."""
    started = time.monotonic_ns()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return (time.monotonic_ns() - started) / 1e6


def summary(values: list[float]) -> dict[str, float]:
    """Median, least, greatest and n; p95 from n = 20 on."""
    found = {"median": statistics.median(values), "min": min(values), "max": max(values), "n": float(len(values))}
    if len(values) >= 20:
        found["p95"] = statistics.quantiles(values, n=20)[-1]
    return {name: round(value, 2) for name, value in found.items()}


def measure(runs: int) -> dict[str, dict[str, dict[str, float]]]:
    """All figures of both conditions, interleaved."""
    program = str(Path(sys.executable).with_name("jetbox-tui"))
    home = Path(tempfile.mkdtemp(prefix="overhead-home-"))
    conditions = {"probes off": ["--set", "probes.enabled=false"], "probes as by default": []}
    found: dict[str, dict[str, list[float]]] = {name: {} for name in conditions}
    floor: list[float] = []
    with ServerProcess(scripts=[str(SCRIPT)], speed=0) as server:
        for run in range(runs + 1):
            for name, options in conditions.items():
                figures = once(program, server, home, options)
                if run == 0:
                    continue  # the first run compiles byte code
                for figure, value in figures.items():
                    found[name].setdefault(figure, []).extend(value if isinstance(value, list) else [value])
            floor.append(bare_python())
        first = next(b for b in server.stats()["bodies"] if b["body"].count('"role"') == 2)
    shutil.rmtree(home)
    result = {name: {f: summary(v) for f, v in figures.items()} for name, figures in found.items()}
    result["probes off"]["first request bytes"] = summary([float(len(first["body"].encode()))])
    result["machine"] = {"python -c pass ms": summary(floor)}
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments.runs)
    if arguments.json:
        print(json.dumps(result, indent=1))
        return
    for condition, figures in result.items():
        print(condition)
        for figure, values in figures.items():
            goal = f"   goal {GOALS[figure]:g}" if figure in GOALS and condition == "probes off" else ""
            print(f"  {figure:20} " + "  ".join(f"{name} {value:g}" for name, value in values.items()) + goal)


if __name__ == "__main__":
    main()
