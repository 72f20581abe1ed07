"""fill-mask: the likeliest tokens, with their scores, for each mask in a text.

`fills` has one entry for each mask of a text, in the order of the text, each a list of tokens, best
first. Scores are a softmax over the whole vocabulary, of `targets` too. Masks are filled
independently of each other, as transformers' pipeline does. A text without a mask, or with
one beyond `max_length`, is a reject.
"""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from labelmill.batch import Encoded, ModelFacts, Outputs, Ragged
from labelmill.config.section import Section
from labelmill.config.values import Count, Text, Texts
from labelmill.errors import ModelError
from labelmill.ops import masks, tokens
from labelmill.readouts import MaskedTokens
from labelmill.tasks import Fields, Work

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class FillMaskOptions(Section):
    """Options of fill-mask."""

    mask: Text | None = Field(
        default=None,
        description="What stands for a mask in the texts, beside the tokenizer's own mask token; "
        "null: nothing else.",
    )
    top_k: Count = Field(default=5, description="Tokens that are listed for each mask.")
    targets: Texts | None = Field(
        default=None,
        description="Words to choose from, each one token of the model; null: every token.",
    )
    max_length: Count | None = Field(
        default=None, description="Tokens a text is cut to; null: as many as the model takes."
    )


class FillMask:
    """See the module."""

    name: ClassVar[str] = "fill-mask"
    auto_class: ClassVar[str] = "AutoModelForMaskedLM"
    processor: ClassVar[str] = "AutoTokenizer"
    fields: ClassVar[tuple[str, ...]] = ("text",)
    work: ClassVar[Work] = "scoring"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)
    checked: ClassVar[bool] = True
    Options: ClassVar[type[Section]] = FillMaskOptions

    def encode(
        self,
        fields: Fields,
        processor: "PreTrainedTokenizerBase",
        facts: ModelFacts,
        options: FillMaskOptions,
    ) -> Encoded:
        """See Task; raises ModelError for a tokenizer without a mask token."""
        own, _ = masks.mask_of(processor)
        texts = fields["text"].to_pylist()
        if options.mask is not None:
            texts = [text.replace(options.mask, own) for text in texts]
        return masks.encode(texts, processor, _limit(facts, options))

    def readout(
        self,
        processor: "PreTrainedTokenizerBase",
        facts: ModelFacts,
        options: FillMaskOptions,
    ) -> MaskedTokens:
        """See Task; raises ConfigError for a target that is not one token."""
        del facts
        _, number = masks.mask_of(processor)
        targets = masks.target_ids(options.targets or (), processor)
        count = min(options.top_k, len(targets)) if targets else options.top_k
        return MaskedTokens(mask_token_id=number, count=count, targets=targets)

    def decode(
        self,
        outputs: Outputs,
        encoded: Encoded,
        fields: Fields,
        processor: "PreTrainedTokenizerBase",
        facts: ModelFacts,
        options: FillMaskOptions,
    ) -> pa.Table:
        """See Task."""
        rows, schema = len(fields["text"]), self.schema(facts, options)
        if not len(encoded):
            return pa.table([pa.nulls(rows, masks.FILLS)], schema=schema)
        ids, scores = outputs["ids"], outputs["scores"]
        if not isinstance(ids, Ragged) or not isinstance(scores, Ragged):
            raise ModelError("the engine gave no tokens for each mask")
        return pa.table([masks.fills(ids, scores, encoded.rows, rows, processor)], schema=schema)

    def schema(self, facts: ModelFacts, options: FillMaskOptions) -> pa.Schema:
        """See Task."""
        _limit(facts, options)
        return pa.schema([("fills", masks.FILLS)])

    def agrees(self, ours: pa.Table, reference: pa.Table) -> npt.NDArray[np.bool_]:
        """[rows] the same best token for every mask."""
        pairs = zip(ours["fills"].to_pylist(), reference["fills"].to_pylist(), strict=True)
        return np.array([_best(one) == _best(other) for one, other in pairs], np.bool_)


def _limit(facts: ModelFacts, options: FillMaskOptions) -> int | None:
    advice = "a text with a mask beyond it is a reject"
    return tokens.length_limit(facts, options.max_length, advice)


def _best(filled: list[list[dict[str, object]]] | None) -> list[object] | None:
    return None if filled is None else [entries[0]["token"] for entries in filled]
