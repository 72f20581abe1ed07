"""Sets: the data sets by name: where their files come from, and what is measured of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.accuracy import pictures, questions, sounds, texts, translations, words

Prepare = Callable[[Path, Path], None]  # directory of all data, directory of the set


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """One data set; its files are read from DIR/<name>/, its job files are in jobs/<name>/."""

    prepare: Prepare
    metric: str  # as `labelmill evaluate` calls it
    gold: str  # column
    goal: float | None = None  # what the metric shall reach at least; None: it is only told
    published: str = ""  # what others report, of which model
    model: str | None = None  # directory among the prepared files; None: all-MiniLM-L6-v2
    second: Callable[[Path], float] | None = None  # the metric by another library, of a run
    baseline: Callable[[Path], float] | None = None  # the metric of an answer that costs nothing


SETS: Mapping[str, DataSet] = {
    "sst2": DataSet(
        prepare=texts.sst2, metric="accuracy", gold="label", goal=0.90,
        published="MiniLM-L6-H384 91.5, DistilBERT 91.3",
    ),
    "ag_news": DataSet(
        prepare=texts.ag_news, metric="accuracy", gold="label", goal=0.89,
        published="DistilBERT 93.4 from all 120,000 rows",
    ),
    "banking77": DataSet(
        prepare=texts.banking77, metric="accuracy", gold="label", goal=0.91,
        published="BERT-large about 93.7 on the test file",
    ),
    "clinc150": DataSet(
        prepare=texts.clinc150, metric="accuracy", gold="label", goal=0.94,
        published="BERT 96.9",
    ),
    "wnut17": DataSet(
        prepare=words.wnut17, metric="entity_f1", gold="tags", second=words.by_seqeval,
        published="41.9, the best of the shared task, on its test file",
    ),
    "wikigold": DataSet(
        prepare=words.wikigold, metric="entity_f1", gold="tags", second=words.by_seqeval,
    ),
    "subjqa": DataSet(
        prepare=questions.subjqa, metric="f1", gold="answers", baseline=questions.always_empty,
    ),
    "multi30k": DataSet(
        prepare=translations.multi30k, metric="bleu", gold="german", model=translations.MODEL,
    ),
    "cifar10": DataSet(
        prepare=pictures.cifar10, metric="accuracy", gold="label", model=pictures.MODEL,
    ),
    "fsdd": DataSet(prepare=sounds.fsdd, metric="accuracy", gold="label", model=sounds.MODEL),
}  # fmt: skip
