"""Embedding: a SentenceTransformer over everything, as documented: batches of 32, all cores."""

import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.contenders import tell
from benchmarks.setting import Setting


def embed(setting: Setting, model: Any) -> None:
    """Embed everything and tell; it orders rows by length itself."""
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
