"""`python -m benchmarks.tokenization`: tokenization on one core against `tokenizer(list_of_texts)`.

Both get the same splits of the same rows, in turn, in one process with one thread, and their ids
must be equal. Ours begins without a word that it knows. `--join` makes documents of so many
characters out of the rows. What finding repeated rows costs is measured beside it.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

os.environ |= {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

import numpy as np

from benchmarks import corpus
from benchmarks.checkpoint import _ENCODER
from labelmill.ops import repeats, tokens

Answer = TypeVar("Answer")


def main() -> None:
    """Measure, print a line, write JSON."""
    asked = _arguments()
    told = _compare(_tokenizer(asked.tokenizer), _texts(asked), asked)
    print(json.dumps(told))
    if asked.out:
        Path(asked.out).write_text(json.dumps(told, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokenization", description=__doc__)
    parser.add_argument("--corpus", metavar="NAME=DIR:COLUMN", help="(default: docstrings)")
    parser.add_argument("--rows", type=int, default=4_000)
    parser.add_argument("--join", type=int, default=0, help="characters of a document; 0: a row")
    parser.add_argument("--split-rows", type=int, default=500)
    parser.add_argument("--max-length", type=int, default=512, help="tokens")
    parser.add_argument("--tokenizer", help="directory, or a tokenizer.json (default: MiniLM's)")
    parser.add_argument("--out", help="JSON file for the results")
    return parser.parse_args()


def _texts(asked: argparse.Namespace) -> list[str]:
    named = corpus.named([asked.corpus] if asked.corpus else [], asked.rows)
    chosen = asked.corpus.partition("=")[0] if asked.corpus else "web"
    found: list[str] = named[chosen].to_pylist()
    if not asked.join:
        return found
    whole = "\n\n".join(found)
    return [whole[at : at + asked.join] for at in range(0, len(whole), asked.join)]


def _tokenizer(directory: str | None) -> Any:
    import importlib.resources

    import transformers

    if directory and directory.endswith(".json"):
        return transformers.PreTrainedTokenizerFast(tokenizer_file=directory)
    source = directory or str(importlib.resources.files(_ENCODER) / "model")
    transformers.utils.logging.set_verbosity_error()
    return transformers.AutoTokenizer.from_pretrained(source)


def _compare(tokenizer: Any, texts: list[str], asked: argparse.Namespace) -> dict[str, Any]:
    """CPU seconds of both over all splits; raises AssertionError where an id differs."""
    length, spent = asked.max_length, dict.fromkeys(("ours", "theirs", "repeats"), 0.0)
    repeated = total = 0
    for start in range(0, len(texts), asked.split_rows):
        split = texts[start : start + asked.split_rows]
        ours, seconds = _timed(lambda: tokens.truncated(split, tokenizer, length))  # noqa: B023
        spent["ours"] += seconds
        theirs, seconds = _timed(lambda: tokenizer(split, truncation=True, max_length=length))  # noqa: B023
        spent["theirs"] += seconds
        first, seconds = _timed(lambda: repeats.originals(ours))  # noqa: B023
        spent["repeats"] += seconds
        wanted = [one for row in theirs["input_ids"] for one in row]
        assert ours.inputs["input_ids"].tolist() == wanted
        repeated += int((first != np.arange(len(first))).sum())
        total += len(wanted)
    return {
        "rows": len(texts),
        "characters": sum(map(len, texts)),
        "tokens": total,
        "repeated": repeated,
        "seconds": {name: round(seconds, 4) for name, seconds in spent.items()},
        "tokens_per_second": {name: round(total / spent[name]) for name in ("ours", "theirs")},
        "times": round(spent["theirs"] / spent["ours"], 2),
        "repeats_share": round(spent["repeats"] / spent["ours"], 4),
        "repeats_share_of_theirs": round(spent["repeats"] / spent["theirs"], 4),
    }


def _timed(work: Callable[[], Answer]) -> tuple[Answer, float]:
    started = time.process_time()
    answer = work()
    return answer, time.process_time() - started


if __name__ == "__main__":
    main()
