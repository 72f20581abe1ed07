"""hand_each: the best hand-written loop with one process a core, one thread each.

The parent imports, loads the model and forks, so that nothing is imported twice and the weights are
shared. Shards go through a queue, the largest first; each is ordered by length for itself.
"""

import multiprocessing
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from benchmarks.contenders import tell
from benchmarks.setting import Setting

if TYPE_CHECKING:
    from benchmarks.contenders.pytorch_loop import PyTorchLoop


def main() -> None:
    """Label everything and tell."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # before the fork: one thread a process
    from benchmarks.contenders.pytorch_loop import PyTorchLoop

    setting = Setting.from_argv()
    loop = PyTorchLoop(setting, threads=1)
    fork = multiprocessing.get_context("fork")
    waiting, done = fork.Queue(), fork.Queue()
    for item in [*setting.shard_paths(), *[None] * setting.cores]:
        waiting.put(item)
    workers = [
        fork.Process(target=_work, args=(loop, setting.output, waiting, done))
        for _ in range(setting.cores)
    ]
    for worker in workers:
        worker.start()
    told = [done.get() for _ in workers]
    for worker in workers:
        worker.join()
    first, last = min(start for _, start, _ in told), max(end for _, _, end in told)
    tell(sum(rows for rows, _, _ in told), last - first, idle_seconds=_idle(told, last))


def _work(loop: "PyTorchLoop", output: str, waiting: Any, done: Any) -> None:
    rows, started = 0, None
    while (path := waiting.get()) is not None:
        table = pq.read_table(path)
        encoded = loop.encode(table["text"].to_pylist())
        started = started or time.monotonic()
        loop.write(Path(output) / path.name, table["id"], loop.scores(encoded))
        rows += len(table)
    done.put((rows, started or time.monotonic(), time.monotonic()))


def _idle(told: list[tuple[int, float, float]], last: float) -> float:
    """Seconds that processes waited at the end for the last one."""
    return sum(last - end for _, _, end in told)


if __name__ == "__main__":
    main()
