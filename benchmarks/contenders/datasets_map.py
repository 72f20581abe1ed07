"""datasets_map: the pattern of the script that scored FineWeb-Edu: `datasets.map`, batched.

Tokenizer and model in one function, 512 rows a call in the order they come, padded to the longest,
half precision, all cores to PyTorch.
"""

import time
from pathlib import Path
from typing import Any

from benchmarks.contenders import tell
from benchmarks.setting import Setting

_ROWS = 512


def main() -> None:
    """Label everything and tell."""
    import torch
    from datasets import disable_caching, load_dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    setting = Setting.from_argv()
    disable_caching()  # else the second repeat would find the labels of the first
    tokenizer = AutoTokenizer.from_pretrained(setting.model)
    model = AutoModelForSequenceClassification.from_pretrained(
        setting.model, dtype=getattr(torch, setting.precision)
    ).eval()
    names = model.config.id2label
    began: list[float] = []

    def label(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        began.append(time.perf_counter())
        inputs = tokenizer(
            rows["text"],
            return_tensors="pt",
            padding="longest",
            truncation=True,
            max_length=setting.max_length,
        )
        with torch.no_grad():
            scores, best = model(**inputs).logits.float().softmax(-1).max(-1)
        return {"label": [names[place] for place in best.tolist()], "score": scores.tolist()}

    cache = f"{setting.output}-cache"
    rows = load_dataset("parquet", data_dir=setting.shards, split="train", cache_dir=cache)
    # Without a name of its own `datasets` hashes the function, and the model with it.
    found = rows.map(
        label, batched=True, batch_size=_ROWS, remove_columns="text", new_fingerprint="labelled"
    )
    Path(setting.output).mkdir(parents=True)
    found.to_parquet(str(Path(setting.output) / "all.parquet"))
    tell(len(found), time.perf_counter() - began[0])


if __name__ == "__main__":
    main()
