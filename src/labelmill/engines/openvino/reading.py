"""Reading: a graph's outputs to what a readout asks for, in float32, on numpy."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from labelmill.batch import Array, Outputs, Ragged
from labelmill.checkpoints import Checkpoint, localize
from labelmill.errors import ConfigError
from labelmill.ops.pooling import Floats, normalized, pool
from labelmill.readouts import Embedding, Logits, Readout, TokenLogits

# An output of ours: of last_hidden_state that of the first token, so that no other is computed.
FIRST_HIDDEN_STATE = "first_hidden_state"

Lengths = npt.NDArray[np.int64]
Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]  # inputs -> outputs
Reader = Callable[[Mapping[str, Array], Lengths], Outputs]
Embed = Callable[[Mapping[str, Array], Lengths], Floats]  # -> [batch, dimensions]


def outputs_of(readout: Readout) -> tuple[str, ...]:
    """The outputs of the model that the readout is made of; raises ConfigError for others."""
    match readout:
        case Logits():
            return ("logits",)
        case TokenLogits():
            return readout.names
        case Embedding():
            return (_hidden(readout),)
    raise ConfigError(
        f"model.engine: 'openvino' does not do what this task asks of a model "
        f"({type(readout).__name__}); set it to 'pytorch' or 'auto'"
    )


def _hidden(readout: Embedding) -> str:
    if readout.pooling == "pooler":
        return "pooler_output"
    first = readout.pooling == "cls" and not readout.skip
    return FIRST_HIDDEN_STATE if first else "last_hidden_state"


def reader(readout: Readout, run: Run, checkpoint: Checkpoint) -> Reader:
    """See the readouts; anchors are embedded here, once."""
    if isinstance(readout, Embedding):
        return _embedding(readout, run, checkpoint)
    if isinstance(readout, TokenLogits):
        names = readout.names
        return lambda inputs, lengths: {
            name: _unpadded(values, lengths)
            for name, values in run(inputs).items()
            if name in names
        }
    return lambda inputs, _: {"logits": run(inputs)["logits"]}


def _unpadded(values: Array, lengths: Lengths) -> Ragged:
    """[batch, length, ...] without the padding at the end of each sequence."""
    kept = np.arange(values.shape[1]) < lengths[:, np.newaxis]
    return Ragged(values=values[kept], lengths=lengths)


def _embedding(readout: Embedding, run: Run, checkpoint: Checkpoint) -> Reader:
    embed = _embedder(readout, run, checkpoint)
    if not readout.anchors:
        return lambda inputs, lengths: {"embedding": embed(inputs, lengths)}
    anchors = np.concatenate([_of(ids, embed) for ids in readout.anchors])
    anchors = normalized(anchors).T

    def similarity(inputs: Mapping[str, Array], lengths: Lengths) -> Outputs:
        vectors = embed(inputs, lengths)
        return {"similarity": (vectors if readout.normalize else normalized(vectors)) @ anchors}

    return similarity


def _embedder(readout: Embedding, run: Run, checkpoint: Checkpoint) -> Embed:
    output = outputs_of(readout)[0]
    layers = _dense(readout.dense, checkpoint)

    def embed(inputs: Mapping[str, Array], lengths: Lengths) -> Floats:
        found: Floats = run(inputs)[output].astype(np.float32, copy=False)
        each = output == "last_hidden_state"
        vectors = pool(found, lengths, readout.pooling, readout.skip) if each else found
        vectors = layers(vectors)[:, : readout.dimensions]
        return normalized(vectors) if readout.normalize else vectors

    return embed


def _dense(folders: tuple[str, ...], checkpoint: Checkpoint) -> Callable[[Floats], Floats]:
    """The layers behind the pooling; they are small, and torch's."""
    if not folders:
        return lambda vectors: vectors
    import torch  # noqa: PLC0415 - only here, for who has such layers

    from labelmill.models.dense import dense_layer  # noqa: PLC0415

    local = localize(checkpoint)
    layers = [dense_layer(local, folder, "cpu") for folder in folders]

    def through(vectors: Floats) -> Floats:
        values = torch.from_numpy(vectors)
        with torch.inference_mode():
            for layer in layers:
                values = layer(values)
        found: Floats = values.numpy()
        return found

    return through


def _of(ids: tuple[int, ...], embed: Embed) -> Floats:
    """[1, dimensions] for one text."""
    tokens = np.array([ids], np.int64)
    inputs = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
    return embed(inputs, np.array([len(ids)], np.int64))
