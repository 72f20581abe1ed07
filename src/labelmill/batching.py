"""Batching: the ragged sequences of a split to padded microbatches, longest first.

Sequences of like length go together, so that little of a microbatch is padding; the longest come
first, so that a lack of memory shows at once. Every sequence is in exactly one microbatch, and
`Microbatch.sequences` says where its outputs belong. It knows lengths and ids, no text and no
tensor.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from labelmill.batch import Encoded, Microbatch

Places = npt.NDArray[np.int64]


def microbatches(
    encoded: Encoded, budget: int, pad_token_id: int, *, only: Places | None = None
) -> Iterator[Microbatch]:
    """Microbatches of at most `budget` tokens, padding included, or of one sequence.

    `only` names the sequences to take (default: all). Sequences of equal length keep their order.
    """
    if budget < 1:
        raise AssertionError(f"a budget of {budget} tokens")
    places = np.arange(len(encoded)) if only is None else only
    order = places[np.argsort(-encoded.lengths[places], kind="stable")]
    offsets = encoded.offsets
    start = 0
    while start < len(order):
        longest = int(encoded.lengths[order[start]])
        stop = start + max(1, budget // longest)
        yield _padded(encoded, offsets, order[start:stop], pad_token_id)
        start = stop


def padding_fraction(batches: Iterable[Microbatch]) -> float:
    """The share of the computed tokens that is padding; 0.0 where nothing was computed."""
    real = computed = 0
    for batch in batches:
        mask = batch.inputs["attention_mask"]
        real += int(mask.sum())
        computed += mask.size
    return 1.0 - real / computed if computed else 0.0


def _padded(encoded: Encoded, offsets: Places, sequences: Places, pad_token_id: int) -> Microbatch:
    lengths = encoded.lengths[sequences]
    columns = np.arange(int(lengths[0]))
    mask = columns < lengths[:, np.newaxis]
    # Beyond a sequence's end the index may run out of the buffer; what it finds there is masked
    # anyway.
    index = np.minimum(offsets[sequences][:, np.newaxis] + columns, offsets[-1] - 1)
    inputs = {
        name: np.where(mask, values[index], pad_token_id if name == "input_ids" else 0).astype(
            np.int64
        )
        for name, values in encoded.inputs.items()
    }
    return Microbatch(
        sequences=sequences, inputs={**inputs, "attention_mask": mask.astype(np.int64)}
    )
