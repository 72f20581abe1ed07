"""Tasks: what goes into a model and what its outputs mean. One module a task, found by its name.

A module under this package is a task when it holds a class of that name in camel case
(`text_classification` -> `TextClassification`); `Task` says what such a class must have. A task
speaks Arrow columns and numpy; it knows no tensor, no file and no Ray.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labelmill.batch import Encoded, ModelFacts, Outputs, SentenceFacts
from labelmill.config.section import Section
from labelmill.learning import Defaults, Examples, Head, Objective
from labelmill.readouts import Readout

# What is bound to columns by source.columns, and how each comes to `encode`, see `ops.fields`.
Fields = Mapping[str, pa.ChunkedArray]
# How much work a row is, which decides how large a split is where the job says auto.
Work = Literal["scoring", "generating", "media"]


class Task(Protocol):
    """What a task class must have; it holds no state."""

    name: ClassVar[str]  # as Hugging Face writes it, e.g. "text-classification"
    auto_class: ClassVar[str]  # of transformers, e.g. "AutoModelForSequenceClassification"
    # Of transformers: AutoTokenizer, AutoImageProcessor, AutoFeatureExtractor or AutoProcessor.
    processor: ClassVar[str]
    fields: ClassVar[tuple[str, ...]]  # in the notation of `ops.fields`
    work: ClassVar[Work]
    metrics: ClassVar[tuple[str, ...]]  # computed by `evaluate`
    # Whether reduced precision is compared with float32 by `agrees`. Not for what a model writes:
    # texts part ways at the first near tie, and both are good.
    checked: ClassVar[bool]
    Options: ClassVar[type[Section]]  # the job file's `options`

    def encode(self, fields: Fields, processor: Any, facts: ModelFacts, options: Any) -> Encoded:
        """Model inputs of good rows: required fields are never null, optional ones may be absent.

        A row that cannot be encoded goes into `errors`. Raises ConfigError where the options do not
        fit the model.
        """
        ...

    def readout(self, processor: Any, facts: ModelFacts, options: Any) -> Readout:
        """What the engine is to bring back for `decode`."""
        ...

    def decode(
        self,
        outputs: Outputs,
        encoded: Encoded,
        fields: Fields,
        processor: Any,
        facts: ModelFacts,
        options: Any,
    ) -> pa.Table:
        """The columns of `schema`, one row for each of `fields`; null where it had no sequence.

        `fields` are those that `encode` got, without media.
        """
        ...

    def schema(self, facts: ModelFacts, options: Any) -> pa.Schema:
        """The columns that the task adds, every one nullable.

        Raises ConfigError where the options do not fit the model.
        """
        ...

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """[rows] whether two decoded tables say the same, small differences of scores aside."""
        ...


def model_class(task: Task, facts: ModelFacts, options: Any) -> str:
    """The class of transformers for this checkpoint: what the task's `model_class` says, if any.

    Most tasks have one `auto_class`; a task of several families (speech: CTC or Whisper) has the
    method `model_class(facts, options)` besides.
    """
    chosen = getattr(task, "model_class", None)
    return task.auto_class if chosen is None else str(chosen(facts, options))


def is_checked(task: Task, facts: ModelFacts) -> bool:
    """Whether this checkpoint's labels are compared with float32's: see `Task.checked`.

    A task of several families has the method `is_checked(facts)` besides.
    """
    chosen = getattr(task, "is_checked", None)
    return task.checked if chosen is None else bool(chosen(facts))


class Trainable(Task, Protocol):
    """What a task class must have besides, so that models can be trained for it."""

    # What is learned, bound to columns by data.columns, in the notation of `ops.fields`.
    targets: ClassVar[tuple[str, ...]]
    finds_head: ClassVar[bool]  # whether `head` looks at targets; else it is given none

    def head(self, targets: Fields, facts: ModelFacts, options: Any) -> Head | None:
        """What a model must give to learn these targets, which are all of the training data.

        All of them are held in memory; see `finds_head`.

        None where the checkpoint's own head is trained as it is. Raises InputError where nothing
        can be learned of them. A bad target is no matter here: `learn` refuses it.
        """
        ...

    def objective(self, facts: ModelFacts, options: Any) -> Objective:
        """What the loss is."""
        ...

    def learn(
        self, fields: Fields, targets: Fields, processor: Any, facts: ModelFacts, options: Any
    ) -> Examples:
        """What `encode` makes of the same rows, and what is to be learned of each.

        `facts` have the labels and the problem type of `head`. A row that cannot be learned from
        goes into `encoded.errors`. Targets are never null, optional ones may be absent.
        """
        ...


def sentence(task: Task, facts: ModelFacts, options: Any) -> SentenceFacts | None:
    """How a model that was trained for the task makes embeddings; None where it makes none.

    A task that trains embeddings has the method `sentence(facts, options)` besides.
    """
    told = getattr(task, "sentence", None)
    found: SentenceFacts | None = None if told is None else told(facts, options)
    return found


def has_gold(task: Task) -> bool:
    """Whether a model that is trained is measured by what it answers, not by its logits.

    A task for which it is has the method `gold(targets)` besides.
    """
    return hasattr(task, "gold")


def gold(task: Task, targets: Fields) -> pa.Array:
    """[rows] what `evaluate` compares the answers with: texts, or lists of equally good ones.

    Of rows that `learn` takes: their targets are as they should be.
    """
    made: pa.Array = task.gold(targets)  # type: ignore[attr-defined]  # see `has_gold`
    return made


def training_defaults(task: Task, facts: ModelFacts) -> Defaults:
    """How the task is trained where the job does not say.

    A task that is not trained as most are has the method `defaults(facts)` besides.
    """
    told = getattr(task, "defaults", None)
    found: Defaults = Defaults() if told is None else told(facts)
    return found


def is_trainable(task: Task) -> bool:
    """Whether models can be trained for the task: it has what `Trainable` asks for."""
    return hasattr(task, "learn")
