"""`python -m jetbox.sim`: the embedded server as a process of its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from jetbox.sim import catalog, fault_kinds, faults, profiles, script
from jetbox.sim.flavours import FLAVOURS, LACKS
from jetbox.sim.server import Options, StartError, run
from jetbox.sim.setup import VERSION

EPILOG = """\
The server speaks Ollama's protocol (/api/chat, generate, embed, tags, show, ps, pull, delete,
version) and OpenAI's (/v1/chat/completions, /v1/models, /v1/embeddings), the latter in the
manner of a server of choice: --flavour. `GET /sim/stats` tells what it has seen,
`POST /sim/release` ends stalls, `POST /sim/other` does what another client might do.

{faults}
{kinds}
Example:  {prog} --port 11434 --script mathx --profile gpt-oss:20b --speed 4
"""


def parser(prog: str) -> argparse.ArgumentParser:
    """The options."""
    fault_help = (faults.__doc__ or "").partition("\n\n")[2]
    result = argparse.ArgumentParser(
        prog=prog,
        allow_abbrev=False,
        description="Play scripted models over Ollama's protocol.",
        epilog=EPILOG.format(faults=f"Faults:\n{fault_help}", kinds=fault_kinds.table(), prog=prog).replace("%", "%%"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shipped = ", ".join(sorted(path.stem for path in script.SHIPPED.glob("*.toml")))
    add = result.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    add("--port", type=int, default=0, help="port to listen on; 0, the default, takes a free one")
    add(
        "--script",
        action="append",
        default=[],
        metavar="NAME|FILE",
        help=f"script to play: a shipped one ({shipped}) or a .toml file; repeatable; default: all shipped",
    )
    add("--profile", default="", help=f"latency: {', '.join(profiles.PROFILES)}; default: each model's own")
    add("--speed", type=_speed, default=1.0, metavar="X", help="divide every latency by X; 0: no latency")
    add("--instant", action="store_true", help="the same as --speed 0")
    add("--fault", action="append", default=[], metavar="SPEC", help="a fault, see below; repeatable")
    add(
        "--context-length",
        type=int,
        default=0,
        metavar="N",
        help="window where a request names none (4096), or can name none (32768)",
    )
    add("--flavour", default="ollama", help=f"kind of server: {', '.join(FLAVOURS)}")
    add(
        "--model",
        action="append",
        default=[],
        metavar="NAME",
        help=f"Ollama: have this model too ({', '.join(model.name for model in catalog.MORE)}, all); others: serve "
        "this one; repeatable",
    )
    add("--api-key", default="", metavar="KEY", help="refuse requests without this key")
    add(
        "--lacks",
        action="append",
        default=[],
        metavar="WHAT",
        help=f"started without it: {', '.join(LACKS)}; repeatable",
    )
    add("--server-version", default=VERSION, metavar="V", help=f"version of Ollama to be ({VERSION})")
    add("--keep-alive", default="5m", metavar="TIME", help="how long a model stays loaded by itself (5m)")
    add("--max-queue", type=int, default=512, metavar="N", help="requests that may wait for a load (512)")
    add("--parallel", type=int, default=0, metavar="N", help="requests that a model serves at once (Ollama: 1)")
    add("--vram", type=float, default=0.0, metavar="GIB", help="memory of the GPU; models spill beyond it (enough)")
    add("--kept-prompts", type=int, default=0, metavar="N", help="conversations that stay in the cache (Ollama: 1)")
    add("--ready-fd", type=int, default=-1, metavar="N", help="write the address to this descriptor too")
    add("--die-with-parent", action="store_true", help="end when the parent, or the pipe on standard input, is gone")
    return result


def main(arguments: Sequence[str] | None = None, prog: str = "python -m jetbox.sim") -> int:
    """Run the server; the exit code."""
    given = parser(prog).parse_args(arguments)
    options = Options(
        host=given.host,
        port=given.port,
        scripts=tuple(given.script),
        profile=given.profile,
        speed=0.0 if given.instant else given.speed,
        faults=tuple(given.fault),
        context_length=given.context_length,
        flavour=given.flavour,
        models=tuple(given.model),
        api_key=given.api_key,
        lacks=tuple(given.lacks),
        version=given.server_version,
        keep_alive=given.keep_alive,
        max_queue=given.max_queue,
        parallel=given.parallel,
        vram_gib=given.vram,
        kept_prompts=given.kept_prompts,
        ready_fd=given.ready_fd,
        die_with_parent=given.die_with_parent,
    )
    try:
        return run(options)
    except StartError as error:
        sys.stderr.write(f"{prog}: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130


def _speed(word: str) -> float:
    value = float(word)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError("must be 0 or more")
    return value


if __name__ == "__main__":
    sys.exit(main())
