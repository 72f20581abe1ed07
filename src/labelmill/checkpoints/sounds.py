"""Sounds: what a task must know of a model that hears samples (wav2vec2 and its family).

Such a model makes a frame of some hundred samples by a stack of convolutions without padding; what
their kernels and strides say is all there is to it.
"""

from typing import Any

from labelmill.batch import SoundFacts

# With layer norm the convolutions see one frame at a time, and padding can be masked after them.
# Group norm is taken over the whole sound, its padding too: such models were trained without a
# mask (transformers says so at Wav2Vec2FeatureExtractor). What padding reaches besides: data2vec's
# positions, the convolutions of Conformer, an adapter. Of these families it is proved in tests.
_MASKABLE = frozenset(
    {
        "hubert",
        "unispeech",
        "unispeech-sat",
        "wav2vec2",
        "wavlm",
    }
)


def sound_facts(config: Any) -> SoundFacts | None:
    """None where the config has no convolutions over samples."""
    kernels, strides = getattr(config, "conv_kernel", None), getattr(config, "conv_stride", None)
    stride = getattr(config, "inputs_to_logits_ratio", None)
    if stride is None or not isinstance(kernels, list | tuple):
        return None
    frames = getattr(config, "squeeze_factor", 1)  # SEW makes one of so many
    return SoundFacts(
        stride=int(stride),
        shortest=_samples(kernels, strides, frames),
        maskable=config.model_type in _MASKABLE
        and config.feat_extract_norm == "layer"
        and not getattr(config, "add_adapter", False),
        span=_samples(kernels, strides, getattr(config, "mask_time_length", 1)),
        frames=_frames(config),
    )


def _frames(config: Any) -> int:
    """Frames of which an adapter behind the encoder makes one."""
    if not getattr(config, "add_adapter", False):
        return 1
    return int(config.adapter_stride**config.num_adapter_layers)


def _samples(kernels: Any, strides: Any, frames: int) -> int:
    """Samples that make so many frames."""
    for kernel, stride in reversed(list(zip(kernels, strides, strict=True))):
        frames = (frames - 1) * stride + kernel
    return frames
