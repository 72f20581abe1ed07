"""ray_data: the recipe of Ray Data's guide to batch inference.

`map_batches` with a class around a pipeline, one actor a core. Three things are kinder than the
guide: the pipeline takes 32 rows at a time, not 1; rows are spread over blocks, because Ray reads
small files as one, and all of it goes to one actor; and Ray is told of one core more than there
are, because it never reads a row where actors hold every core.
"""

import time
from typing import Any

from benchmarks.contenders import tell
from benchmarks.setting import Setting

Batch = dict[str, Any]
_BLOCKS = 4  # a core


class Classifier:
    """The pipeline, once an actor."""

    def __init__(self, model: str, max_length: int) -> None:
        from transformers import pipeline

        self._classify = pipeline("text-classification", model=model, device="cpu")
        self._call = {"batch_size": 32, "truncation": True, "max_length": max_length}

    def __call__(self, batch: Batch) -> Batch:
        """Label some rows; `began` is when, unix seconds."""
        began = time.time()
        found = self._classify(batch["text"].tolist(), **self._call)
        columns = {name: [item[name] for item in found] for name in ("label", "score")}
        return {"id": batch["id"], **columns, "began": [began] * len(found)}


def main() -> None:
    """Label everything and tell."""
    import pyarrow.dataset as ds
    import ray

    setting = Setting.from_argv()
    ray.init(num_cpus=setting.cores + 1, include_dashboard=False, log_to_driver=False)
    rows = ray.data.read_parquet(setting.shards).repartition(_BLOCKS * setting.cores)
    rows = rows.map_batches(
        Classifier,
        fn_constructor_args=(setting.model, setting.max_length),
        compute=ray.data.ActorPoolStrategy(size=setting.cores),
        batch_size=32,
    )
    rows.write_parquet(setting.output)
    ended = time.time()
    began = ds.dataset(setting.output, format="parquet").to_table(["began"])["began"].to_numpy()
    tell(len(began), ended - float(began.min()))


if __name__ == "__main__":
    main()
