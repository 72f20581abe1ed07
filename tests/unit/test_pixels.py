"""A column of pictures into one array, with a processor whose answers are known by hand."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import transformers
from PIL import Image

from labelmill.errors import ModelError
from labelmill.ops import pixels
from tests.support.image_models import column, encoded_as

FILES = [encoded_as(Image.new("RGB", (width, 4), (width, 0, 0))) for width in (5, 6, 7)]


def first_red(images: Any, return_tensors: str) -> dict[str, Any]:
    """Each picture as 3 x 16 x 17 numbers of its first red, in float64, and its width."""
    assert return_tensors == "np"
    red = float(images.getpixel((0, 0))[0])
    return {"pixel_values": np.full((1, 3, 16, 17), red), "width": np.array([images.width])}


def strict(width: int) -> Callable[..., dict[str, Any]]:
    """A processor that refuses pictures of this width."""

    def process(images: Any, return_tensors: str) -> dict[str, Any]:
        if images.width == width:
            raise ValueError("too odd")
        return first_red(images, return_tensors)

    return process


def test_encoded_by_a_processor_that_takes_no_picture_is_refused():
    processor = transformers.ViTImageProcessorPil(image_mean=[0.5], image_std=[0.5])
    with pytest.raises(ModelError, match="takes no picture: mean must have 3 elements"):
        pixels.encoded(column(FILES), processor, 10**6)


def test_encoded_a_strip_that_is_not_resized_is_no_error():
    cropped = {"do_resize": False, "crop_size": {"height": 8, "width": 8}}
    processor = transformers.BitImageProcessorPil(**cropped)
    strip = encoded_as(Image.new("RGB", (2000, 1)))
    encoded = pixels.encoded(column([strip]), processor, 10**4)
    assert encoded.fixed["pixel_values"].shape == (1, 3, 8, 8)


def test_encoded_every_picture_is_in_its_row_as_the_processor_gave_it():
    encoded = pixels.encoded(column(FILES), first_red, 10**6)
    assert encoded.rows.tolist() == [0, 1, 2]
    assert encoded.fixed["pixel_values"].dtype == np.float32
    assert encoded.fixed["pixel_values"].shape == (3, 3, 16, 17)
    assert encoded.fixed["pixel_values"][:, 0, 0, 0].tolist() == [5, 6, 7]
    assert encoded.fixed["width"].tolist() == [5, 6, 7]
    assert encoded.lengths.tolist() == [2, 2, 2]  # 16 x 17 pixels are a patch and a bit
    assert not encoded.errors


def test_encoded_several_chunks_are_one_column():
    halves = column(FILES[:1]).chunks + column(FILES[1:]).chunks
    encoded = pixels.encoded(pa.chunked_array(halves), first_red, 10**6)
    assert encoded.fixed["width"].tolist() == [5, 6, 7]


def test_encoded_a_picture_that_the_processor_refuses_is_an_error_with_its_size():
    encoded = pixels.encoded(column(FILES), strict(6), 10**6)
    assert encoded.rows.tolist() == [0, 2]
    assert encoded.fixed["width"].tolist() == [5, 7]
    assert encoded.errors == {1: "the image processor refuses 6 x 4 pixels: too odd"}


def test_encoded_without_a_good_picture_has_no_sequence():
    encoded = pixels.encoded(column([b"", b"x"]), first_red, 10**6)
    assert len(encoded) == 0
    assert sorted(encoded.errors) == [0, 1]
    assert encoded.fixed == {}


def test_encoded_unequal_shapes_are_refused_with_both():
    def own_size(images: Any, return_tensors: str) -> dict[str, Any]:
        del return_tensors
        return {"pixel_values": np.zeros((1, 3, images.height, images.width))}

    with pytest.raises(ModelError, match=r"\(3, 4, 5\) of one image and \(3, 4, 6\) of another"):
        pixels.encoded(column(FILES), own_size, 10**6)


class Resizing(SimpleNamespace):
    """A processor that says how it resizes."""

    __call__ = staticmethod(first_red)


@pytest.mark.parametrize(
    ("size", "refused"),
    [
        ({"shortest_edge": 100}, True),  # 100 x 17500
        ({"shortest_edge": 10}, False),  # 10 x 1750
        ({"shortest_edge": 100, "longest_edge": 200}, False),
        ({"height": 100, "width": 100}, False),
    ],
)
def test_encoded_a_strip_counts_as_large_as_it_is_resized(size, refused):
    strip = encoded_as(Image.new("RGB", (700, 4)))
    processor = Resizing(size=SimpleNamespace(**size))
    encoded = pixels.encoded(column([strip]), processor, 100_000)
    assert (0 in encoded.errors) == refused
    whole = Resizing(image_processor=processor)  # as a processor of images and texts
    assert (0 in pixels.encoded(column([strip]), whole, 100_000).errors) == refused
