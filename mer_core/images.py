"""Reading and writing image files, with distrust of what lies on disk."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from mer_core.errors import UserError
from mer_core.job import awaits_fetching, cannot_read, publish

FORMATS = ("JPEG", "PNG", "BMP", "TIFF")
MAX_PIXELS = 50_000_000
MAX_EDGE = 30_000  # OpenCV's warps end at 32,767; Pillow needs 30 bytes for a row of one pixel
WIDE = 16  # bits of a channel beyond the common eight
_BITS_PER_SAMPLE = ExifTags.Base.BitsPerSample
_PHOTOMETRIC, _WHITE_IS_ZERO = ExifTags.Base.PhotometricInterpretation, 0
MAX_BYTES = 8 * MAX_PIXELS  # of a file; Pillow reads what stands beside the pixels into memory


def read_image(path: str | os.PathLike[str], bit_depth: int | None = None) -> np.ndarray:
    """Decode an image file completely.

    Turned as its EXIF orientation says, where it can be read. Gray, palette and CMYK become RGB; what is
    transparent is laid over black, but for a BMP whose alpha is 0 everywhere, which means that it is not
    used. Wider channels keep the upper eight of their bits, whatever the brightest pixel: one rule for all
    frames of a clip.

    Args:
        path: the file.
        bit_depth: how many bits the camera wrote into channels wider than eight; None: as many as the file
            declares. Files of eight bits are read the same whatever it says.

    Returns:
        uint8 array of shape (H, W, 3), RGB.

    Raises:
        UserError: the file is missing, empty, truncated, of another format, holds several images or numbers
            without a range of their own (floats, 32 bits), values beyond `bit_depth`, or is larger than
            `MAX_PIXELS`, `MAX_EDGE` or `MAX_BYTES`. The size is taken from the header, before anything is
            decoded.
    """
    with _opened(path) as image, _decoding(path):
        return _decoded(path, image, bit_depth)


def check_header(path: str | os.PathLike[str]) -> None:
    """Raise a `UserError` as `read_image`, but for damage behind the header."""
    with _opened(path):
        pass


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Width and height in pixels of what `read_image` returns, by the header and what it notes of turning.

    Raises:
        UserError: as `read_image`, but for some damage behind the header.
    """
    with _opened(path) as image, _decoding(path):
        width, height = image.size
        if image.format == "PNG":  # which may note its orientation behind the pixels
            image.load()
        # Pillow tells the size of a turned TIFF as it is shown, of other formats as it is stored.
        turned = image.format != "TIFF" and _orientation(image) in range(5, 9)
        return (height, width) if turned else (width, height)


def largest_value(path: str | os.PathLike[str]) -> int | None:
    """The largest value in an image file that declares 16 bits a channel; None of every other file.

    Of colours it is exact to 255. Raises as `read_image`.
    """
    with _opened(path) as image, _decoding(path):
        if _depth(image) != WIDE:
            return None
        pixels = (
            np.asarray(image) if image.mode.startswith("I;16") else 256 * np.asarray(image, np.uint16) + 255
        )
        return int(pixels[:, :, :3].max() if pixels.ndim == 3 else pixels.max())


def is_wide_gray(path: str | os.PathLike[str]) -> bool:
    """Whether an image file holds gray of more than eight bits, which alone has a `bit_depth`.

    Raises as `image_size`.
    """
    with _opened(path) as image:
        return image.mode.startswith("I;16")


def depth_of(cell: Any) -> int | None:
    """`bit_depth` as it stands in a manifest."""
    return None if pd.isna(cell) else int(cell)


def write_image(path: str | os.PathLike[str], pixels: np.ndarray) -> None:
    """Publish a JPEG or PNG file, by the suffix of `path`.

    Args:
        path: ends in .jpg or .png.
        pixels: uint8 (H, W), (H, W, 1) or (H, W, 3) RGB.
    """
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    options = {"quality": 95, "subsampling": 0} if Path(path).suffix.lower() == ".jpg" else {}
    with publish(path) as temporary:
        Image.fromarray(pixels).save(temporary, **options)


def _depth(image: Image.Image) -> int:
    """Bits per channel, as an opened file declares them; 8 of everything but gray and colours of more."""
    if image.mode.startswith("I;16") and hasattr(image, "tag_v2"):
        return image.tag_v2[_BITS_PER_SAMPLE][0]
    return WIDE if ";16" in str(image.tile) else 8


def _orientation(image: Image.Image) -> int:
    """How a camera noted that it was held; 1 where that is damaged, which costs no pixel."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged notes raise nearly anything here
        return 1


def _decoded(path: str | os.PathLike[str], image: Image.Image, bit_depth: int | None) -> np.ndarray:
    declared = _depth(image)
    tags = getattr(image, "tag_v2", {})
    if image.format == "TIFF" and getattr(image, "n_frames", 1) > 1:
        raise UserError(f"{path}: holds {image.n_frames} images; save each frame as a file of its own")
    image.load()
    if _orientation(image) != 1:
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16"):
        values, most = np.asarray(image), 2 ** (bit_depth or declared) - 1
        if values.max() > most:
            raise UserError(
                f"{path}: holds the value {values.max()}, where bit_depth: {bit_depth} ends at {most}; "
                "mend that key, or remove it to go by what the file declares"
            )
        gray = np.rint(values * (255.0 / most)).astype(np.uint8)
        if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # which Pillow heeds up to eight bits
            gray = 255 - gray
        gray[values == image.info.get("transparency", -1)] = 0
        return np.repeat(gray[:, :, None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise UserError(
            f"{path}: holds signed numbers or 32 bits, of unknown range; save it with 8 or 16 bits"
        )
    if declared == WIDE and bit_depth not in (None, WIDE):
        raise UserError(
            f"{path}: has colours of 16 bits, of which bit_depth: {bit_depth} cannot be taken; "
            "save it with 8 bits"
        )
    if image.has_transparency_data:
        pixels = np.asarray(image.convert("RGBA"), np.uint16)
        if image.format == "BMP" and not pixels[:, :, 3].any():  # a byte that its writer did not use
            return pixels[:, :, :3].astype(np.uint8)
        return ((pixels[:, :, :3] * pixels[:, :, 3:] + 127) // 255).astype(np.uint8)
    return np.array(image.convert("RGB"))


@contextmanager
def _decoding(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except (MemoryError, UserError):
        raise
    except Exception as error:  # damaged files raise nearly anything here
        if isinstance(error, OSError) and error.errno:
            raise cannot_read(path, error) from None
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: damaged image ({reason}); copy it again from the source") from None


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    with ExitStack() as stack:
        try:
            if Path(path).stat().st_size > MAX_BYTES:
                raise UserError(
                    f"{path}: more than {MAX_BYTES:,} bytes; no frame is as large, move it elsewhere"
                )
            # Opened here: a file that Pillow opens it maps into memory, and turns a gray TIFF twice.
            file = stack.enter_context(Path(path).open("rb"))
            if problem := awaits_fetching(file.read(100)):
                raise UserError(f"{path}: {problem}")
            with warnings.catch_warnings():
                # Pillow's own limit is replaced by ours, which is checked below.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                image = stack.enter_context(Image.open(file, formats=FORMATS))
        except FileNotFoundError:
            raise UserError(f"{path}: no such image; check the dataset's folder") from None
        except Image.DecompressionBombError:
            raise UserError(
                f"{path}: more than {MAX_PIXELS:,} pixels; no frame is as large, move it elsewhere"
            ) from None
        except UnidentifiedImageError:
            raise UserError(
                f"{path}: not a {', '.join(FORMATS)} image of 8 or 16 bits; replace or convert the file"
            ) from None
        except (OSError, SyntaxError, ValueError) as error:
            if isinstance(error, OSError) and error.errno:
                raise cannot_read(path, error) from None
            raise UserError(f"{path}: cannot be read as an image ({error}); replace the file") from None
        width, height = image.size
        if width * height > MAX_PIXELS or max(width, height) > MAX_EDGE:
            raise UserError(
                f"{path}: {width} x {height} pixels; more than {MAX_PIXELS:,}, or than {MAX_EDGE:,} along an "
                "edge: no frame is as large, move it elsewhere"
            )
        yield image
