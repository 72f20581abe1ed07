"""Shades looked up, against the processor's own numbers, to the bit."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import transformers
from PIL import Image

from labelmill.ops import shades


def noise(height: int, width: int) -> Image.Image:
    random = np.random.default_rng(height)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


class Counting:
    """A processor that counts how often it rescales."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.rescaled = 0

    def __call__(self, **given: Any) -> Mapping[str, Any]:
        self.rescaled += given.get("do_rescale", True)
        found: Mapping[str, Any] = self._inner(**given)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def pil(name: str, **settings: Any) -> Counting:
    return Counting(getattr(transformers, f"{name}ImageProcessorPil")(**settings))


QUICK: list[Callable[[], Counting]] = [
    functools.partial(pil, "ViT", size={"height": 32, "width": 40}),
    functools.partial(
        pil, "CLIP", size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ),
    functools.partial(pil, "ConvNext", size={"shortest_edge": 32}, crop_pct=0.9),
    functools.partial(pil, "Siglip", size={"height": 24, "width": 24}, image_std=[0.1, 0.2, 0.3]),
]


@pytest.mark.parametrize("made", QUICK)
def test_processing_is_the_same_to_the_bit_and_rescales_no_more(made: Callable[[], Counting]):
    quick, plain = made(), made()
    process = shades.processing(quick, noise(50, 70))
    tried = quick.rescaled

    for picture in (noise(50, 70), noise(33, 200), noise(8, 9)):
        found = process(picture)["pixel_values"]
        expected = plain(images=picture, return_tensors="np")["pixel_values"]
        assert found.dtype == np.float32
        assert np.array_equal(found, expected.astype(np.float32))
    assert quick.rescaled == tried


@pytest.mark.parametrize(
    "settings", [{"do_rescale": False}, {"do_normalize": False}, {"do_pad": True}]
)
def test_processing_leaves_other_processors_alone(settings: dict[str, bool]):
    processor = pil("ViT", size={"height": 16, "width": 16})
    for name, value in settings.items():
        setattr(processor._inner, name, value)
    process = shades.processing(processor, noise(20, 20))
    before = processor.rescaled

    found = process(noise(30, 20))["pixel_values"]

    expected = processor._inner(images=noise(30, 20), return_tensors="np")["pixel_values"]
    assert np.array_equal(found, expected)
    assert processor.rescaled == before + 1


class Framed:
    """Puts a frame of zeros around what it has normalized: no table of shades says so."""

    do_rescale = do_normalize = True

    def __call__(
        self, images: Image.Image, return_tensors: str, **steps: bool
    ) -> dict[str, np.ndarray[Any, Any]]:
        assert return_tensors == "np"
        pixels = np.moveaxis(np.asarray(images), -1, 0)[np.newaxis]
        if steps.get("do_rescale", True):
            pixels = (pixels / 255).astype(np.float32) - 0.5
        return {"pixel_values": np.pad(pixels, ((0, 0), (0, 0), (1, 1), (1, 1)))}


def test_processing_finds_out_on_the_first_picture():
    process = shades.processing(Framed(), noise(20, 20))

    assert process(noise(30, 20))["pixel_values"][0, 0, 0, 0] == 0


def test_look_up_takes_each_channel_from_its_own_row():
    table = np.arange(3 * 256, dtype=np.float32).reshape(3, 256)

    found = shades.look_up(table, np.array([[[0, 255]], [[1, 2]], [[3, 4]]], np.uint8))

    assert found.tolist() == [[[0, 255]], [[257, 258]], [[515, 516]]]
