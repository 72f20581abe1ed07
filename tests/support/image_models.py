"""Tiny models that see, with real image processors; pictures; a job over them in one process."""

import functools
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import transformers
from PIL import Image

from labelmill import checkpoints
from labelmill.batch import ModelFacts
from labelmill.batching import microbatches, outputs_in_order
from labelmill.engines import Engine, pytorch
from tests.support.models import processor_of

SIDE = 32
_SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
_SQUARE = {"size": {"height": SIDE, "width": SIDE}}
_CROPPED = {"size": {"shortest_edge": SIDE + 8}, "crop_size": {"height": SIDE, "width": SIDE}}

# Config class, its settings, image processor class, its settings.
CLASSIFIERS: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "vit": (
        "ViTConfig",
        {**_SMALL, "image_size": SIDE, "patch_size": 8},
        "ViTImageProcessor",
        _SQUARE,
    ),
    "swin": (
        "SwinConfig",
        {
            "image_size": SIDE,
            "patch_size": 4,
            "embed_dim": 16,
            "depths": [1, 1],
            "num_heads": [2, 2],
            "window_size": 4,
        },
        "ViTImageProcessor",
        _SQUARE,
    ),
    "dinov2": (
        "Dinov2Config",
        {**_SMALL, "image_size": SIDE, "patch_size": 8, "mlp_ratio": 2},
        "BitImageProcessor",
        _CROPPED,
    ),
    "convnext": (
        "ConvNextConfig",
        {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "image_size": SIDE},
        "ConvNextImageProcessor",
        {"size": {"shortest_edge": SIDE}, "crop_pct": 0.875},
    ),
    "mobilenet_v1": (
        "MobileNetV1Config",
        {"depth_multiplier": 0.25, "min_depth": 8, "image_size": SIDE},
        "MobileNetV1ImageProcessor",
        _CROPPED,
    ),
    "mobilenet_v2": (
        "MobileNetV2Config",
        {"depth_multiplier": 0.25, "min_depth": 8, "depth_divisible_by": 8, "image_size": SIDE},
        "MobileNetV2ImageProcessor",
        _CROPPED,
    ),
}

_TEXT = {**_SMALL, "max_position_embeddings": 64}
_WORDPIECE = {"eos_token_id": 3, "bos_token_id": 2, "pad_token_id": 0}
_UNIGRAM = {"eos_token_id": 2, "bos_token_id": 0, "pad_token_id": 1}
_VISION = {**_SMALL, "image_size": SIDE, "patch_size": 8}

# Family, tokenizer of the architecture, settings of its text tower, processor class, padding.
TWO_TOWERS: dict[str, tuple[str, str, dict[str, Any], str, dict[str, Any]]] = {
    "clip": ("CLIP", "bert", _WORDPIECE, "CLIPProcessor", {"padding": True}),
    "metaclip_2": ("MetaClip2", "bert", _WORDPIECE, "CLIPProcessor", {"padding": True}),
    "chinese_clip": (
        "ChineseCLIP",
        "bert",
        {"pad_token_id": 0},
        "ChineseCLIPProcessor",
        {"padding": True},
    ),
    "siglip": ("Siglip", "xlm-roberta", _UNIGRAM, "SiglipProcessor", {"padding": "max_length"}),
    "siglip2": ("Siglip2", "xlm-roberta", _UNIGRAM, "Siglip2Processor", {"padding": "max_length"}),
}


def tiny_image_classifier(
    directory: Path, architecture: str = "vit", labels: int = 3, problem_type: str | None = None
) -> str:
    """A checkpoint for image-classification in `directory`; its path."""
    config_name, changes, processor_name, settings = CLASSIFIERS[architecture]
    names = [f"label {chr(97 + number)}" for number in range(labels)]
    config = getattr(transformers, config_name)(
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
        problem_type=problem_type,
        **changes,
    )
    torch.manual_seed(0)
    model = transformers.AutoModelForImageClassification.from_config(config)
    _enlarge(model)
    model.save_pretrained(directory)
    _image_processor(processor_name, settings).save_pretrained(directory)
    return str(directory)


def tiny_two_towers(directory: Path, architecture: str = "clip") -> str:
    """A checkpoint for zero-shot-image-classification in `directory`; its path."""
    family, words, settings, processor_name, _ = TWO_TOWERS[architecture]
    tokenizer = processor_of(words)
    if architecture == "siglip":  # as its checkpoints on the hub say: padding is seen
        tokenizer.model_input_names = ["input_ids"]
    vision = {**_VISION, "num_patches": 16} if architecture == "siglip2" else _VISION
    config = getattr(transformers, f"{family}Config")(
        text_config={**_TEXT, "vocab_size": len(tokenizer), **settings},
        vision_config=vision,
        **({} if architecture.startswith("siglip") else {"projection_dim": 24}),
    )
    torch.manual_seed(0)
    model = transformers.AutoModelForZeroShotImageClassification.from_config(config)
    _enlarge(model)
    model.save_pretrained(directory)
    square = {"patch_size": 8, "max_num_patches": 16} if architecture == "siglip2" else _SQUARE
    if architecture not in ("siglip", "siglip2"):
        square = _CROPPED
    name = {"MetaClip2": "CLIP"}.get(family, family) + "ImageProcessor"
    pixels = _image_processor(name, square)
    getattr(transformers, processor_name)(pixels, tokenizer).save_pretrained(directory)
    return str(directory)


def picture(seed: int, width: int = 48, height: int = 40, mode: str = "RGB") -> Image.Image:
    """Large spots of colour: what is left of noise after resizing is gray."""
    spots = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(spots).resize((width, height), Image.Resampling.NEAREST).convert(mode)


def encoded_as(image: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:
    """The bytes of a picture file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def pictures() -> list[bytes]:
    """Files of many formats, modes and sizes."""
    return [
        encoded_as(picture(1)),
        encoded_as(picture(2, 200, 31), "JPEG"),
        encoded_as(picture(3, 20, 300, "L")),
        encoded_as(picture(4, mode="RGBA")),
        encoded_as(picture(5, mode="P"), "GIF"),
        encoded_as(picture(6, mode="CMYK"), "JPEG"),
        encoded_as(picture(7, mode="1"), "TIFF"),
        encoded_as(picture(8), "WEBP", lossless=True),
        encoded_as(picture(9, mode="LA")),
        encoded_as(picture(10, 1, 1), "BMP"),
        encoded_as(turned(picture(11, 60, 30), 6), "JPEG", exif=orientation(6)),
        encoded_as(picture(1)),
    ]


def orientation(value: int) -> Image.Exif:
    """EXIF with that orientation and nothing else."""
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def turned(image: Image.Image, value: int) -> Image.Image:
    """The picture as a camera held so would store it."""
    return image.rotate({1: 0, 3: 180, 6: 90, 8: 270}[value], expand=True)


def column(files: Sequence[bytes]) -> pa.ChunkedArray:
    """As the stages hand media to a task."""
    return pa.chunked_array([pa.array(files, pa.large_binary())])


@functools.lru_cache(maxsize=4)
def _opened(path: str, kind: str) -> tuple[ModelFacts, Any, Any]:
    checkpoint = checkpoints.resolve(path, None, trust_remote_code=False, allow_pickle=False)
    return checkpoints.facts(checkpoint, kind), checkpoints.processor(checkpoint, kind), checkpoint


def opened(path: str, task: Any) -> tuple[ModelFacts, Any]:
    """Facts and processor of a local checkpoint."""
    return _opened(path, task.processor)[:2]


def engine_of(path: str, task: Any, options: Any) -> Engine:
    """Its engine, in float32."""
    facts, processor, checkpoint = _opened(path, task.processor)
    readout = task.readout(processor, facts, options)
    return pytorch.load(
        checkpoint, task.auto_class, readout, precision="float32", device="cpu", threads=1
    )


def label_images(
    path: str, task: Any, files: Sequence[bytes], options: Any, budget: int = 2048
) -> pa.Table:
    """The columns that the task adds."""
    facts, processor = opened(path, task)
    fields = {"image": column(files)}
    encoded = task.encode(fields, processor, facts, options)
    engine = engine_of(path, task, options)
    batches = microbatches(encoded, budget, facts.pad_token_id)
    pieces = [(batch.sequences, engine.forward(batch)) for batch in batches]
    outputs = outputs_in_order(pieces, len(encoded))
    return task.decode(outputs, encoded, fields, processor, facts, options)


def seen_by_transformers(data: bytes) -> Image.Image:
    """The picture as transformers' pipelines load it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a palette's transparency
        return transformers.image_utils.load_image(Image.open(io.BytesIO(data)))


def _image_processor(name: str, settings: dict[str, Any]) -> Any:
    return getattr(transformers, f"{name}Pil")(**settings)


def _enlarge(model: torch.nn.Module) -> None:
    """As initialized, every picture gets nearly the same scores."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "position" not in name:
                deviation = 1.5 / parameter[0].numel() ** 0.5
                parameter.mul_(deviation / parameter.std().clamp(min=1e-6))
            if name == "logit_scale":
                parameter.fill_(2.5)
            if name == "logit_bias":
                parameter.fill_(-3.0)
