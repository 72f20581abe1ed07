"""Cache: the graphs of checkpoints on this machine's disk, each converted once.

A graph lies under a name made of everything that decides what it is. It appears at once and whole;
processes that want the same one wait for the first to have made it.
"""

import hashlib
import shutil
import tempfile
from pathlib import Path

from filelock import FileLock
from huggingface_hub import constants

from labelmill.checkpoints import Checkpoint
from labelmill.engines.openvino import runtime
from labelmill.errors import EngineError
from labelmill.readouts import Readout

_GENERATION = 1  # of what `conversion` makes of the same module
_GRAPH = "graph.xml"


def graph_of(
    checkpoint: Checkpoint,
    auto_class: str,
    readout: Readout,
    outputs: tuple[str, ...],
    threads: int,
) -> Path:
    """The file of the graph, converted now if it is not there; raises what `convert` raises."""
    home = Path(constants.HF_HOME) / "labelmill" / "openvino"
    final = home / _key(checkpoint, auto_class, outputs)
    try:
        if not final.is_dir():
            home.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{final}.lock"):
                if not final.is_dir():
                    _make(checkpoint, auto_class, readout, outputs, threads, final)
    except OSError as error:
        raise EngineError(
            f"the converted model cannot be kept in {str(home)!r}: {error}; set HF_HOME to a "
            "directory that can be written, or model.engine to 'pytorch'"
        ) from error
    return final / _GRAPH


def _key(checkpoint: Checkpoint, auto_class: str, outputs: tuple[str, ...]) -> str:
    code = f"trust_remote_code {checkpoint.trust_remote_code}"
    facts = [checkpoint.digest, auto_class, *outputs, code, runtime.versions(), str(_GENERATION)]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]


def _make(
    checkpoint: Checkpoint,
    auto_class: str,
    readout: Readout,
    outputs: tuple[str, ...],
    threads: int,
    final: Path,
) -> None:
    # Not above: it imports torch and transformers, which who finds a graph does without.
    from labelmill.engines.openvino.conversion import convert  # noqa: PLC0415

    graph = convert(checkpoint, auto_class, readout, outputs, threads)
    with tempfile.TemporaryDirectory(dir=final.parent) as scratch:
        whole = Path(scratch) / "entry"
        whole.mkdir()
        # As it is: by default it would store half of each weight's bits.
        runtime.openvino().save_model(graph, whole / _GRAPH, compress_to_fp16=False)
        try:
            whole.rename(final)
        except OSError:
            # Where a file system has no locks, another process may have made the same one.
            if not final.is_dir():
                raise
            shutil.rmtree(whole)
