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

    @property
    def digest(self) -> str:
        """A stable stand-in for the digest of the manifest: 64 hex digits."""
        return "".join(f"{zlib.crc32(f'{self.name}/{part}'.encode()):08x}" for part in range(8))

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

    def listing(self) -> dict[str, Any]:
        """The entry in `/api/tags`."""
        return {
            "name": self.name,
            "model": self.name,
            "modified_at": self.modified_at,
            "size": self.size,
            "digest": self.digest,
            "details": {**self.details(), "context_length": self.context_length},
            "capabilities": list(self.capabilities),
        }

    def description(self) -> dict[str, Any]:
        """The reply of `/api/show`."""
        info = {
            "general.architecture": self.family,
            "general.parameter_count": self.parameter_count,
            f"{self.family}.block_count": self.layers,
            f"{self.family}.attention.head_count_kv": self.kv_heads,
            f"{self.family}.attention.key_length": self.head_size,
            f"{self.family}.attention.value_length": self.head_size,
            f"{self.family}.context_length": self.context_length,
        }
        return {
            "modelfile": f"# Modelfile of a scripted model\nFROM {self.name}\n",
            "template": "{{ range .Messages }}<|{{ .Role }}|>{{ .Content }}{{ end }}",
            "details": self.details(),
            "model_info": info,
            "capabilities": list(self.capabilities),
            "modified_at": self.modified_at,
        }


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
    ),
)


def with_tag(name: str) -> str:
    """The name with its tag, which is `latest` where it has none."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def find(name: str) -> Model | None:
    """The installed model of that name, in capitals or not; without a tag it means `:latest`."""
    wanted = with_tag(name).lower().removeprefix("registry.ollama.ai/").removeprefix("library/")
    return next((model for model in MODELS if model.name == wanted), None)
