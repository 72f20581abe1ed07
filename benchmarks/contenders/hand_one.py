"""hand_one: the best hand-written loop in one process, PyTorch's threads on all cores.

Everything is read and tokenized first (the tokenizer's own threads use all cores), then ordered by
length over the whole corpus, so that hardly anything is padding.
"""

import time
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.contenders import Report, tell
from benchmarks.setting import Setting


def command(setting: Setting) -> list[str]:
    """See benchmarks.contenders."""
    return setting.argv(__spec__.name)


def report(setting: Setting, stdout: str) -> Report:
    """See benchmarks.contenders."""
    del setting
    return Report.from_stdout(stdout)


def main() -> None:
    """Label everything and tell."""
    from benchmarks.contenders.loop import (
        Loop,
    )  # brings torch; a process that only wants `command` does not

    setting = Setting.from_argv()
    loop = Loop(setting, setting.cores)
    loaded = time.perf_counter()
    tables = {path: pq.read_table(path) for path in setting.shard_paths()}
    encoded = loop.encode([text for table in tables.values() for text in table["text"].to_pylist()])
    started = time.perf_counter()
    scores = loop.scores(encoded)
    first = 0
    for path, table in tables.items():
        loop.write(
            Path(setting.output) / path.name, table["id"], scores[first : first + len(table)]
        )
        first += len(table)
    steady = time.perf_counter() - started
    tell(first, steady, tokenize_seconds=started - loaded, tokens=sum(map(len, encoded)))


if __name__ == "__main__":
    main()
