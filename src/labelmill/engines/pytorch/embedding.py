"""Embedding: the hidden states of a sequence pooled into one vector, or its likeness to anchors.

Whatever the model computes in, from its last hidden state on all is float32.
"""

from collections.abc import Callable

import torch
from torch.nn import functional

from labelmill.checkpoints import Checkpoint
from labelmill.engines.pytorch.pooling import packed_pool
from labelmill.engines.pytorch.reading import Model, Read, Reader, Tensors
from labelmill.models.dense import dense_layer
from labelmill.models.pooling import pool
from labelmill.readouts import Embedding

Embed = Callable[[Tensors, torch.Tensor], torch.Tensor]  # -> [batch, dimensions]


def reader(readout: Embedding, model: Model, checkpoint: Checkpoint) -> Reader:
    """See the readout; anchors are embedded here, once."""
    embed = _embedder(readout, model, checkpoint)
    if not readout.anchors:
        return lambda inputs, lengths: {"embedding": embed(inputs, lengths)}
    anchors = torch.cat(
        [embed(model.single(ids), torch.tensor([len(ids)])) for ids in readout.anchors]
    )
    anchors = functional.normalize(anchors, dim=-1).T

    def similarity(inputs: Tensors, lengths: torch.Tensor) -> Read:
        vectors = embed(inputs, lengths)
        if not readout.normalize:
            vectors = functional.normalize(vectors, dim=-1)
        return {"similarity": vectors @ anchors}

    return similarity


def _embedder(readout: Embedding, model: Model, checkpoint: Checkpoint) -> Embed:
    layers = [dense_layer(checkpoint, folder, model.device) for folder in readout.dense]
    pooled = _pooler(readout, model)

    def embed(inputs: Tensors, lengths: torch.Tensor) -> torch.Tensor:
        vectors = pooled(inputs, lengths)
        for layer in layers:
            vectors = layer(vectors)
        vectors = vectors[:, : readout.dimensions]
        return functional.normalize(vectors, dim=-1) if readout.normalize else vectors

    return embed


def _pooler(readout: Embedding, model: Model) -> Embed:
    if readout.pooling != "pooler":
        return lambda inputs, lengths: _pool(
            model(inputs).last_hidden_state.float(), inputs, lengths, readout
        )
    model.read_first()
    return lambda inputs, _: model(inputs).pooler_output.float()


def _pool(
    hidden: torch.Tensor, inputs: Tensors, lengths: torch.Tensor, readout: Embedding
) -> torch.Tensor:
    """[batch, length, width] -> [batch, width], without padding and the first `skip` tokens."""
    if "bounds" in inputs:
        return packed_pool(hidden[0], inputs["bounds"], readout.pooling, readout.skip)
    return pool(hidden, lengths, readout.pooling, readout.skip)
