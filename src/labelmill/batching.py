"""Batching: the ragged sequences of a split to padded microbatches, longest first.

Sequences of like length go together, so that little of a microbatch is padding; the longest come
first, so that a lack of memory shows at once. Every sequence is in exactly one microbatch, and
`Microbatch.sequences` says where its outputs belong. It knows lengths and ids, no text and no
tensor.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from labelmill.batch import Array, Encoded, Microbatch, Outputs, Padding, Ragged

Places = npt.NDArray[np.int64]

_LONG = 1024  # numbers of a sequence, as of sound, from which copying one by one is quicker
# The share of padding in a length that is padded to a multiple. Sentences of 13 tokens went 16%
# faster with a quarter than with any share, 5% faster than with a sixth; long texts all the same.
_MOST_PADDING = 1 / 4
# Sequences of a microbatch: 1, 2, 3, 4, 6, 8, 12 .. or as many as there is room for, or left. Few,
# so that an engine meets few shapes: OpenVINO makes kernels anew for each, which takes 5 ms.
_SIZES = np.unique(np.outer(2 ** np.arange(40), (2, 3)) // 2)


def microbatches(
    encoded: Encoded,
    budget: int,
    pad_token_id: int,
    *,
    padding: Padding = Padding(),  # noqa: B008 - frozen
    only: Places | None = None,
    packed: bool = False,
) -> Iterator[Microbatch]:
    """Microbatches of at most `budget` tokens, padding included, or of one sequence.

    What is computed for padding is weighed against one more launch. No sequence is padded beyond
    the longest of all: a model may know no positions there. `packed` lays sequences end to end
    instead, and `padding` then means nothing. `only` names the sequences to take (default: all).
    Sequences of equal length keep their order.
    """
    if budget < 1:
        raise AssertionError(f"a budget of {budget} tokens")
    places = np.arange(len(encoded)) if only is None else only
    order = places[np.argsort(-encoded.lengths[places], kind="stable")]
    offsets = encoded.offsets
    longest = int(encoded.lengths.max(initial=0))
    for run in _runs(encoded, order):
        widths = encoded.lengths[run].astype(np.int64)
        if encoded.uneven and encoded.unit == 1 and not packed:
            widths = _padded_to(widths, padding.multiple_of, longest)
        lengths = -(-widths // encoded.unit) + encoded.written  # tokens, as the budget counts them
        sizes = _sizes(lengths, budget, padding.launch, packed=packed)
        start = 0
        while start < len(run):
            stop = start + int(sizes[start])
            some = run[start:stop]
            yield (
                _packed(encoded, offsets, some)
                if packed
                else _microbatch(encoded, offsets, some, int(widths[start]), pad_token_id)
            )
            start = stop


def outputs_in_order(
    pieces: Sequence[tuple[Places, Outputs]], sequences: int, originals: Places | None = None
) -> Outputs:
    """The outputs of all microbatches, each with its places, as one, in the order of the places.

    Of each sequence; or, where `originals` [sequences] says so, of the one that was predicted in
    its stead. Without a piece there is no output.
    """
    if not pieces:
        return {}
    places = np.concatenate([where for where, _ in pieces])
    back = np.empty(sequences, np.int64)
    back[places] = np.arange(len(places))
    back = back if originals is None else back[originals]
    return {
        name: _in_order([outputs[name] for _, outputs in pieces], back) for name in pieces[0][1]
    }


def _in_order(parts: Sequence[Array | Ragged], back: Places) -> Array | Ragged:
    if not isinstance(parts[0], Ragged):
        return np.concatenate([part for part in parts if not isinstance(part, Ragged)])[back]
    ragged = [part for part in parts if isinstance(part, Ragged)]
    values = np.concatenate([part.values for part in ragged])
    lengths = np.concatenate([part.lengths for part in ragged])
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1][back]
    lengths = lengths[back]
    ends = np.cumsum(lengths)
    index = np.arange(int(lengths.sum())) + np.repeat(starts - ends + lengths, lengths)
    return Ragged(values=values[index], lengths=lengths)


def _runs(encoded: Encoded, order: Places) -> list[Places]:
    """Sequences that may share a microbatch: all of them, or those of one length."""
    if encoded.uneven:
        return [order]
    return np.split(order, np.flatnonzero(np.diff(encoded.lengths[order])) + 1)


def _padded_to(lengths: Places, multiple_of: int, longest: int) -> Places:
    """[sequences] the length that each is padded to where nothing longer is beside it."""
    whole = np.minimum(-(-lengths // multiple_of) * multiple_of, longest)
    return np.where(whole - lengths <= whole * _MOST_PADDING, whole, lengths)


def _sizes(lengths: Places, budget: int, launch: int, *, packed: bool) -> Places:
    """[sequences] how many sequences go into a microbatch that starts at each."""
    if packed:
        ends = np.cumsum(lengths)
        stops = np.searchsorted(ends, ends - lengths + budget, side="right")
        sizes: Places = np.maximum(1, stops - np.arange(len(lengths)))
        return sizes
    return _cheapest(lengths, budget, launch) if launch else _full(lengths, budget)


def _full(lengths: Places, budget: int) -> Places:
    """[sequences] as many as the budget holds, or are left."""
    return np.minimum(np.maximum(1, budget // lengths), np.arange(len(lengths), 0, -1))


def _cheapest(lengths: Places, budget: int, launch: int) -> Places:
    """Those of _SIZES, or `_full`, with the least sum of computed tokens and launches.

    Found from the end backwards.
    """
    sizes = _full(lengths, budget)
    few = np.searchsorted(_SIZES, sizes, side="right")
    costs = np.zeros(len(lengths) + 1, np.int64)  # of everything from each sequence on
    for start in range(len(lengths) - 1, -1, -1):
        choices = np.append(_SIZES[: few[start]], sizes[start])
        weighed = launch + lengths[start] * choices + costs[start + choices]
        best = int(weighed.argmin())
        sizes[start], costs[start] = choices[best], weighed[best]
    return sizes


def _microbatch(
    encoded: Encoded, offsets: Places, sequences: Places, width: int, pad_token_id: int
) -> Microbatch:
    lengths = encoded.lengths[sequences].astype(np.int64)
    fixed = {name: values[sequences] for name, values in encoded.fixed.items()}
    padded = _padded(encoded, offsets, sequences, width, pad_token_id) if encoded.inputs else {}
    return Microbatch(sequences=sequences, lengths=lengths, inputs={**fixed, **padded})


def _packed(encoded: Encoded, offsets: Places, sequences: Places) -> Microbatch:
    """Of ragged inputs alone: an engine that packs knows no others."""
    lengths = encoded.lengths[sequences].astype(np.int64)
    ends = np.cumsum(lengths)
    index = np.arange(int(ends[-1])) + np.repeat(offsets[sequences] - ends + lengths, lengths)
    inputs = {name: values[index] for name, values in encoded.inputs.items()}
    return Microbatch(sequences=sequences, lengths=lengths, inputs=inputs, packed=True)


def _padded(
    encoded: Encoded, offsets: Places, sequences: Places, width: int, pad_token_id: int
) -> dict[str, Array]:
    lengths, starts = encoded.lengths[sequences], offsets[sequences]
    columns = np.arange(width)
    mask = columns < lengths[:, np.newaxis]
    # Beyond a sequence's end the index may run out of the buffer; what it finds there is masked
    # anyway.
    index = (
        np.minimum(starts[:, np.newaxis] + columns, offsets[-1] - 1)
        if len(columns) < _LONG
        else None
    )
    inputs: dict[str, Array] = {"attention_mask": mask.astype(np.int64)}
    for name, values in encoded.inputs.items():
        filler = pad_token_id if name == "input_ids" else 0
        kind = np.float32 if values.dtype.kind == "f" else np.int64
        if index is not None:
            inputs[name] = np.where(mask, values[index], filler).astype(kind)
            continue
        inputs[name] = np.full(mask.shape, filler, kind)
        for row, start, length in zip(inputs[name], starts, lengths, strict=True):
            row[:length] = values[start : start + length]
    return inputs
