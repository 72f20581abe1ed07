"""translation: each text in another language, by a model that reads and writes (encoder-decoder).

Marian, mBART, M2M100, NLLB, T5 and their like; `ops.languages` says how each is told the languages.
Codes are those of the model: "deu_Latn" for NLLB, "de" for M2M100, "de_DE" for mBART, "deu" for
Marian. What else the options leave open is as the checkpoint says, see `config.writing`. A long
text is cut to what the model reads, or translated piece by piece.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from labelmill.batch import Encoded, ModelFacts, Outputs
from labelmill.config.section import Section
from labelmill.config.values import Text
from labelmill.config.writing import WritingSection
from labelmill.learning import Defaults, Examples, Objective
from labelmill.ops import answer_texts, languages, writing
from labelmill.readouts import Generation
from labelmill.tasks import Fields, Work


class TranslationOptions(WritingSection):
    """Options of translation."""

    source_language: Text | None = Field(
        default=None,
        description="Language of the texts, as the model calls it; null: as the checkpoint says.",
    )
    target_language: Text | None = Field(
        default=None,
        description="Language to translate into, as the model calls it; null: its only one, or the "
        "checkpoint's own; a text for a Marian model of many languages then begins with >>code<<.",
    )


class Translation:
    """See the module."""

    name: ClassVar[str] = "translation"
    auto_class: ClassVar[str] = "AutoModelForSeq2SeqLM"
    processor: ClassVar[str] = "AutoTokenizer"
    fields: ClassVar[tuple[str, ...]] = ("text",)
    targets: ClassVar[tuple[str, ...]] = ("translation",)
    finds_head: ClassVar[bool] = False
    work: ClassVar[Work] = "generating"
    metrics: ClassVar[tuple[str, ...]] = ("bleu", "chrf")
    checked: ClassVar[bool] = False
    Options: ClassVar[type[Section]] = TranslationOptions

    def encode(
        self, fields: Fields, processor: Any, facts: ModelFacts, options: TranslationOptions
    ) -> Encoded:
        """See Task; a text that must name its language and does not is an error of its row."""
        known = languages.of(processor)
        if not _by_pair(facts, options):
            languages.read_in(processor, known, options.source_language)
        texts = fields["text"].to_pylist()
        prefix = languages.mark(known, options.target_language) + _prefix(facts, options)
        encoded = writing.encoded(
            texts,
            prefix,
            processor,
            writing.input_length(facts, options.max_length),
            window=options.long_text == "window",
            new_tokens=_new_tokens(facts, options),
        )
        if options.target_language is not None:
            return encoded
        return writing.without(
            encoded,
            {
                row: "the text does not begin with >>code<<, a language that the model writes"
                for row, text in enumerate(texts)
                if not languages.marked(known, prefix + text)
            },
        )

    def readout(self, processor: Any, facts: ModelFacts, options: TranslationOptions) -> Generation:
        """See Task; raises ConfigError for languages that the model does not have."""
        told = _told(languages.of(processor), facts, options)
        return Generation(
            settings={**writing.settings(facts, _task(options), writing.chosen(options)), **told},
            max_new_tokens=_new_tokens(facts, options),
        )

    def decode(
        self,
        outputs: Outputs,
        encoded: Encoded,
        fields: Fields,
        processor: Any,
        facts: ModelFacts,
        options: TranslationOptions,
    ) -> pa.Table:
        """See Task."""
        # M2M100's tokenizer does not count them among the special tokens.
        codes = frozenset(languages.of(processor).ids.values())
        texts = writing.written(outputs, processor, without=codes)
        translations = writing.joined(texts, encoded.rows, len(fields["text"]))
        return pa.table([translations], schema=self.schema(facts, options))

    def schema(self, facts: ModelFacts, options: TranslationOptions) -> pa.Schema:
        """See Task; raises ConfigError for options that do not fit the model."""
        writing.input_length(facts, options.max_length)
        _new_tokens(facts, options)
        _prefix(facts, options)
        writing.refuse_idle_penalty(facts, _task(options), options)
        return pa.schema([("translation", pa.string())])

    def head(self, targets: Fields, facts: ModelFacts, options: TranslationOptions) -> None:
        """See Trainable: the checkpoint's own."""
        del targets, facts
        answer_texts.refuse_windows(options.long_text)

    def defaults(self, facts: ModelFacts) -> Defaults:
        """See `training_defaults`."""
        return answer_texts.defaults(facts)

    def objective(self, facts: ModelFacts, options: TranslationOptions) -> Objective:
        """See Trainable."""
        del facts, options
        return "written"

    def learn(
        self,
        fields: Fields,
        targets: Fields,
        processor: Any,
        facts: ModelFacts,
        options: TranslationOptions,
    ) -> Examples:
        """See Trainable and `ops.answer_texts`; raises what `encode` and `readout` raise."""
        encoded = self.encode(fields, processor, facts, options)
        known = languages.of(processor)
        own = {**_settings(facts), **_told(known, facts, options)}
        answer_texts.write_for(processor, known, options.target_language, own)
        translations = targets["translation"].to_pylist()
        return answer_texts.learned(encoded, translations, processor, _new_tokens(facts, options))

    def gold(self, targets: Fields) -> pa.Array:
        """See `tasks.gold`."""
        return targets["translation"].combine_chunks()

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """Whether the texts are the same; not asked for, see Task."""
        return writing.same(ours, reference)


def _task(options: TranslationOptions) -> str:
    """Its name in a checkpoint's task_specific_params."""
    return f"translation_{options.source_language}_to_{options.target_language}"


def _settings(facts: ModelFacts) -> Mapping[str, Any]:
    return {} if facts.writing is None else facts.writing.settings


def _told(
    known: languages.Languages, facts: ModelFacts, options: TranslationOptions
) -> dict[str, int]:
    """The setting of GenerationConfig for the language that is written."""
    if _by_pair(facts, options):
        return {}
    return languages.write_in(known, options.target_language, _settings(facts))


def _by_pair(facts: ModelFacts, options: TranslationOptions) -> bool:
    """Whether the model is told its languages by a sentence before the text (T5)."""
    return options.prefix is None and languages.has_pairs(writing.by_task(facts))


def _prefix(facts: ModelFacts, options: TranslationOptions) -> str:
    if options.prefix is not None:
        return options.prefix
    if not _by_pair(facts, options):
        return ""
    return languages.pair_prefix(
        writing.by_task(facts), options.source_language, options.target_language
    )


def _new_tokens(facts: ModelFacts, options: TranslationOptions) -> int:
    return writing.new_tokens(facts, _task(options), options.max_new_tokens, "max_new_tokens")
