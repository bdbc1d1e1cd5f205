"""Reading and writing image files, with distrust of what lies on disk."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from mer_core.errors import UserError
from mer_core.job import cannot_read, publish

FORMATS = ("JPEG", "PNG", "BMP", "TIFF")
MAX_PIXELS = 50_000_000
MAX_EDGE = 30_000  # OpenCV's warps end at 32,767; Pillow needs 30 bytes for a row of one pixel
_BITS_PER_SAMPLE = ExifTags.Base.BitsPerSample
MAX_BYTES = 8 * MAX_PIXELS  # of a file; Pillow reads what stands beside the pixels into memory


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Decode an image file completely.

    Turned as its EXIF orientation says. Gray, palette and CMYK become RGB; what is transparent is laid over
    black. Wider channels keep their upper eight bits by the depth that the file declares, whatever its
    brightest pixel: one rule for all frames of a clip.

    Returns:
        uint8 array of shape (H, W, 3), RGB.

    Raises:
        UserError: the file is missing, empty, truncated, of another format, holds several images or numbers
            without a range of their own (floats, 32 bits), or is larger than `MAX_PIXELS`, `MAX_EDGE` or
            `MAX_BYTES`. The size is taken from the header, before anything is decoded.
    """
    with _opened(path) as image:
        try:
            return _decoded(path, image)
        except (MemoryError, UserError):
            raise
        except Exception as error:  # damaged files raise nearly anything here
            if isinstance(error, OSError) and error.errno:
                raise cannot_read(path, error) from None
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{path}: damaged image ({reason}); copy it again from the source") from None


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Width and height in pixels of what `read_image` returns, from the header alone.

    Raises:
        UserError: as `read_image`, but for damage behind the header.
    """
    with _opened(path) as image:
        width, height = image.size
        # Pillow tells the size of a turned TIFF as it is shown, of other formats as it is stored.
        turned = image.format != "TIFF" and image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return (height, width) if turned else (width, height)


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


def _decoded(path: str | os.PathLike[str], image: Image.Image) -> np.ndarray:
    if image.format == "TIFF" and getattr(image, "n_frames", 1) > 1:
        raise UserError(f"{path}: holds {image.n_frames} images; save each frame as a file of its own")
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16"):
        bits = image.tag_v2[_BITS_PER_SAMPLE][0] if hasattr(image, "tag_v2") else 16
        gray = np.rint(np.asarray(image) * (255.0 / (2**bits - 1))).clip(0, 255).astype(np.uint8)
        return np.repeat(gray[:, :, None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise UserError(f"{path}: holds 32 bits per pixel, of unknown range; save it with 8 or 16 bits")
    if image.has_transparency_data:
        pixels = np.asarray(image.convert("RGBA"), np.uint16)
        return ((pixels[:, :, :3] * pixels[:, :, 3:] + 127) // 255).astype(np.uint8)
    return np.array(image.convert("RGB"))


def _opened(path: str | os.PathLike[str]) -> Image.Image:
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: more than {MAX_BYTES:,} bytes; no frame is as large, move it elsewhere")
        with warnings.catch_warnings():
            # Pillow's own limit is replaced by ours, which is checked below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=FORMATS)
    except FileNotFoundError:
        raise UserError(f"{path}: no such image; check the dataset's folder") from None
    except Image.DecompressionBombError:
        raise UserError(
            f"{path}: more than {MAX_PIXELS:,} pixels; no frame is as large, move it elsewhere"
        ) from None
    except UnidentifiedImageError:
        raise UserError(f"{path}: not a {', '.join(FORMATS)} image; replace the file") from None
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, OSError) and error.errno:
            raise cannot_read(path, error) from None
        raise UserError(f"{path}: cannot be read as an image ({error}); replace the file") from None
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_EDGE:
        image.close()
        raise UserError(
            f"{path}: {width} x {height} pixels; more than {MAX_PIXELS:,}, or than {MAX_EDGE:,} along an "
            "edge: no frame is as large, move it elsewhere"
        )
    return image
