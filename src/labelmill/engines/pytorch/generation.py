"""Generation: the tokens that a model writes after a prompt, or about what its encoder reads.

The work is transformers' `generate`, with the loop of `decoding` unless the settings ask for beams
or the model has a `generate` of its own (Whisper): these run until the slowest row is done. Prompts
come padded on the right and are turned to be padded on the left, as decoders need it.

transformers' continuous batching (`generate_batch`) is not used: it knows no beams, no stop strings
and no encoder-decoders, its sampling depends on what is in the batch, and on the CPU it takes ten
seconds to start. A split's rows are all there at once, so batches of like length lose little.
"""

from functools import partial
from typing import Any

import torch
from transformers import GenerationMixin, StoppingCriteria, StoppingCriteriaList
from transformers.utils import logging
from typing_extensions import override

from labelmill.checkpoints import Checkpoint, processor
from labelmill.engines.pytorch.decoding import Decoding, greedy
from labelmill.engines.pytorch.reading import Model, Pieces, Read, Reader, Tensors
from labelmill.engines.pytorch.sampling import drawn
from labelmill.engines.pytorch.together import by_length
from labelmill.errors import ConfigError, ModelError
from labelmill.readouts import FINISH, Generation

_STOP, _LENGTH = FINISH.index("stop"), FINISH.index("length")
_ERROR = 40  # level of logging
_SPARE = 4  # tokens that a stop string may be long beside one a byte: special and empty ones


def reader(readout: Generation, model: Model, checkpoint: Checkpoint) -> Reader:
    """See Generation. Its settings are laid over the model's own generation config for good.

    Raises ConfigError for stop strings or sampling where the loop is not `decoding`'s, ModelError
    for an encoder-decoder that names no token to begin with.
    """
    module = model.module
    config = module.generation_config
    config.update(**_settings(readout), allow_custom_entries=True)
    encodes = bool(module.config.is_encoder_decoder)
    if encodes:
        _require_start(config, checkpoint)
    strings = (*readout.stop, *_own_strings(config))
    own = type(module).generate is not GenerationMixin.generate
    plain = own or (config.num_beams or 1) > 1
    if plain and (strings or readout.sample):
        raise ConfigError(
            f"stop strings and sampling need num_beams 1 (found {config.num_beams!r}) and a model "
            f"that transformers' common generate serves (found {type(module).__name__!r}); leave "
            "options.stop and options.temperature out"
        )
    # It warns of settings that greedy search leaves aside, at every call.
    logging.get_logger("transformers.generation").setLevel(_ERROR)
    tokenizer = processor(checkpoint) if strings else None

    def read(inputs: Tensors, lengths: torch.Tensor) -> Read:
        taken = _taken(inputs, lengths, model)
        start = 0 if own else _start(model, taken)
        if plain:
            return _answer(module.generate(**taken), start, config, None)
        decoding = Decoding(partial(_sampled, inputs["seed"]) if readout.sample else greedy)
        stop = [_StopStrings(strings, tokenizer, start)] if strings else []
        ids = module.generate(
            **taken, custom_generate=decoding, stopping_criteria=StoppingCriteriaList(stop)
        )
        return _answer(ids, start, config, decoding.ends)

    return by_length(read) if _counts_padding(config, encodes=encodes) else read


def _require_start(config: Any, checkpoint: Checkpoint) -> None:
    if config.decoder_start_token_id is None and config.bos_token_id is None:
        raise ModelError(
            f"model {checkpoint.source!r} names no token that what it writes begins with: "
            "decoder_start_token_id is in neither generation_config.json nor config.json; add it"
        )


def _counts_padding(config: Any, *, encodes: bool) -> bool:
    """Whether a setting, as generate obeys it, takes the padding of a prompt for its tokens."""
    penalty = config.encoder_repetition_penalty
    if config.encoder_no_repeat_ngram_size or penalty not in (None, 1.0):
        return True
    return not encodes and bool(config.min_length or config.no_repeat_ngram_size)


def _settings(readout: Generation) -> dict[str, Any]:
    # The checkpoint's own max_length would be told of as a conflict.
    fixed: dict[str, Any] = {"max_new_tokens": readout.max_new_tokens, "max_length": None}
    # One text a row, as ids alone, whatever the checkpoint says.
    fixed |= {"num_return_sequences": 1, "return_dict_in_generate": False}
    return {**readout.settings, "do_sample": readout.sample, **fixed}


def _own_strings(config: Any) -> tuple[str, ...]:
    """The checkpoint's stop strings, taken out of its config: `generate` wants a tokenizer."""
    found, config.stop_strings = config.stop_strings or (), None
    return (found,) if isinstance(found, str) else tuple(found)


def _sampled(
    seeds: torch.Tensor, scores: torch.Tensor, rows: torch.Tensor, step: int
) -> torch.Tensor:
    return drawn(scores, seeds[rows], step)


def _taken(inputs: Tensors, lengths: torch.Tensor, model: Model) -> dict[str, torch.Tensor]:
    taken = {name: values for name, values in inputs.items() if name in model.accepts}
    if model.module.config.is_encoder_decoder or "input_ids" not in taken:
        return taken
    width = taken["input_ids"].shape[1]
    index = (torch.arange(width) + lengths[:, None]) % width
    index = index.to(taken["input_ids"].device)
    return {
        name: values.gather(1, index) if values.shape == index.shape else values
        for name, values in taken.items()
    }


def _start(model: Model, taken: Tensors) -> int:
    """Columns of what `generate` returns that nobody has written."""
    if model.module.config.is_encoder_decoder:
        return taken["decoder_input_ids"].shape[1] if "decoder_input_ids" in taken else 1
    return taken["input_ids"].shape[1]


def _answer(ids: torch.Tensor, start: int, config: Any, ends: torch.Tensor | None) -> Read:
    """The new tokens of each row up to its end, which is before its first token of the end."""
    new = ids[:, start:]
    width = new.shape[1]
    ending = _is_end(new, config.eos_token_id)
    columns = torch.arange(width, device=new.device)
    ended = (
        torch.where(ending, columns, width).amin(dim=1) if width else columns.new_zeros(len(new))
    )
    lengths = ended if ends is None else torch.minimum(ended, ends - start)
    cut = (ended == width) & (lengths >= config.max_new_tokens)
    kept = columns < lengths[:, None]
    return {"ids": Pieces(new[kept], lengths.cpu()), "finish": torch.where(cut, _LENGTH, _STOP)}


def _is_end(ids: torch.Tensor, eos_token_id: int | list[int] | None) -> torch.Tensor:
    if eos_token_id is None:
        return torch.zeros_like(ids, dtype=torch.bool)
    return torch.isin(ids, torch.as_tensor(eos_token_id, device=ids.device))


class _StopStrings(StoppingCriteria):
    """Ends a row once its new text holds one of the strings; text of the prompt never counts.

    Only the last tokens are looked at, as many as the longest string has bytes and a few more.
    Where that misses one, the text is longer than it need be, and the task cuts it all the same.
    """

    def __init__(self, strings: tuple[str, ...], tokenizer: Any, start: int) -> None:
        self._strings = strings
        self._tokenizer = tokenizer
        self._start = start
        self._reach = max(len(string.encode()) for string in strings) + _SPARE

    @override
    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        del scores, kwargs
        tails = input_ids[:, self._start :][:, -self._reach :].tolist()
        found = [self._found(tail) for tail in tails]
        return torch.tensor(found, dtype=torch.bool, device=input_ids.device)

    def _found(self, ids: list[int]) -> bool:
        text = self._tokenizer.decode(ids, skip_special_tokens=False)
        return any(string in text for string in self._strings)
