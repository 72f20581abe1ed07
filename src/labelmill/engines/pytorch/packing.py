"""Packing: the sequences of a microbatch end to end in one row, so that no token is padding.

Attention stays within each sequence: it is told where sequences start. Only model types that the
tests compare with the padded way are packed. It knows no row, no task and no budget.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from typing_extensions import override

from labelmill.batch import Microbatch
from labelmill.engines.pytorch.attention import ATTENTION
from labelmill.engines.pytorch.narrowing import narrow
from labelmill.engines.pytorch.pooling import packed_pool
from labelmill.engines.pytorch.reading import Model, Tensors
from labelmill.models import biased, disentangled
from labelmill.models.packed_relative import Sequences
from labelmill.readouts import Embedding, Logits, Readout, TokenLogits

# Model types, and whether they count positions from behind the padding id.
_COUNTED: Mapping[str, bool] = {
    "albert": False,
    "bert": False,
    "camembert": True,
    "data2vec-text": True,
    "deberta-v2": False,
    "distilbert": False,
    "electra": False,
    "ernie": False,
    "eurobert": False,
    "jina_embeddings_v3": False,
    "modernbert": False,
    "mpnet": True,
    "nomic_bert": False,
    "roberta": True,
    "roberta-prelayernorm": True,
    "xlm-roberta": True,
    "xlm-roberta-xl": True,
}
_TILE = 128  # tokens of a block of attention

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How microbatches are packed."""

    grain: int = 64  # tokens are filled up to a multiple of it, so that shapes come again


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A packed microbatch on the host. Filler behind its tokens is cut into sequences, too."""

    names: tuple[str, ...]
    tokens: int  # filler included
    numbers: Ints  # [names x tokens, then where each sequence starts and the last one ends]
    lengths: npt.NDArray[np.int64]  # of all sequences, filler included
    longest: int  # bound of the lengths


def is_packable(module: Any, readout: Readout) -> bool:
    """The model's type is one that the tests prove, and so is what is read out of it."""
    config = module.config
    absolute = getattr(config, "position_embedding_type", "absolute") == "absolute"
    encodes = not getattr(config, "is_decoder", False)
    known = config.model_type in _COUNTED and isinstance(readout, Logits | TokenLogits | Embedding)
    return known and absolute and encodes and _has_its_attention(module)


def _has_its_attention(module: Any) -> bool:
    """Where transformers passes no bounds on to the attention, there is one of ours instead."""
    if module.config.model_type == "deberta-v2":
        return disentangled.sequences_of(module) is not None
    return module.config.model_type != "mpnet" or biased.is_biased(module)


def _sequences(module: Any) -> Sequences | None:
    """To tell our attention by; None where it is transformers'."""
    if module.config.model_type == "mpnet":
        return biased.wrap(module)
    return disentangled.sequences_of(module)


class PackedModel(Model):
    """The model over one row of sequences; see Model. Its module goes on to take padded inputs."""

    def __init__(self, module: Any, device: str) -> None:
        super().__init__(module, device)
        self._bounds: torch.Tensor | None = None
        self._sequences = _sequences(module)
        if self._sequences is None:
            module.set_attn_implementation(ATTENTION)

    @override
    def __call__(self, inputs: Tensors, **more: Any) -> Any:
        """See Model."""
        config = self.module.config
        pooling = getattr(config, "classifier_pooling", "")
        self._bounds = inputs["bounds"]
        try:
            if pooling:
                config.classifier_pooling = "cls"  # the hook has pooled already
            return super().__call__(inputs, **self._told(inputs), **more)
        finally:
            self._bounds = None
            if self._sequences is not None:
                self._sequences.end()
            if pooling:
                config.classifier_pooling = pooling

    def _told(self, inputs: Tensors) -> Mapping[str, Any]:
        """What the model passes on to its attention; where that is ours, it is told itself."""
        bounds, longest = inputs["bounds"], int(inputs["longest"])
        if self._sequences is not None:
            self._sequences.begin(bounds, longest)
            return self._masked(inputs)
        where = {"cu_seq_lens_q": bounds, "cu_seq_lens_k": bounds}
        return {**where, "max_length_q": longest, "max_length_k": longest}

    def _masked(self, inputs: Tensors) -> Mapping[str, Any]:
        """What keeps transformers from looking for padding, for which the host would wait.

        DeBERTa looks at the ids where it gets no mask, MPNet at the mask where it gets one.
        """
        if self.module.config.model_type != "deberta-v2":
            return {}
        return {"attention_mask": torch.ones_like(inputs["input_ids"])}

    @override
    def read_first(self) -> None:
        """See Model. [1, tokens, width] becomes [sequences, 1, width] before pooler and head."""
        if narrow(self.module, self._first):
            return
        base = self.module.base_model
        pooler, encoder = getattr(base, "pooler", None), getattr(base, "encoder", base)
        if pooler is not None and encoder is base:  # the layers lie in the base model itself
            pooler.register_forward_pre_hook(lambda _, given: tuple(map(self._first, given)))
            return
        inner = base if pooler is None else encoder
        means = getattr(self.module.config, "classifier_pooling", "cls") == "mean"

        def gather(module: Any, given: Any, output: Any) -> Any:
            del module, given
            if self._bounds is not None:
                hidden = output["last_hidden_state"][0]
                how = "mean" if means else "cls"
                first = packed_pool(hidden.float() if means else hidden, self._bounds, how, 0)
                output["last_hidden_state"] = first.to(hidden.dtype)[:, None]
            return output

        inner.register_forward_hook(gather)

    def _first(self, hidden: torch.Tensor) -> torch.Tensor:
        if self._bounds is None:
            return hidden
        return packed_pool(hidden[0], self._bounds, "cls", 0)[:, None]

    @override
    def tokens(self, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """See Model; every token is one of a sequence already."""
        del lengths
        return values[0]

    @override
    def single(self, ids: tuple[int, ...]) -> Tensors:
        """See Model."""
        numbers = {"input_ids": np.array(ids, np.int32)}
        lengths = np.array([len(ids)], np.int64)
        batch = Microbatch(sequences=lengths * 0, lengths=lengths, inputs=numbers, packed=True)
        layout = lay_out(batch, Packing(grain=1), padding=padding_of(self.module), names=None)
        return tensors(layout, torch.from_numpy(layout.numbers).to(self.device))


def padding_of(module: Any) -> int | None:
    """The padding id that positions are counted from; None: they are counted from 0."""
    if not _COUNTED[module.config.model_type]:
        return None
    padding: int = module.base_model.embeddings.padding_idx
    return padding


def lay_out(
    batch: Microbatch, packing: Packing, *, padding: int | None, names: frozenset[str] | None
) -> Layout:
    """The packed microbatch with its positions and filler; `names` of inputs to take, None: all."""
    inputs = {
        name: np.asarray(values, np.int32)
        for name, values in batch.inputs.items()
        if names is None or name in names
    }
    inputs["position_ids"] = _positions(batch, padding)
    used = int(batch.lengths.sum())
    tokens = -(-used // packing.grain) * packing.grain
    longest = _power(int(batch.lengths.max()), _TILE)
    lengths = _filled(batch.lengths, tokens - used, longest)
    numbers = np.zeros(len(inputs) * tokens + len(lengths) + 1, np.int32)
    for place, values in enumerate(inputs.values()):
        numbers[place * tokens : place * tokens + used] = values
    np.cumsum(lengths, out=numbers[len(inputs) * tokens + 1 :])
    return Layout(
        names=tuple(inputs), tokens=tokens, numbers=numbers, lengths=lengths, longest=longest
    )


def tensors(layout: Layout, numbers: torch.Tensor) -> Tensors:
    """What PackedModel takes, out of the layout's numbers on the device."""
    size = len(layout.names) * layout.tokens
    rows = numbers[:size].view(len(layout.names), 1, layout.tokens).long()
    taken = dict(zip(layout.names, rows.unbind(), strict=True))
    return {**taken, "bounds": numbers[size:], "longest": torch.tensor(layout.longest)}


def _positions(batch: Microbatch, padding: int | None) -> Ints:
    """[tokens]; RoBERTa's kin count from behind the padding id, and do not count it."""
    lengths = batch.lengths
    ends = np.cumsum(lengths)
    if padding is None:
        return (np.arange(int(ends[-1])) - np.repeat(ends - lengths, lengths)).astype(np.int32)
    counts = batch.inputs["input_ids"] != padding
    counted = np.concatenate([[0], np.cumsum(counts)])
    before = np.repeat(counted[ends - lengths], lengths)
    positions: Ints = ((counted[1:] - before) * counts + padding).astype(np.int32)
    return positions


def _filled(lengths: npt.NDArray[np.int64], filler: int, longest: int) -> npt.NDArray[np.int64]:
    """Lengths with the filler's behind them."""
    whole, rest = divmod(filler, longest)
    more = np.array([longest] * whole + [rest] * (rest > 0), np.int64)
    return np.concatenate([lengths, more])


def _power(number: int, least: int) -> int:
    """The least power of two that is no less than either."""
    return max(least, 1 << max(0, number - 1).bit_length())
