"""Decoding: one token after another, where rows that are finished leave the model.

`generate` of transformers prepares everything (settings, special tokens, cache, what processes the
scores and what ends a text) and hands it to a `Decoding` in place of its own loop, which would run
every row until the slowest is done. Here, once half of the rows that the model holds are finished,
they are cut out of its inputs and its cache. The tokens of the others are those of the plain loop,
because no row sees another.
"""

from collections.abc import Callable
from typing import Any

import torch
from transformers import DynamicCache, EncoderDecoderCache
from transformers.cache_utils import LinearAttentionCacheLayerMixin
from transformers.generation.logits_process import (
    EncoderNoRepeatNGramLogitsProcessor,
    EncoderRepetitionPenaltyLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    UnbatchedClassifierFreeGuidanceLogitsProcessor,
)

Choose = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]

# These hold something for each row of the batch, so they must see all rows, finished or not.
_ROW_BY_ROW = (
    EncoderNoRepeatNGramLogitsProcessor,
    EncoderRepetitionPenaltyLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    UnbatchedClassifierFreeGuidanceLogitsProcessor,
)
# Inputs with a row for each row; beside any other, rows stay until the end.
_MASKS = frozenset(
    {
        "attention_mask",
        "decoder_attention_mask",
        "decoder_position_ids",
        "position_ids",
        "token_type_ids",
    }
)


def greedy(scores: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
    """[rows] the likeliest token of each."""
    del rows, step
    return scores.argmax(dim=-1)


class Decoding:
    """One call of `generate`, whose `custom_generate` it is.

    `choose` gets scores [rows, vocabulary], the places of these rows in the batch and the number of
    tokens written so far. `ends` is [batch] the width of each text when it was finished.
    """

    def __init__(self, choose: Choose = greedy) -> None:
        self._choose = choose
        self.ends = torch.zeros(0, dtype=torch.int64)

    @torch.no_grad()
    def __call__(
        self,
        model: Any,
        input_ids: torch.Tensor,
        logits_processor: Any,
        stopping_criteria: Any,
        generation_config: Any,
        **inputs: Any,
    ) -> torch.Tensor:
        """[batch, width] start and new tokens; padding after the end of each text."""
        inputs.pop("synced_gpus", None)
        padding = generation_config._pad_token_tensor  # noqa: SLF001 - as in generate's own loop
        held = torch.arange(len(input_ids), device=input_ids.device)  # rows that the model holds
        unfinished = torch.ones_like(held, dtype=torch.bool)
        apart = any(isinstance(one, _ROW_BY_ROW) for one in logits_processor)
        self.ends = torch.zeros_like(held)
        start, first = input_ids.shape[1], True
        while len(held):
            logits, inputs = _step(model, input_ids[held], inputs, first=first)
            scores = _processed(logits_processor, input_ids, held, logits, apart=apart)
            chosen = self._choose(scores, held, input_ids.shape[1] - start)
            input_ids = _grown(input_ids, held, chosen, unfinished, padding)
            stopped = held[stopping_criteria(input_ids[held], None) & unfinished[held]]
            self.ends[stopped] = input_ids.shape[1]
            unfinished[stopped] = False
            held, inputs = _left(held, unfinished, inputs)
            first = False
        return input_ids


def _step(
    model: Any, ids: torch.Tensor, inputs: dict[str, Any], *, first: bool
) -> tuple[torch.Tensor, dict[str, Any]]:
    """Scores [rows, vocabulary] float32 of the next token, and the inputs of the step after."""
    new = None if first or not inputs["use_cache"] else 1
    prepared = model.prepare_inputs_for_generation(
        ids, next_sequence_length=new, is_first_iteration=first, **inputs
    )
    outputs = model(**prepared, return_dict=True)
    inputs = model._update_model_kwargs_for_generation(  # noqa: SLF001 - models override it
        outputs, inputs, is_encoder_decoder=model.config.is_encoder_decoder
    )
    return outputs.logits[:, -1].to(copy=True, dtype=torch.float32), inputs


def _processed(
    processors: Any, ids: torch.Tensor, held: torch.Tensor, logits: torch.Tensor, *, apart: bool
) -> torch.Tensor:
    if not apart or len(held) == len(ids):
        scores: torch.Tensor = processors(ids[held], logits)
        return scores
    whole = logits.new_zeros(len(ids), logits.shape[1])
    whole[held] = logits
    processed: torch.Tensor = processors(ids, whole)
    return processed[held]


def _grown(
    ids: torch.Tensor,
    held: torch.Tensor,
    chosen: torch.Tensor,
    unfinished: torch.Tensor,
    padding: torch.Tensor | None,
) -> torch.Tensor:
    tokens = ids.new_zeros(len(ids)) if padding is None else padding.expand(len(ids)).clone()
    tokens[held] = chosen
    if padding is not None:
        tokens = torch.where(unfinished, tokens, padding)
    return torch.cat([ids, tokens[:, None]], dim=-1)


def _left(
    held: torch.Tensor, unfinished: torch.Tensor, inputs: dict[str, Any]
) -> tuple[torch.Tensor, dict[str, Any]]:
    """The rows that go on, and their inputs; all of them until half are finished."""
    kept = torch.nonzero(unfinished[held])[:, 0]
    if len(kept) * 2 > len(held):
        return held, inputs
    if not len(kept):
        return kept, inputs
    if not _can_be_cut(inputs):
        return held, inputs
    return held[kept], {name: _cut(name, value, kept) for name, value in inputs.items()}


def _can_be_cut(inputs: dict[str, Any]) -> bool:
    """Whether every input is of a kind that is known to have one row for each row."""
    for name, value in inputs.items():
        if isinstance(value, torch.Tensor) and not (name in _MASKS and value.dim() == 2):
            return False
        if name == "past_key_values" and value is not None and not _is_plain(value):
            return False
        if isinstance(value, list | tuple):  # states of RWKV, memories of XLNet
            return False
    return "cache_params" not in inputs


def _is_plain(cache: Any) -> bool:
    """A cache of keys and values alone; states of linear attention cannot be cut so."""
    if isinstance(cache, EncoderDecoderCache):
        return _is_plain(cache.self_attention_cache) and _is_plain(cache.cross_attention_cache)
    return isinstance(cache, DynamicCache) and all(
        hasattr(layer, "batch_select_indices")
        and not isinstance(layer, LinearAttentionCacheLayerMixin)  # has both in Falcon-H1
        for layer in cache.layers
    )


def _cut(name: str, value: Any, kept: torch.Tensor) -> Any:
    if name == "past_key_values" and value is not None:
        value.batch_select_indices(kept)
    elif name == "encoder_outputs":
        value.last_hidden_state = value.last_hidden_state[kept]
    elif isinstance(value, torch.Tensor):
        return value[kept]
    return value
