"""A job without Ray in a process of its own, which may die of it.

The process is forked from a server that has imported what a job needs: a fresh interpreter would
spend seconds on that.
"""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import inline, killing
from tests.support.killing import Death

_IMPORTED = [
    "tests.support.inline",
    "tests.support.killing",
    "labelmill.engines.pytorch",
    "labelmill.formats.jsonl",
    "labelmill.formats.parquet",
    "labelmill.tasks.text_classification",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.bert.modeling_bert",
]


def attempt(job: Path, death: Death | None = None) -> int | None:
    """Run the job of a job file until its end, or its death; the exit code, -9 after SIGKILL."""
    return outcome(_label, job, death)


def outcome(function: Callable[..., None], *arguments: Any) -> int | None:
    """Call the function, which must be picklable, in such a process; the exit code."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    process = context.Process(target=function, args=arguments)
    process.start()
    process.join(timeout=120)
    return process.exitcode


def _label(job: Path, death: Death | None) -> None:
    if death is not None:
        killing.wait_for(death)
    inline.label_file(job)
