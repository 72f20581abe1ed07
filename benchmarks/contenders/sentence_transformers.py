"""sentence_transformers: `SentenceTransformer.encode` of the same encoder, as documented.

Defaults: float32, batches of 32, ordered by length, all cores. It does less than the others: the
encoder alone, without a classification head.
"""

import time
from pathlib import Path

import pyarrow as pa
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
    """Embed everything and tell."""
    from sentence_transformers import SentenceTransformer

    setting = Setting.from_argv()
    model = SentenceTransformer(setting.model, device="cpu", local_files_only=True)
    model.max_seq_length = setting.max_length
    table = pa.concat_tables(pq.read_table(path) for path in setting.shard_paths())
    texts = table["text"].to_pylist()
    started = time.perf_counter()
    embeddings = model.encode(texts, batch_size=32)
    width = embeddings.shape[1]
    column = pa.FixedSizeListArray.from_arrays(pa.array(embeddings.reshape(-1)), width)
    Path(setting.output).mkdir(parents=True)
    pq.write_table(
        pa.table({"id": table["id"], "embedding": column}), Path(setting.output) / "all.parquet"
    )
    tell(len(texts), time.perf_counter() - started)


if __name__ == "__main__":
    main()
