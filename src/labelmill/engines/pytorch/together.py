"""Together: which sequences of a microbatch a model may be given at once.

All of them, with most models: each sees its own tokens alone. Some see padding too, and are given
sequences of one length. What reads the last token of the end of each refuses sequences that have
more or fewer of it than the others, and a text may hold one.
"""

from collections.abc import Callable
from typing import Any

import torch

from labelmill.engines.pytorch.reading import Pieces, Read, Reader, Tensors

# Found by comparing sequences alone with padded ones: convolutions (ConvBERT, CANINE), pooling,
# sums over all places (FNet, Nystromformer, YOSO), states (RWKV), or, of XLNet, a head that reads
# the last place, whatever stands there.
_SEES_PADDING = frozenset(
    {
        "canine",
        "convbert",
        "cpmant",
        "fnet",
        "funnel",
        "nystromformer",
        "rwkv",
        "xlm",
        "xlnet",
        "yoso",
    }
)

Kinds = Callable[[Tensors, torch.Tensor], torch.Tensor]  # -> [batch] on the CPU


def apart(read: Reader, module: Any) -> Reader:
    """The same, with calls of those sequences alone that the model may be given at once."""
    kinds = _kinds(module)
    return read if kinds is None else _grouped(read, kinds)


def by_length(read: Reader) -> Reader:
    """The same, with calls of sequences of one length alone."""
    return _grouped(read, lambda _, lengths: lengths)


def _grouped(read: Reader, kinds: Kinds) -> Reader:
    def grouped(inputs: Tensors, lengths: torch.Tensor) -> Read:
        told = kinds(inputs, lengths)
        groups = [torch.nonzero(told == kind)[:, 0] for kind in torch.unique(told)]
        if len(groups) == 1:
            return read(inputs, lengths)
        parts = [read(_some(inputs, rows, lengths), lengths[rows]) for rows in groups]
        return _joined(parts, torch.cat(groups).argsort())

    return grouped


def _kinds(module: Any) -> Kinds | None:
    config = module.config
    if config.model_type in _SEES_PADDING:
        return lambda _, lengths: lengths
    reads_end = type(module).__name__.endswith("ForSequenceClassification")
    if not (reads_end and getattr(config, "is_encoder_decoder", False)):
        return None
    return lambda inputs, _: (inputs["input_ids"] == config.eos_token_id).sum(dim=1).cpu()


def _some(inputs: Tensors, rows: torch.Tensor, lengths: torch.Tensor) -> Tensors:
    """The inputs of those rows, without padding that none of them needs."""
    width, longest = inputs["input_ids"].shape[1], int(lengths[rows].max())
    taken = {name: values[rows.to(values.device)] for name, values in inputs.items()}
    return {
        name: values[:, :longest] if values.shape[1:2] == (width,) else values
        for name, values in taken.items()
    }


def _joined(parts: list[Read], order: torch.Tensor) -> Read:
    """The outputs of groups as one, in the order of the microbatch."""
    return {name: _whole([part[name] for part in parts], order) for name in parts[0]}


def _whole(parts: list[Any], order: torch.Tensor) -> torch.Tensor | Pieces:
    if not isinstance(parts[0], Pieces):
        whole = torch.cat(parts)
        return whole[order.to(whole.device)]
    lengths = torch.cat([part.lengths.cpu() for part in parts])
    each = torch.split(torch.cat([part.values for part in parts]), lengths.tolist())
    return Pieces(torch.cat([each[place] for place in order.tolist()]), lengths[order])
