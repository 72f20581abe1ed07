"""Tokenize: the second stage. Rows in, model inputs of the good ones out; runs on CPU workers.

It does not know what a token, a picture or a sound is: the task encodes. What media columns only
point to is fetched here, and what they hold stays here: later stages see its path.
"""

import os
import time

import numpy as np

from labelmill.ops import plugins
from labelmill.plan.recipe import Recipe
from labelmill.stages import media
from labelmill.stages.board import Notices
from labelmill.stages.parcel import Parcel, encoded_table
from labelmill.stages.processor import processor_of
from labelmill.tasks import Task

# One task fills one core; threads of the tokenizer would fight with other tasks and replicas.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def tokenize(parcel: Parcel, recipe: Recipe, board: Notices) -> Parcel:
    """The parcel with its model inputs; skipped once the job is stopping."""
    if parcel.head.skipped or board.stopping():
        return parcel.skip()
    started = time.perf_counter()
    task: Task = plugins.load_class("labelmill.tasks", recipe.task)()
    kinds, original = recipe.request.kinds, parcel.rows()
    rows = media.fetched(original, kinds)
    good = rows.good
    fields = {name: column.filter(good) for name, column in rows.fields.items()}
    encoded = task.encode(fields, processor_of(recipe), recipe.facts, recipe.options)
    if recipe.request.has_media:
        parcel = parcel.with_cell("rows", media.told(rows, original, kinds).to_table())
    parcel = parcel.with_cell("encoded", encoded_table(encoded))
    places = np.flatnonzero(good.to_numpy())
    errors = {int(places[row]): reason for row, reason in encoded.errors.items()}
    return parcel.with_head(tokens=int(encoded.lengths.sum()) // encoded.unit, errors=errors).took(
        "tokenize", time.perf_counter() - started
    )
