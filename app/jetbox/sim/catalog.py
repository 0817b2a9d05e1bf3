"""The models that the server says it has."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

GIB = 1024**3


class Model(NamedTuple):
    """An installed model and what the protocol tells about it."""

    name: str
    family: str
    parameters: str
    """Number of weights, as `/api/show` words it, for example `20.9B`."""
    parameter_count: int
    quantisation: str
    size: int
    """Bytes on disk."""
    context_length: int
    """Longest window, in tokens."""
    capabilities: tuple[str, ...]
    layers: int
    kv_heads: int
    head_size: int
    modified_at: str
    calls: str
    """When its parser hands over tool calls: `chunk` (each when complete) or `done` (all on the last chunk)."""
    profile: str
    """The latency profile that it has where none is asked for."""
    rendered: bool = True
    """Ollama renders and parses for it itself; otherwise the template in its file does."""
    embedding: int = 0
    """Numbers in an embedding; 0 for the size of its layers."""
    remote_host: str = ""
    """Where it really runs, unless here."""
    template: str = "{{ range .Messages }}<|{{ .Role }}|>{{ .Content }}{{ end }}"
    levels: tuple[str, ...] = ()
    """Thinking levels that it knows; the first is the default."""
    own: str = ""
    """What its own file sets, as `/api/show` words it: a line for each option."""
    pace: str = ""
    """How else than by its own profile it is played: what is measured of it is of another model then."""
    base: str = ""
    """The model with whose weights it was made; its own where there is none."""

    @property
    def weights(self) -> str:
        """What the server holds of it in memory, once for all that are made with it."""
        return self.base or self.name

    @property
    def digest(self) -> str:
        """A stable stand-in for the digest of the manifest: 64 hex digits."""
        return _digest(f"{self.name}{self.pace}")

    def kv_bytes(self, num_ctx: int) -> int:
        """Memory of the key-value cache at f16 for a window of so many tokens."""
        return 2 * 2 * self.layers * self.kv_heads * self.head_size * num_ctx

    def details(self) -> dict[str, Any]:
        """The `details` object."""
        return {
            "parent_model": "",
            "format": "gguf",
            "family": self.family,
            "families": [self.family],
            "parameter_size": self.parameters,
            "quantization_level": self.quantisation,
        }

    def listing(self, version: tuple[int, ...] = (0, 33)) -> dict[str, Any]:
        """The entry in `/api/tags`, in that version of the server."""
        told = version >= (0, 30)
        return {
            "name": self.name,
            "model": self.name,
            "modified_at": self.modified_at,
            "size": self.size,
            "digest": self.digest,
            "details": {**self.details(), **({"context_length": self.context_length} if told else {})},
            **({"capabilities": list(self.capabilities)} if told else {}),
            **({"remote_model": self.name, "remote_host": self.remote_host} if self.remote_host else {}),
        }

    def description(self, version: tuple[int, ...] = (0, 33)) -> dict[str, Any]:
        """The reply of `/api/show`, in that version of the server."""
        info = {
            "general.architecture": self.family,
            "general.parameter_count": self.parameter_count,
            f"{self.family}.block_count": self.layers,
            f"{self.family}.attention.head_count_kv": self.kv_heads,
            f"{self.family}.attention.key_length": self.head_size,
            f"{self.family}.attention.value_length": self.head_size,
            f"{self.family}.context_length": self.context_length,
        }
        thinking: dict[str, Any]
        if "thinking" not in self.capabilities or version < (0, 34):
            thinking = {}
        elif self.levels:
            thinking = {"thinking": {"values": sorted(self.levels), "default": self.levels[0]}}
        else:
            thinking = {"thinking": {"values": [True, False], "default": True}}
        remote = {"remote_model": self.name, "remote_host": self.remote_host} if self.remote_host else {}
        return {
            "modelfile": f"# FROM {self.name}\n\nFROM /var/lib/models/blobs/sha256-{_digest(self.weights)}\n",
            **({"parameters": self.own} if self.own else {}),
            "template": self.template,
            "details": self.details(),
            "model_info": info,
            "capabilities": list(self.capabilities),
            "modified_at": self.modified_at,
            **thinking,
            **remote,
        }


def _digest(text: str) -> str:
    return "".join(f"{zlib.crc32(f'{text}/{part}'.encode()):08x}" for part in range(8))


MODELS = (
    Model(
        name="gpt-oss:20b",
        family="gptoss",
        parameters="20.9B",
        parameter_count=20_914_757_184,
        quantisation="MXFP4",
        size=13_793_441_244,
        context_length=131_072,
        capabilities=("completion", "tools", "thinking"),
        layers=24,
        kv_heads=8,
        head_size=64,
        modified_at="2026-09-03T10:12:45.118204312Z",
        calls="done",
        profile="gpt-oss:20b",
        levels=("medium", "low", "high"),
    ),
    Model(
        name="llama3.2:3b",
        family="llama",
        parameters="3.2B",
        parameter_count=3_212_749_888,
        quantisation="Q4_K_M",
        size=2_019_393_189,
        context_length=131_072,
        capabilities=("completion", "tools"),
        layers=28,
        kv_heads=8,
        head_size=128,
        modified_at="2026-08-14T17:40:02.730015528Z",
        calls="done",
        profile="llama3.2:3b",
        rendered=False,
        template=(
            "{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}<|{{ .Role }}|>"
            '{{ if eq .Role "user" }}{{ if and $.Tools $last }}{{ $.Tools }}{{ end }}{{ end }}{{ .Content }}{{ end }}'
        ),
    ),
    Model(
        name="qwen2.5-coder:7b",
        family="qwen2",
        parameters="7.6B",
        parameter_count=7_615_616_512,
        quantisation="Q4_K_M",
        size=4_683_087_561,
        context_length=32_768,
        capabilities=("completion", "tools", "insert"),
        layers=28,
        kv_heads=4,
        head_size=128,
        modified_at="2026-08-20T08:03:51.402918844Z",
        calls="chunk",
        profile="C",
    ),
    Model(
        name="gemma2:2b",
        family="gemma2",
        parameters="2.6B",
        parameter_count=2_614_341_888,
        quantisation="Q4_0",
        size=1_629_518_495,
        context_length=8_192,
        capabilities=("completion",),
        layers=26,
        kv_heads=4,
        head_size=256,
        modified_at="2026-07-02T21:30:19.006112390Z",
        calls="done",
        profile="E",
        rendered=False,
    ),
)
MORE = (
    Model(
        name="qwen3-coder:30b",
        family="qwen3moe",
        parameters="30.5B",
        parameter_count=30_532_122_624,
        quantisation="Q4_K_M",
        size=18_556_701_140,
        context_length=262_144,
        capabilities=("completion", "tools"),
        layers=48,
        kv_heads=4,
        head_size=128,
        modified_at="2026-08-28T12:20:41.550017394Z",
        calls="chunk",
        profile="B",
        own="repeat_penalty                 1.05\n"
        'stop                           "<|im_end|>"\n'
        "temperature                    0.7\n"
        "top_k                          20\n"
        "top_p                          0.8",
    ),
    Model(
        name="qwen3:8b",
        family="qwen3",
        parameters="8.2B",
        parameter_count=8_190_735_360,
        quantisation="Q4_K_M",
        size=5_225_388_164,
        context_length=40_960,
        capabilities=("completion", "tools", "thinking"),
        layers=36,
        kv_heads=8,
        head_size=128,
        modified_at="2026-08-11T09:44:10.091823671Z",
        calls="chunk",
        profile="C",
    ),
    Model(
        name="devstral:24b",
        family="llama",
        parameters="23.6B",
        parameter_count=23_572_403_200,
        quantisation="Q4_K_M",
        size=14_333_927_918,
        context_length=131_072,
        capabilities=("completion", "tools"),
        layers=40,
        kv_heads=8,
        head_size=128,
        modified_at="2026-07-19T15:02:33.713004518Z",
        calls="chunk",
        profile="B",
    ),
    Model(
        name="nomic-embed-text:latest",
        family="nomic-bert",
        parameters="137M",
        parameter_count=136_727_040,
        quantisation="F16",
        size=274_302_450,
        context_length=2_048,
        capabilities=("embedding",),
        layers=12,
        kv_heads=12,
        head_size=64,
        modified_at="2026-05-30T11:55:48.264710093Z",
        calls="chunk",
        profile="E",
        embedding=768,
    ),
    next(model for model in MODELS if model.name == "qwen2.5-coder:7b")._replace(
        name="coder-16k:latest",
        modified_at="2026-08-29T16:22:10.118830421Z",
        own="num_ctx                        16384",
        base="qwen2.5-coder:7b",
    ),
    Model(
        name="gpt-oss:120b-cloud",
        family="gptoss",
        parameters="116.8B",
        parameter_count=116_829_156_672,
        quantisation="MXFP4",
        size=384,
        context_length=131_072,
        capabilities=("completion", "tools", "thinking"),
        layers=36,
        kv_heads=8,
        head_size=64,
        modified_at="2026-09-01T07:31:05.410992716Z",
        calls="done",
        profile="A",
        remote_host="https://ollama.com:443",
        levels=("medium", "low", "high"),
    ),
)
"""Models that are there where they are asked for."""


def with_tag(name: str) -> str:
    """The name with its tag, which is `latest` where it has none."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def find(name: str, installed: tuple[Model, ...] = MODELS) -> Model | None:
    """The installed model of that name, in capitals or not; without a tag it means `:latest`."""
    wanted = with_tag(name).lower().removeprefix("registry.ollama.ai/").removeprefix("library/")
    return next((model for model in installed if model.name == wanted), None)
