"""Setting: what every contender of one benchmark gets. All of them see exactly the same."""

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

# What a shell may have set and what would bind one contender more than another.
_UNSET = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "TOKENIZERS_PARALLELISM",
    "RAY_ADDRESS",
    "PYTHONPATH",
    "PYTORCH_ENABLE_MPS_FALLBACK",
    "VIRTUAL_ENV",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Parquet shards with the columns `id` (int64) and `text`, a checkpoint, room for results."""

    model: str  # directory
    prepared: str  # directory of what was made of the model beforehand; the contender's own
    shards: str  # directory of Parquet files
    output: str  # directory, new
    precision: str  # "float32" | "bfloat16"
    int8: bool  # matrix products in int8, the rest in `precision`
    max_length: int  # tokens
    cores: int
    runner: str = "auto"  # of labelmill's
    trained: bool = False  # the model's head; one that is not has margins that mean nothing

    @classmethod
    def from_argv(cls) -> "Setting":
        """The setting that `argv` gave to this process."""
        return cls(**json.loads(sys.argv[1]))

    def argv(self, module: str, python: str = sys.executable) -> list[str]:
        """The command that runs a module of this package in this setting."""
        return [python, "-m", module, json.dumps(asdict(self))]

    def shard_paths(self) -> list[Path]:
        """The shards, largest first."""
        return sorted(Path(self.shards).glob("*.parquet"), key=lambda path: -path.stat().st_size)


def preparing() -> bool:
    """Whether `argv` asks this process to prepare, see benchmarks.contenders."""
    return "prepare" in sys.argv[2:]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def environment(home: str | None = None) -> dict[str, str]:
    """The environment of a contender: this one's without what binds threads, GPUs and network.

    `home` is a directory for the caches of Hugging Face and of what keeps its own beside them.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _UNSET}
    if home is not None:
        kept["HF_HOME"] = home
    return kept | {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
