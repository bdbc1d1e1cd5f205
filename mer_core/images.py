"""Reading and writing image files, with distrust of what lies on disk."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from mer_core.errors import UserError
from mer_core.job import Terminated, publish

FORMATS = ("JPEG", "PNG", "BMP")
MAX_PIXELS = 50_000_000
MAX_EDGE = 30_000  # OpenCV's warps end at 32,767; Pillow needs 30 bytes for a row of one pixel
MAX_BYTES = 8 * MAX_PIXELS  # of a file; Pillow reads what stands beside the pixels into memory


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Decode an image file completely.

    Gray, palette, RGBA (over black) and 16-bit images are converted; EXIF orientation is not applied.

    Returns:
        uint8 array of shape (H, W, 3), RGB.

    Raises:
        UserError: the file is missing, empty, truncated, of another format, or larger than
            `MAX_PIXELS`, `MAX_EDGE` or `MAX_BYTES`. The size is taken from the header, before anything is
            decoded.
    """
    with _opened(path) as image:
        try:
            return _decoded(image)
        except (Terminated, MemoryError):
            raise
        except Exception as error:  # damaged files raise nearly anything here
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{path}: damaged image ({reason}); copy it again from the source") from None


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Width and height in pixels, from the header alone.

    Raises:
        UserError: as `read_image`, but for damage behind the header.
    """
    with _opened(path) as image:
        return image.size


def write_image(path: str | os.PathLike[str], pixels: np.ndarray, quality: int = 95) -> None:
    """Publish a JPEG or PNG file, by the suffix of `path`.

    Args:
        path: ends in .jpg or .png.
        pixels: uint8 (H, W), (H, W, 1) or (H, W, 3) RGB.
        quality: of JPEG.
    """
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    options = {"quality": quality, "subsampling": 0} if Path(path).suffix.lower() == ".jpg" else {}
    with publish(path) as temporary:
        Image.fromarray(pixels).save(temporary, **options)


def _decoded(image: Image.Image) -> np.ndarray:
    image.load()
    if image.mode.startswith("I") or image.mode == "F":
        wide = np.asarray(image, dtype=np.float64)
        top = 65535.0 if wide.max(initial=0.0) > 255 else 255.0
        gray = np.clip(np.rint(wide * (255.0 / top)), 0, 255).astype(np.uint8)
        return np.repeat(gray[:, :, None], 3, axis=2)
    return np.array(image.convert("RGB"))


def _opened(path: str | os.PathLike[str]) -> Image.Image:
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: more than {MAX_BYTES:,} bytes; not a frame, remove it")
        with warnings.catch_warnings():
            # Pillow's own limit is replaced by ours, which is checked below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=FORMATS)
    except FileNotFoundError:
        raise UserError(f"{path}: no such image; check the dataset's folder") from None
    except Image.DecompressionBombError:
        raise UserError(f"{path}: more than {MAX_PIXELS:,} pixels; not a frame, remove it") from None
    except UnidentifiedImageError:
        raise UserError(f"{path}: not a {', '.join(FORMATS)} image; replace the file") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as an image ({error}); replace the file") from None
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_EDGE:
        image.close()
        raise UserError(
            f"{path}: {width} x {height} pixels; more than {MAX_PIXELS:,}, or than {MAX_EDGE:,} along an "
            "edge: not a frame, remove it"
        )
    return image
