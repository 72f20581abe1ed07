"""pipeline: the `pipeline("text-classification")` of transformers, float32, batches of 32."""

import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.contenders import tell
from benchmarks.setting import Setting


def main() -> None:
    """Label everything and tell."""
    from transformers import pipeline

    setting = Setting.from_argv()
    classify = pipeline("text-classification", model=setting.model, device="cpu")
    table = pa.concat_tables(pq.read_table(path) for path in setting.shard_paths())
    texts = table["text"].to_pylist()
    started = time.perf_counter()
    found = classify(texts, batch_size=32, truncation=True, max_length=setting.max_length)
    columns = {name: [item[name] for item in found] for name in ("label", "score")}
    Path(setting.output).mkdir(parents=True)
    pq.write_table(pa.table({"id": table["id"], **columns}), Path(setting.output) / "all.parquet")
    tell(len(texts), time.perf_counter() - started)


if __name__ == "__main__":
    main()
