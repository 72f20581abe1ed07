"""summarization: a shorter text of each text, by a model that reads and writes (encoder-decoder).

T5, BART, PEGASUS and their like. What the options leave open is as the checkpoint says, see
`config.writing`. A long text is cut to what the model reads, or read piece by piece: then its
summary is the summaries of its pieces.
"""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labelmill.batch import Encoded, ModelFacts, Outputs
from labelmill.config.section import Section
from labelmill.config.writing import WritingSection
from labelmill.learning import Defaults, Examples, Objective
from labelmill.ops import answer_texts, writing
from labelmill.readouts import Generation
from labelmill.tasks import Fields, Work

_TASK = "summarization"  # in a checkpoint's task_specific_params


class SummarizationOptions(WritingSection):
    """Options of summarization."""


class Summarization:
    """See the module."""

    name: ClassVar[str] = "summarization"
    auto_class: ClassVar[str] = "AutoModelForSeq2SeqLM"
    processor: ClassVar[str] = "AutoTokenizer"
    fields: ClassVar[tuple[str, ...]] = ("text",)
    targets: ClassVar[tuple[str, ...]] = ("summary",)
    finds_head: ClassVar[bool] = False
    work: ClassVar[Work] = "generating"
    metrics: ClassVar[tuple[str, ...]] = ("rouge1", "rouge2", "rougeL")
    checked: ClassVar[bool] = False
    Options: ClassVar[type[Section]] = SummarizationOptions

    def encode(
        self, fields: Fields, processor: Any, facts: ModelFacts, options: SummarizationOptions
    ) -> Encoded:
        """See Task."""
        own = str(writing.of_task(facts, _TASK).get("prefix") or "")
        return writing.encoded(
            fields["text"].to_pylist(),
            own if options.prefix is None else options.prefix,
            processor,
            writing.input_length(facts, options.max_length),
            window=options.long_text == "window",
            new_tokens=_new_tokens(facts, options),
        )

    def readout(
        self, processor: Any, facts: ModelFacts, options: SummarizationOptions
    ) -> Generation:
        """See Task."""
        del processor
        return Generation(
            settings=writing.settings(facts, _TASK, writing.chosen(options)),
            max_new_tokens=_new_tokens(facts, options),
        )

    def decode(
        self,
        outputs: Outputs,
        encoded: Encoded,
        fields: Fields,
        processor: Any,
        facts: ModelFacts,
        options: SummarizationOptions,
    ) -> pa.Table:
        """See Task."""
        texts = writing.written(outputs, processor)
        summaries = writing.joined(texts, encoded.rows, len(fields["text"]))
        return pa.table([summaries], schema=self.schema(facts, options))

    def schema(self, facts: ModelFacts, options: SummarizationOptions) -> pa.Schema:
        """See Task; raises ConfigError for options that do not fit the model."""
        writing.input_length(facts, options.max_length)
        _new_tokens(facts, options)
        writing.refuse_idle_penalty(facts, _TASK, options)
        return pa.schema([("summary", pa.string())])

    def head(self, targets: Fields, facts: ModelFacts, options: SummarizationOptions) -> None:
        """See Trainable: the checkpoint's own."""
        del targets, facts
        answer_texts.refuse_windows(options.long_text)

    def defaults(self, facts: ModelFacts) -> Defaults:
        """See `training_defaults`."""
        return answer_texts.defaults(facts)

    def objective(self, facts: ModelFacts, options: SummarizationOptions) -> Objective:
        """See Trainable."""
        del facts, options
        return "written"

    def learn(
        self,
        fields: Fields,
        targets: Fields,
        processor: Any,
        facts: ModelFacts,
        options: SummarizationOptions,
    ) -> Examples:
        """See Trainable and `ops.answer_texts`."""
        encoded = self.encode(fields, processor, facts, options)
        summaries = targets["summary"].to_pylist()
        return answer_texts.learned(encoded, summaries, processor, _new_tokens(facts, options))

    def gold(self, targets: Fields) -> pa.Array:
        """See `tasks.gold`."""
        return targets["summary"].combine_chunks()

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """Whether the texts are the same; not asked for, see Task."""
        return writing.same(ours, reference)


def _new_tokens(facts: ModelFacts, options: SummarizationOptions) -> int:
    return writing.new_tokens(facts, _TASK, options.max_new_tokens, "max_new_tokens")
