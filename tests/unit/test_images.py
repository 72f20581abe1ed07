"""Pictures of every mode and turn, by hand; and what is refused."""

import io
import os
import random
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from labelmill.ops import images
from tests.support.image_models import encoded_as, orientation, picture, seen_by_transformers

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def pixels(data: bytes, max_pixels: int = images.MAX_PIXELS) -> list[list[tuple[int, ...]]]:
    """Rows of (red, green, blue)."""
    image = images.decode(data, max_pixels)
    assert image.mode == "RGB"
    return [[tuple(map(int, pixel)) for pixel in row] for row in np.asarray(image)]


def dots(mode: str = "RGB") -> Image.Image:
    """Two rows: red green / blue white."""
    return Image.fromarray(np.array([[RED, GREEN], [BLUE, WHITE]], np.uint8)).convert(mode)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "TGA", "ICO", "QOI"])
def test_decode_lossless_formats_give_the_pixels(kind):
    settings = {"bitmap_format": "png"} if kind == "ICO" else {}
    assert pixels(encoded_as(dots(), kind, **settings)) == [[RED, GREEN], [BLUE, WHITE]]


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_decode_modes_with_the_same_colours_give_the_same_pixels(mode):
    assert pixels(encoded_as(dots(mode))) == [[RED, GREEN], [BLUE, WHITE]]


def test_decode_transparency_is_left_out_not_mixed():
    clear = Image.new("RGBA", (1, 1), (*RED, 0))
    assert pixels(encoded_as(clear)) == [[RED]]


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_decode_gray_is_spread_over_three_channels(mode):
    gray = Image.new("L", (2, 1), 255).convert(mode)
    assert pixels(encoded_as(gray)) == [[WHITE, WHITE]]


def test_decode_gray_of_16_bits_keeps_its_high_bytes():
    values = np.array([[0, 255, 256, 0x8001, 65535]], np.uint16)
    expected = [[(level,) * 3 for level in (0, 0, 1, 0x80, 255)]]
    for kind in ("PNG", "TIFF"):
        assert pixels(encoded_as(Image.fromarray(values), kind)) == expected
    portable = b"P5 5 1 65535\n" + values.astype(">u2").tobytes()
    assert pixels(portable) == expected


def test_decode_shades_in_numbers_of_32_bits_are_as_they_are():
    values = np.array([[0, 1, 128, 255]], np.int32)
    expected = [[(level,) * 3 for level in (0, 1, 128, 255)]]
    assert pixels(encoded_as(Image.fromarray(values), "TIFF")) == expected
    brighter = encoded_as(Image.fromarray(values * 256), "TIFF")
    assert pixels(brighter) == expected
    dark = b"P5 4 1 65535\n" + values.astype(">u2").tobytes()
    assert pixels(dark) == [[(0, 0, 0)] * 4]


@pytest.mark.parametrize(
    ("values", "reason"),
    [(np.full((1, 1), 70_000, np.int32), "32 bits"), (np.ones((1, 1), np.float32), "floating")],
)
def test_decode_pixels_without_a_known_white_are_refused(values, reason):
    with pytest.raises(images.Unreadable, match=reason):
        images.decode(encoded_as(Image.fromarray(values), "TIFF"))


def test_decode_cmyk_gives_what_transformers_sees():
    data = encoded_as(picture(1, mode="CMYK"), "JPEG")
    assert images.decode(data).tobytes() == seen_by_transformers(data).tobytes()


def test_decode_several_frames_gives_the_first():
    frames = [Image.new("RGB", (1, 1), colour) for colour in (RED, BLUE)]
    for kind in ("GIF", "TIFF", "PNG", "WEBP"):
        settings = {"lossless": True} if kind == "WEBP" else {}
        data = encoded_as(frames[0], kind, save_all=True, append_images=frames[1:], **settings)
        assert pixels(data) == [[RED]]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, [[RED, GREEN], [BLUE, WHITE]]),
        (2, [[GREEN, RED], [WHITE, BLUE]]),
        (3, [[WHITE, BLUE], [GREEN, RED]]),
        (4, [[BLUE, WHITE], [RED, GREEN]]),
        (5, [[RED, BLUE], [GREEN, WHITE]]),
        (6, [[BLUE, RED], [WHITE, GREEN]]),
        (7, [[WHITE, GREEN], [BLUE, RED]]),
        (8, [[GREEN, WHITE], [RED, BLUE]]),
        (9, [[RED, GREEN], [BLUE, WHITE]]),
    ],
)
def test_decode_turns_as_exif_says(value, expected):
    assert pixels(encoded_as(dots(), exif=orientation(value))) == expected


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("value", range(1, 9))
def test_decode_turned_pictures_equal_pillows_own_turning(kind, value):
    data = encoded_as(picture(3, 30, 20), kind, exif=orientation(value))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    found = images.decode(data)
    assert found.size == expected.size
    assert found.tobytes() == expected.tobytes()


def test_decode_exif_that_cannot_be_read_turns_nothing():
    broken = encoded_as(dots(), exif=b"Exif\x00\x00no header of TIFF")
    assert pixels(broken) == [[RED, GREEN], [BLUE, WHITE]]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the image has no bytes"),
        (b"<svg></svg>", "not an image of a known format"),
        (encoded_as(picture(1), "JPEG")[:-100], "the image cannot be decoded: .*truncated"),
        (encoded_as(picture(1))[:-40], "the image cannot be decoded: "),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n", "not an image of a known"),
    ],
)
def test_decode_what_is_no_whole_picture_is_refused_with_the_reason(data, reason):
    with pytest.raises(images.Unreadable, match=reason):
        images.decode(data)


def test_decode_equal_damage_is_refused_in_equal_words():
    reasons = set()
    for _ in range(2):
        with pytest.raises(images.Unreadable) as caught:
            images.decode(bytes(bytearray(b"no picture")))
        reasons.add(str(caught.value))
    assert reasons == {"not an image of a known format"}


def test_decode_damage_of_any_kind_is_unreadable_and_no_other_error():
    chance = random.Random(3)
    refused = 0
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "TGA", "ICO", "JPEG2000"):
        whole = encoded_as(picture(7), kind)
        for _ in range(60):
            data = bytearray(whole)
            for _ in range(chance.randint(1, 8)):
                data[chance.randrange(min(len(data), 400))] = chance.randrange(256)
            try:
                images.decode(bytes(data[: chance.choice([None, chance.randrange(len(data))])]))
            except images.Unreadable:
                refused += 1
    assert refused > 300


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises that size, and has nearly nothing behind it."""
    head = width.to_bytes(4) + height.to_bytes(4) + b"\x08\x02\x00\x00\x00"

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + name + data + zlib.crc32(name + data).to_bytes(4)

    body = chunk(b"IDAT", zlib.compress(b"\x00")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body


@pytest.mark.parametrize(("width", "height"), [(10_001, 10_000), (60_000, 60_000)])
def test_decode_a_bomb_is_refused_by_its_header_with_the_numbers(width, height):
    with pytest.raises(images.Unreadable) as caught:
        images.decode(bomb(width, height))
    assert str(caught.value) == (
        f"the image has {width * height} pixels, more than options.max_pixels (89478485)"
    )


def test_decode_the_limit_itself_is_taken_and_pillows_own_limit_stays():
    before = Image.MAX_IMAGE_PIXELS
    assert images.decode(encoded_as(picture(1, 30, 20)), 600).size == (30, 20)
    with pytest.raises(images.Unreadable, match=r"600 .*\(599\)"):
        images.decode(encoded_as(picture(1, 30, 20)), 599)
    assert before == Image.MAX_IMAGE_PIXELS


def test_decode_a_limit_above_pillows_own_holds():
    size = 12_000
    data = encoded_as(Image.new("1", (size, size)))
    assert images.decode(data, size * size).size == (size, size)


def test_decode_without_pillow_says_what_to_install():
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "from labelmill.ops import images\n"
        "from labelmill.errors import ConfigError\n"
        "try: images.decode(b'x')\n"
        "except ConfigError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert "pip install 'labelmill[vision]'" in done.stdout
