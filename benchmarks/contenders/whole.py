"""Whole: what the loops share that read and tokenize everything before the first forward pass.

The tokenizer's own threads use all cores, and rows are ordered by length over the whole corpus, so
that hardly anything is padding.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.contenders import tell
from benchmarks.contenders.loop import Floats, Ids, Loop
from benchmarks.setting import Setting


def label(setting: Setting, loop: Loop, scores: Callable[[Sequence[Ids]], Floats]) -> None:
    """Label everything with `scores` (texts' ids to probabilities), and tell."""
    loaded = time.perf_counter()
    tables = {path: pq.read_table(path) for path in setting.shard_paths()}
    encoded = loop.encode([text for table in tables.values() for text in table["text"].to_pylist()])
    started = time.perf_counter()
    found = scores(encoded)
    first = 0
    for path, table in tables.items():
        stop = first + len(table)
        loop.write(Path(setting.output) / path.name, table["id"], found[first:stop])
        first = stop
    steady = time.perf_counter() - started
    tell(first, steady, tokenize_seconds=started - loaded, tokens=sum(map(len, encoded)))
