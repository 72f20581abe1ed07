"""Images: the bytes of a picture file to upright RGB pixels, or the reason why not.

Decoding is Pillow's. An image comes out as transformers' pipelines see it: its first frame, turned
as its EXIF orientation says, without transparency, in RGB. Where that would lose the picture (gray
of 16 bits comes out white) its high bytes are kept instead. Every failure is `Unreadable`, its
message the same for the same bytes. It knows no column and no model.
"""

import contextlib
import functools
import importlib
import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from labelmill.errors import ConfigError

if TYPE_CHECKING:  # the extra `vision`; and tasks are imported for --help
    from PIL import Image

MAX_PIXELS = 89_478_485  # Pillow's own: a quarter of a GiB as RGB

# What Pillow's decoders raise on damaged files (found by damaging files of every format).
_DAMAGE = (
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    ZeroDivisionError,
    struct.error,
    zlib.error,
)
_UNSAFE = ("EPS",)  # Pillow starts Ghostscript, which runs the file as a program
_ORIENTATION = 0x0112  # the tag of EXIF
_BYTES, _WORDS = 2**8, 2**16


class Unreadable(ValueError):  # noqa: N818 - the verdict on a picture, not a fault of ours
    """The bytes are not a picture that can be used; the message is a reject's reason."""


@functools.cache
def pillow() -> Any:
    """The module PIL.Image; raises ConfigError where Pillow is not installed."""
    try:
        return importlib.import_module("PIL.Image")
    except ImportError as error:
        raise ConfigError(
            "this task reads images, for which Pillow is needed and not installed; run "
            "pip install 'labelmill[vision]' on every node"
        ) from error


def decode(data: bytes | memoryview, max_pixels: int = MAX_PIXELS) -> "Image.Image":
    """The picture, upright, in mode RGB; raises Unreadable.

    The header's size is compared with `max_pixels` before anything is decoded. An EXIF block that
    cannot be read turns nothing: its picture may be whole. Not for two threads at once: Pillow
    keeps its limit in a global.
    """
    if not len(data):
        raise Unreadable("the image has no bytes")
    image = pillow()
    with _limited(max_pixels):
        try:
            picture = image.open(io.BytesIO(data), formats=_formats())
            picture.load()
            return _upright(picture, _orientation(picture))
        except image.UnidentifiedImageError as error:  # its own message holds an address in memory
            raise Unreadable("not an image of a known format") from error
        except Unreadable:
            raise
        except _DAMAGE as error:
            raise Unreadable(f"the image cannot be decoded: {_said(error)}") from error


@contextlib.contextmanager
def _limited(max_pixels: int) -> Iterator[None]:
    """Pillow refuses larger images, nested ones too, and says nothing about small oddities."""
    image = pillow()
    before = image.MAX_IMAGE_PIXELS
    image.MAX_IMAGE_PIXELS = max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", image.DecompressionBombWarning)
            yield
    except (image.DecompressionBombWarning, image.DecompressionBombError) as error:
        # Pillow's message names the size first, then its limit or twice that.
        found = re.search(r"\d+", str(error))
        pixels = found.group() if found else "too many"
        raise Unreadable(
            f"the image has {pixels} pixels, more than options.max_pixels ({max_pixels})"
        ) from error
    finally:
        image.MAX_IMAGE_PIXELS = before


def _formats() -> tuple[str, ...]:
    pillow().init()
    return tuple(name for name in pillow().ID if name not in _UNSAFE)


def _orientation(picture: "Image.Image") -> int:
    """1 to 8 as EXIF numbers them; 1 is upright."""
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except _DAMAGE:
        return 1
    return value if isinstance(value, int) else 1


def _upright(picture: "Image.Image", orientation: int) -> "Image.Image":
    turn = pillow().Transpose
    turns = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_270,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_90,
    }
    plain = _rgb(picture)
    return plain.transpose(turns[orientation]) if orientation in turns else plain


def _rgb(picture: "Image.Image") -> "Image.Image":
    """Mode RGB; raises Unreadable for pixels without a known white."""
    if picture.mode.startswith("I"):
        picture = pillow().fromarray(_shades(picture))
    if picture.mode == "F":
        raise Unreadable("the image has pixels of floating point, expected 8 or 16 bits")
    return picture.convert("RGB")


def _shades(picture: "Image.Image") -> npt.NDArray[np.uint8]:
    """The high bytes of 16 bits; numbers that may be larger and are not are shades as they are."""
    values = np.asarray(picture)
    least, most = values.min(initial=0), values.max(initial=0)
    if least < 0 or most >= _WORDS:
        raise Unreadable("the image has pixels of 32 bits, expected 8 or 16")
    # Of 32 bits nobody says which number is white; those of portable maps are spread over 16.
    wide = picture.mode == "I" and picture.format != "PPM"
    kept = values if wide and most < _BYTES else values >> 8
    shades: npt.NDArray[np.uint8] = kept.astype(np.uint8)
    return shades


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
