"""text-generation: what a decoder (GPT-2, Llama, Qwen, ...) writes after each text or chat.

Greedy, or sampled where `temperature` is above 0: then each row has a seed of its own, made of
`seed` and the row's text, so that it gets the same text in any batch, order or retry; equal rows
get equal texts. What the options leave open is as the checkpoint's generation_config.json says.
Prompt and new tokens together fit what the model was made for: a longer prompt loses its beginning.
"""

from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field
from typing_extensions import override

from labelmill.batch import Encoded, ModelFacts, Outputs, dense, ragged
from labelmill.config.sampling import SamplingSection
from labelmill.config.section import Section
from labelmill.config.values import Count, Day, Texts
from labelmill.errors import ConfigError
from labelmill.learning import Defaults, Examples, Objective
from labelmill.ops import chat_answers, chats, next_tokens, prompts, writing
from labelmill.readouts import Generation
from labelmill.tasks import Fields, Work

_NOTHING = "the prompt is empty, and the model has no token that begins a text to go on from"
_CHOSEN = ("repetition_penalty", "min_new_tokens")
_UNDRAWN = {"temperature": 0.0, "long_text": "truncate"}
_DRAWN = ("temperature", "top_k", "top_p", "min_p")


class TextGenerationOptions(SamplingSection):
    """Options of text-generation."""

    system: str | None = Field(
        default=None, description="First message of a chat that has no system message of its own."
    )
    date: Day | None = Field(
        default=None,
        description="Day that is today's to a chat template that asks for it, e.g. 2026-01-31; "
        "null: that on which the run began.",
    )
    stop: Texts | None = Field(
        default=None,
        description="Strings that end the text where one is written; it is left out.",
    )
    max_length: Count | None = Field(
        default=None,
        description="Tokens of a prompt; null: as many as the model takes beside max_new_tokens.",
    )
    long_text: Literal["truncate", "reject"] = Field(
        default="truncate",
        description="What becomes of a longer prompt: its end is used, or the row is rejected.",
    )

    @override
    def begun(self, day: str) -> Self:
        return self if self.date else self.model_copy(update={"date": day})


class TextGeneration:
    """See the module."""

    name: ClassVar[str] = "text-generation"
    auto_class: ClassVar[str] = "AutoModelForCausalLM"
    processor: ClassVar[str] = "AutoTokenizer"
    fields: ClassVar[tuple[str, ...]] = ("text|messages:json",)
    targets: ClassVar[tuple[str, ...]] = ()  # what is learned is in the texts themselves
    finds_head: ClassVar[bool] = False
    work: ClassVar[Work] = "generating"
    metrics: ClassVar[tuple[str, ...]] = ("exact_match", "chrf")
    checked: ClassVar[bool] = False
    Options: ClassVar[type[Section]] = TextGenerationOptions

    def encode(
        self, fields: Fields, processor: Any, facts: ModelFacts, options: TextGenerationOptions
    ) -> Encoded:
        """See Task; what no prompt can be made of is an error of its row."""
        errors: dict[int, str] = {}
        given, texts = _texts(fields, processor, options, errors)
        ids = prompts.tokenized(texts, processor, special="text" in fields)
        errors = {row: _NOTHING for row, one in enumerate(ids) if not len(one)} | errors
        limit = _limit(facts, options)
        if limit is not None:
            if options.long_text == "reject":
                errors |= _too_long(ids, limit)
            ids = [prompts.cut(one, limit, processor.bos_token_id) for one in ids]
        seeds = [prompts.seed_of(options.seed or 0, text) for text in given]
        encoded = prompts.encoded(
            ids, seeds if options.temperature else None, options.max_new_tokens
        )
        return writing.without(encoded, errors)

    def readout(
        self, processor: Any, facts: ModelFacts, options: TextGenerationOptions
    ) -> Generation:
        """See Task."""
        del processor
        names = (*_CHOSEN, *_DRAWN) if options.temperature else _CHOSEN
        chosen = {name: getattr(options, name) for name in names}
        return Generation(
            settings={**writing.settings(facts, "text-generation", chosen), "num_beams": 1},
            max_new_tokens=options.max_new_tokens,
            sample=options.temperature > 0,
            stop=options.stop or (),
        )

    def decode(
        self,
        outputs: Outputs,
        encoded: Encoded,
        fields: Fields,
        processor: Any,
        facts: ModelFacts,
        options: TextGenerationOptions,
    ) -> pa.Table:
        """See Task; `generated_tokens` counts those of a stop string, not the token of the end."""
        texts, stopped = writing.cut_off(writing.written(outputs, processor), options.stop or ())
        finish = np.where(stopped, 0, dense(outputs, "finish"))
        columns = writing.stretched(
            [texts, writing.reasons(finish), ragged(outputs, "ids").lengths.tolist()],
            encoded.rows,
            len(next(iter(fields.values()))),
        )
        schema = self.schema(facts, options)
        return pa.table(
            [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)],
            schema=schema,
        )

    def schema(self, facts: ModelFacts, options: TextGenerationOptions) -> pa.Schema:
        """See Task; raises ConfigError for options that do not fit the model."""
        _limit(facts, options)
        return pa.schema(
            [
                ("generated_text", pa.string()),
                ("finish_reason", pa.string()),
                ("generated_tokens", pa.int32()),
            ]
        )

    def head(self, targets: Fields, facts: ModelFacts, options: TextGenerationOptions) -> None:
        """See Trainable: the checkpoint's own."""
        del targets
        if options.max_length is not None:
            _limit(facts, options)

    def defaults(self, facts: ModelFacts) -> Defaults:
        """See `training_defaults`: as TRL's supervised fine-tuning."""
        del facts
        return Defaults(rate=2e-5, batch=8)

    def objective(self, facts: ModelFacts, options: TextGenerationOptions) -> Objective:
        """See Trainable."""
        del facts, options
        return "next_token"

    def learn(
        self,
        fields: Fields,
        targets: Fields,
        processor: Any,
        facts: ModelFacts,
        options: TextGenerationOptions,
    ) -> Examples:
        """See Trainable: every token of a text and its end, of a chat the assistant's answers.

        A sequence is at most as long as a prompt and its new tokens together when labelling.
        """
        del targets
        limit, refuse = _together(facts, options), options.long_text == "reject"
        if "messages" in fields:
            chats_ = fields["messages"].to_pylist()
            told = (options.system, options.date)
            return chat_answers.learned(chats_, processor, *told, limit, refuse=refuse)
        whole = options.model_copy(update={"max_length": None, "max_new_tokens": 0, **_UNDRAWN})
        encoded = self.encode(fields, processor, replace(facts, max_length=None), whole)
        texts = fields["text"].to_pylist()
        return next_tokens.of_texts(encoded, texts, processor.eos_token_id, limit, refuse=refuse)

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """Whether the texts are the same; not asked for, see Task."""
        return writing.same(ours, reference)


def _texts(
    fields: Fields, processor: Any, options: TextGenerationOptions, errors: dict[int, str]
) -> tuple[list[str], list[str]]:
    """What the rows hold, and the prompts; one that cannot be made is '' and among the errors."""
    if "text" in fields:
        if options.system is not None:
            raise ConfigError(
                "options.system: it is for chats, and this job reads texts; bind 'messages' in "
                "source.columns, or leave it out"
            )
        texts = fields["text"].to_pylist()
        return texts, texts
    given = fields["messages"].to_pylist()
    made, bad = chats.prompts(given, processor, options.system, options.date)
    errors |= bad
    return given, made


def _together(facts: ModelFacts, options: TextGenerationOptions) -> int | None:
    """Tokens of a prompt and what is written after it; None where there is no end."""
    if options.max_length is None:
        return facts.max_length
    return options.max_length + options.max_new_tokens


def _too_long(ids: prompts.Prompts, limit: int) -> dict[int, str]:
    return {
        row: f"the prompt has {len(one)} tokens, more than {limit}"
        for row, one in enumerate(ids)
        if len(one) > limit
    }


def _limit(facts: ModelFacts, options: TextGenerationOptions) -> int | None:
    """Tokens of a prompt; raises ConfigError where it and the new tokens do not fit the model."""
    if options.max_length is None:
        if facts.max_length is None:
            return None
        if options.max_new_tokens >= facts.max_length:
            raise ConfigError(
                f"options.max_new_tokens: {options.max_new_tokens} leave no room for a prompt in "
                f"the {facts.max_length} tokens of this model; lower it"
            )
        return facts.max_length - options.max_new_tokens
    whole = options.max_length + options.max_new_tokens
    if facts.positions is not None and whole > facts.positions:
        raise ConfigError(
            f"options.max_length, options.max_new_tokens: {whole} tokens together are more than "
            f"this model has positions for ({facts.positions}); lower one of them"
        )
    return options.max_length
