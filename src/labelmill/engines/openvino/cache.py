"""Cache: graphs on this machine's disk, each made once.

A graph lies under a name made of everything that decides what it is. It appears at once and whole;
processes that want the same one wait for the first to have made it.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from huggingface_hub import constants

from labelmill.checkpoints import Checkpoint
from labelmill.engines.openvino import runtime
from labelmill.errors import EngineError
from labelmill.readouts import Readout

_GENERATION = 5  # of what `conversion` makes of the same module
GRAPH = "graph.xml"  # its weights lie beside it


def graph_of(
    checkpoint: Checkpoint,
    auto_class: str,
    readout: Readout,
    outputs: tuple[str, ...],
    threads: int,
) -> Path:
    """The file of the graph, converted now if it is not there; raises what `convert` raises."""

    def make(entry: Path) -> None:
        # Not above: it imports torch and transformers, which who finds a graph does without.
        from labelmill.engines.openvino.conversion import convert  # noqa: PLC0415

        save(convert(checkpoint, auto_class, readout, outputs, threads), entry)

    return kept(facts(checkpoint, auto_class, outputs), make) / GRAPH


def facts(checkpoint: Checkpoint, auto_class: str, outputs: tuple[str, ...]) -> list[str]:
    """Everything that decides what the graph of a checkpoint is."""
    code = f"trust_remote_code {checkpoint.trust_remote_code}"
    return [checkpoint.digest, auto_class, *outputs, code, runtime.versions(), str(_GENERATION)]


def save(graph: Any, entry: Path) -> None:
    """Write an openvino.Model into the directory of an entry."""
    # As it is: by default it would store half of each weight's bits.
    runtime.openvino().save_model(graph, entry / GRAPH, compress_to_fp16=False)


def kept(named: Sequence[str], make: Callable[[Path], None]) -> Path:
    """The directory that these facts name; where there is none, `make` is given one to fill."""
    home = Path(constants.HF_HOME) / "labelmill" / "openvino"
    final = home / hashlib.sha256("\n".join(named).encode()).hexdigest()[:32]
    try:
        if not final.is_dir():
            home.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{final}.lock"):
                if not final.is_dir():
                    _fill(final, make)
    except OSError as error:
        raise EngineError(
            f"the converted model cannot be kept in {str(home)!r}: {error}; set HF_HOME to a "
            "directory that can be written, or model.engine to 'pytorch'"
        ) from error
    return final


def _fill(final: Path, make: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory(dir=final.parent) as scratch:
        whole = Path(scratch) / "entry"
        whole.mkdir()
        make(whole)
        try:
            whole.rename(final)
        except OSError:
            # Where a file system has no locks, another process may have made the same one.
            if not final.is_dir():
                raise
            shutil.rmtree(whole)
