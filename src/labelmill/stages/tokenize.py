"""Tokenize: the second stage. Rows in, model inputs of the good ones out; runs on CPU workers.

It does not know what a token is: the task encodes. A processor is loaded once a process.
"""

import functools
import os
import time
from typing import Any

from labelmill import checkpoints
from labelmill.checkpoints import Checkpoint
from labelmill.ops import plugins
from labelmill.plan.recipe import Recipe
from labelmill.stages.board import Notices
from labelmill.stages.parcel import Parcel, encoded_table
from labelmill.tasks import Task

# One task fills one core; threads of the tokenizer would fight with other tasks and replicas.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@functools.lru_cache(maxsize=2)
def _loaded(checkpoint: Checkpoint) -> Any:
    return checkpoints.processor(checkpoint)


def tokenize(parcel: Parcel, recipe: Recipe, board: Notices) -> Parcel:
    """The parcel with its model inputs; skipped once the job is stopping."""
    if parcel.head.skipped or board.stopping():
        return parcel.skip()
    started = time.perf_counter()
    rows = parcel.rows()
    good = rows.good
    fields = {name: column.filter(good) for name, column in rows.fields.items()}
    task: Task = plugins.load_class("labelmill.tasks", recipe.task)()
    processor = recipe.tokenizer or _loaded(recipe.checkpoint)
    encoded = task.encode(fields, processor, recipe.facts, recipe.options)
    parcel = parcel.with_cell("encoded", encoded_table(encoded))
    return parcel.with_head(tokens=int(encoded.lengths.sum())).took(
        "tokenize", time.perf_counter() - started
    )
