"""Processes that begin with what is slow to import.

They are forked from one server of the test process, which has imported it: a fresh interpreter
would spend ten seconds on that. They see the environment as it was when the first one began.
"""

import multiprocessing
from multiprocessing.context import ForkServerContext

_IMPORTED = [
    "labelmill.engines.openvino",
    "labelmill.engines.pytorch",
    "labelmill.formats.jsonl",
    "labelmill.formats.parquet",
    "labelmill.tasks.text_classification",
    "labelmill.training.loop",
    "tests.support.inline",
    "tests.support.killing",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.bert.modeling_bert",
]


def context() -> ForkServerContext:
    """Where such processes come from."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(_IMPORTED)
    return found
