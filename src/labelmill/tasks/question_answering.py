"""question-answering: the span of each context that answers its question, and where it is.

A context of any length is read in windows that each hold the question. How spans and no answer are
scored is said in `ops.answers`. `start` and `end` are characters (Unicode code points) of the
context, so that `context[start:end]` is the answer in Python. No answer is the empty string, as in
SQuAD's predictions, with null places and the score of no answer. An answer is null where there was
nothing to choose from: an empty context.
"""

from typing import Annotated, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from labelmill.batch import Encoded, ModelFacts, Outputs, Ragged
from labelmill.config.section import Section
from labelmill.config.values import Count
from labelmill.errors import ConfigError, ModelError
from labelmill.learning import Defaults, Examples, Head, Objective
from labelmill.ops import answer_columns, answer_places, answers, question_windows, tokens
from labelmill.readouts import TokenLogits
from labelmill.tasks import Fields, Work

# What the scripts for SQuAD take (BERT's run_squad.py, transformers' run_qa.py), and so what
# published models were trained with.
_MAX_LENGTH, _STRIDE, _QUESTION = 384, 128, 64


class QuestionAnsweringOptions(Section):
    """Options of question-answering."""

    max_length: Count | None = Field(
        default=None,
        description="Tokens of a window, question and context; null: 384, or what the model takes.",
    )
    stride: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Tokens of the context that neighbouring windows share; an answer of one more "
        "is whole in one of them; null: a quarter of max_length, at most 128.",
    )
    max_question_length: Count | None = Field(
        default=None,
        description="Tokens a question is cut to; null: 64, at most a third of max_length.",
    )
    max_answer_length: Count = Field(
        default=30, description="Tokens of the longest answer; 30 is what SQuAD's scripts take."
    )
    answers: Count | None = Field(
        default=None, description="Also list the k best answers; null: only the best is given."
    )
    no_answer: bool = Field(
        default=False,
        description="May a context have no answer? For models that were trained with such.",
    )
    null_threshold: float = Field(
        default=0.0,
        description="How much higher the logarithm of the score of no answer must be than the best "
        "answer's; SQuAD 2.0's null_score_diff_threshold.",
    )

    @model_validator(mode="after")
    def _needs_no_answer(self) -> Self:
        if self.null_threshold != 0.0 and not self.no_answer:
            raise ValueError("null_threshold is only for no_answer true")
        return self


class QuestionAnswering:
    """See the module."""

    name: ClassVar[str] = "question-answering"
    auto_class: ClassVar[str] = "AutoModelForQuestionAnswering"
    processor: ClassVar[str] = "AutoTokenizer"
    fields: ClassVar[tuple[str, ...]] = ("question", "context")
    targets: ClassVar[tuple[str, ...]] = ("answers:json|answer", "answer_start:json?")
    finds_head: ClassVar[bool] = False
    work: ClassVar[Work] = "scoring"
    metrics: ClassVar[tuple[str, ...]] = ("exact_match", "f1")
    checked: ClassVar[bool] = True
    Options: ClassVar[type[Section]] = QuestionAnsweringOptions

    def encode(
        self, fields: Fields, processor: Any, facts: ModelFacts, options: QuestionAnsweringOptions
    ) -> Encoded:
        """See Task."""
        _refuse_no_token(processor, options)
        questions, contexts = fields["question"].to_pylist(), fields["context"].to_pylist()
        return question_windows.encode(questions, contexts, processor, _cut(facts, options))

    def readout(
        self, processor: Any, facts: ModelFacts, options: QuestionAnsweringOptions
    ) -> TokenLogits:
        """See Task."""
        del facts
        _refuse_no_token(processor, options)
        return TokenLogits(names=("start_logits", "end_logits"))

    def decode(
        self,
        outputs: Outputs,
        encoded: Encoded,
        fields: Fields,
        processor: Any,
        facts: ModelFacts,
        options: QuestionAnsweringOptions,
    ) -> pa.Table:
        """See Task; raises ModelError for a model that does not give two numbers a token."""
        del processor
        start, end = (_logits(outputs, encoded, name) for name in ("start_logits", "end_logits"))
        count = options.answers or 1
        spans, nothing = answers.best(
            start, end, encoded, longest=options.max_answer_length, count=count
        )
        if options.no_answer:
            spans = answers.with_no_answer(spans, nothing, options.null_threshold, count)
        contexts = fields["context"].to_pylist()
        return answer_columns.table(spans, contexts, self.schema(facts, options))

    def schema(self, facts: ModelFacts, options: QuestionAnsweringOptions) -> pa.Schema:
        """See Task; raises ConfigError for windows that the model does not take."""
        _cut(facts, options)
        return answer_columns.schema(listed=options.answers is not None)

    def head(self, targets: Fields, facts: ModelFacts, options: QuestionAnsweringOptions) -> Head:
        """See Trainable: two numbers a token, whose names no data changes."""
        del targets, facts, options
        return Head(labels=("start", "end"))

    def defaults(self, facts: ModelFacts) -> Defaults:
        """See `training_defaults`: as transformers' example for SQuAD."""
        del facts
        return Defaults(epochs=2, rate=3e-5)

    def objective(self, facts: ModelFacts, options: QuestionAnsweringOptions) -> Objective:
        """See Trainable."""
        del facts, options
        return "spans"

    def learn(
        self,
        fields: Fields,
        targets: Fields,
        processor: Any,
        facts: ModelFacts,
        options: QuestionAnsweringOptions,
    ) -> Examples:
        """See Trainable and `ops.answer_places`."""
        told = {name: column.to_pylist() for name, column in targets.items()}
        contexts = fields["context"].to_pylist()
        spans, errors = answer_places.spans(
            contexts, told.get("answers"), told.get("answer"), told.get("answer_start")
        )
        encoded = self.encode(fields, processor, facts, options)
        return answer_places.learned(encoded, spans, errors)

    def gold(self, targets: Fields) -> pa.Array:
        """See `tasks.gold`: every answer that SQuAD's annotators gave, or the only one."""
        answers = targets.get("answers")
        if answers is None:
            texts = targets["answer"].to_pylist()
            given = [[text] if text.strip() else [] for text in texts]  # as `learn` has it
            return pa.array(given, pa.list_(pa.string()))
        return answer_places.texts(answers.to_pylist())

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """[rows] the same answer, wherever it is."""
        pairs = zip(ours["answer"].to_pylist(), reference["answer"].to_pylist(), strict=True)
        return np.array([one == other for one, other in pairs], np.bool_)


def _cut(facts: ModelFacts, options: QuestionAnsweringOptions) -> question_windows.Cut:
    limit = tokens.length_limit(
        facts, options.max_length, "longer contexts are read in several windows"
    )
    length = options.max_length or min(_MAX_LENGTH, limit or _MAX_LENGTH)
    question, stride = options.max_question_length, options.stride
    return question_windows.Cut(
        max_length=length,
        question=max(1, min(_QUESTION, length // 3)) if question is None else question,
        stride=min(_STRIDE, length // 4) if stride is None else stride,
    )


def _refuse_no_token(processor: Any, options: QuestionAnsweringOptions) -> None:
    if options.no_answer and processor.cls_token_id is None:
        raise ConfigError(
            "options.no_answer: true is for models that point to their classification token where "
            "there is no answer, and this model's tokenizer has none (cls_token); remove it"
        )


def _logits(outputs: Outputs, encoded: Encoded, name: str) -> npt.NDArray[np.generic]:
    if not len(encoded):
        return np.zeros(0, np.float32)
    given = outputs[name]
    if not isinstance(given, Ragged) or given.values.shape != (int(encoded.lengths.sum()),):
        raise ModelError(
            f"the model gave {name} that are not one number for each of its tokens; the checkpoint "
            "does not fit the task"
        )
    return given.values
