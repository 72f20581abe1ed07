"""daft_udf: Daft's batch function of a class around a pipeline.

One instance a core, each in a process of its own with one thread, and 32 rows at a time for it and
its pipeline: kinder than the defaults, where instances share Python's lock and each other's
threads, and few rows go to one instance.
"""

import time
from typing import Any

from benchmarks.contenders import tell
from benchmarks.setting import Setting


def main() -> None:
    """Label everything and tell."""
    import daft
    import pyarrow.dataset as ds

    setting = Setting.from_argv()
    kinds = daft.DataType
    labelled = kinds.struct(
        {"label": kinds.string(), "score": kinds.float64(), "began": kinds.float64()}
    )

    @daft.cls(max_concurrency=setting.cores, use_process=True)
    class Classifier:
        def __init__(self, model: str, max_length: int) -> None:
            import torch
            from transformers import pipeline

            torch.set_num_threads(1)
            self._classify = pipeline("text-classification", model=model, device="cpu")
            self._call = {"batch_size": 32, "truncation": True, "max_length": max_length}

        @daft.method.batch(return_dtype=labelled, batch_size=32)  # type: ignore[untyped-decorator]
        def label(self, texts: daft.Series) -> list[dict[str, Any]]:
            began = time.time()
            found = self._classify(texts.to_pylist(), **self._call)
            return [item | {"began": began} for item in found]

    rows = daft.read_parquet(f"{setting.shards}/*.parquet")
    found = rows.with_column(
        "found", Classifier(setting.model, setting.max_length).label(rows["text"])
    )
    columns = [daft.col("id"), *(daft.col("found").get(name) for name in labelled.fields)]
    found.select(*columns).write_parquet(setting.output)
    ended = time.time()
    began = ds.dataset(setting.output, format="parquet").to_table(["began"])["began"].to_numpy()
    tell(len(began), ended - float(began.min()))


if __name__ == "__main__":
    main()
