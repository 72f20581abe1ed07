"""Pixels: a column of picture files through an image processor, as the inputs of a model.

The processor is transformers' and a black box: it gets one RGB picture and gives arrays of one
shape. They are written where they belong in one array for all pictures, so that the pixels of a
split are in memory once. What a picture costs is counted in patches of 16 x 16 pixels.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from labelmill.batch import Array, Encoded
from labelmill.errors import ModelError
from labelmill.ops import images, shades

_PATCH = 3 * 16 * 16  # numbers in a patch
_PIXELS = "pixel_values"
_UNLIKE = ((640, 480), (300, 500))  # width and height of pictures, on their sides and upright

Processor = Callable[..., Mapping[str, Any]]


def encoded(column: pa.ChunkedArray, processor: Processor, max_pixels: int) -> Encoded:
    """Fixed inputs of every picture that can be read, e.g. "pixel_values"; the others in `errors`.

    `column` is large_binary without nulls. Raises ModelError where the processor gives pictures of
    unequal shapes, or refuses any.
    """
    stack = _Stack(len(column))
    prepare = _Preparation(processor, max_pixels)
    rows: list[int] = []
    errors: dict[int, str] = {}
    for row, cell in enumerate(column):
        try:
            stack.add(prepare(memoryview(cell.as_buffer())))
            rows.append(row)
        except images.Unreadable as error:
            errors[row] = str(error)
    return Encoded(
        rows=np.array(rows, np.int32),
        lengths=np.full(len(rows), stack.patches, np.int32),
        fixed=stack.arrays(),
        errors=errors,
    )


def shape_of(processor: Processor) -> tuple[int, ...] | None:
    """[channels, height, width] of any picture once it is prepared, tried on two that are unlike.

    None where that depends on the picture, or the model is given more than its pixels.
    """
    shapes: set[tuple[int, ...]] = set()
    for size in _UNLIKE:
        try:
            made = processor(images=images.pillow().new("RGB", size), return_tensors="np")
        except ValueError:
            return None
        if set(made) != {_PIXELS}:
            return None
        shapes.add(np.asarray(made[_PIXELS]).shape[1:])
    return shapes.pop() if len(shapes) == 1 else None


class _Preparation:
    """A picture file to the processor's arrays for it, without the axis of the batch."""

    def __init__(self, processor: Processor, max_pixels: int) -> None:
        self._processor = processor
        self._max_pixels = max_pixels
        self._process: shades.Process | None = None

    def __call__(self, data: memoryview) -> dict[str, Array]:
        """Raises Unreadable, and ModelError for a processor that takes no picture at all."""
        picture = images.decode(data, self._max_pixels)
        _refuse_strip(picture.width, picture.height, self._processor, self._max_pixels)
        try:
            if self._process is None:
                self._process = shades.processing(self._processor, picture)
            inputs = self._process(picture)
        except ValueError as error:
            _refuse_useless(self._processor)
            raise images.Unreadable(
                f"the image processor refuses {picture.width} x {picture.height} pixels: {error}"
            ) from error
        return {name: _one(np.asarray(values)) for name, values in inputs.items()}


def _refuse_useless(processor: Processor) -> None:
    """Raise ModelError where a plain picture is refused too: then it is not the pictures."""
    try:
        processor(images=images.pillow().new("RGB", _UNLIKE[0]), return_tensors="np")
    except ValueError as error:
        raise ModelError(
            f"the model's image processor takes no picture: {error}; correct "
            "preprocessor_config.json"
        ) from error


def _one(values: Array) -> Array:
    """Numbers that are no integers as float32, as models take them."""
    kind = np.float32 if values.dtype.kind == "f" else values.dtype
    single: Array = values[0].astype(kind, copy=False)
    return single


def _refuse_strip(width: int, height: int, processor: Any, max_pixels: int) -> None:
    """A long strip is small until its short side is resized to that of the model."""
    short, long = sorted((width, height))
    settings = getattr(processor, "image_processor", processor)
    size = getattr(settings, "size", None) if getattr(settings, "do_resize", True) else None
    edge = getattr(size, "shortest_edge", None)
    if edge is None or getattr(size, "longest_edge", None) is not None:
        return
    resized = edge * (edge * long // short)
    if resized > max_pixels:
        raise images.Unreadable(
            f"the image of {width} x {height} pixels has {resized} once its shorter side is "
            f"resized to {edge}, more than options.max_pixels ({max_pixels})"
        )


class _Stack:
    """Arrays of one shape, one after another in one array a name."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._filled = 0
        self._arrays: dict[str, Array] = {}

    @property
    def patches(self) -> int:
        """What one picture costs; 0 without any."""
        if not self._arrays:
            return 0
        numbers = int(np.prod(self._arrays[_PIXELS].shape[1:]))
        return max(1, -(-numbers // _PATCH))

    def add(self, inputs: Mapping[str, Array]) -> None:
        if not self._arrays:
            self._arrays = {
                name: np.empty((self._room, *values.shape), values.dtype)
                for name, values in inputs.items()
            }
        for name, values in inputs.items():
            whole = self._arrays[name]
            if values.shape != whole.shape[1:]:
                raise ModelError(
                    f"the model's image processor makes {name!r} of shape {whole.shape[1:]!r} of "
                    f"one image and {values.shape!r} of another, expected one shape; set a fixed "
                    "height and width as its size, or do_center_crop, in preprocessor_config.json"
                )
            whole[self._filled] = values
        self._filled += 1

    def arrays(self) -> dict[str, Array]:
        return {name: values[: self._filled] for name, values in self._arrays.items()}
