"""Image files are decoded whole or refused by name."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mer_core.errors import UserError
from mer_core.images import MAX_PIXELS, image_size, read_image, write_image


@pytest.fixture
def picture():
    ramp = np.linspace(0, 255, 80 * 60).reshape(60, 80)
    return np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=2).astype(np.uint8)


def test_png_round_trip_is_exact(tmp_path, picture):
    write_image(tmp_path / "x.png", picture)
    assert np.array_equal(read_image(tmp_path / "x.png"), picture)
    assert image_size(tmp_path / "x.png") == (80, 60)


def test_jpeg_round_trip_is_close(tmp_path, picture):
    write_image(tmp_path / "x.jpg", picture)
    assert np.abs(read_image(tmp_path / "x.jpg").astype(int) - picture).mean() < 3


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "LA", "CMYK"])
def test_other_modes_become_rgb(tmp_path, picture, mode):
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.fromarray(picture).convert(mode).save(path)
    image = read_image(path)
    assert image.shape == (60, 80, 3)
    assert image.dtype == np.uint8


def test_sixteen_bits_keep_the_upper_eight(tmp_path):
    wide = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    Image.fromarray(wide).save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png")[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_truncated_files_are_refused(tmp_path, picture, suffix, share):
    path = tmp_path / f"x{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, picture.shape, dtype=np.uint8)
    write_image(path, noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=path.name):
        read_image(path)


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )
    for read in (read_image, image_size):
        with pytest.raises(UserError, match=rf"bomb\.png.*{MAX_PIXELS:,}"):
            read(path)


def test_a_missing_file_and_another_format_are_named(tmp_path, picture):
    with pytest.raises(UserError, match=r"absent\.jpg: no such image"):
        read_image(tmp_path / "absent.jpg")
    Image.fromarray(picture).save(tmp_path / "x.png", format="GIF")
    with pytest.raises(UserError, match="not a JPEG, PNG, BMP image"):
        read_image(tmp_path / "x.png")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_give_an_image_or_a_users_error(tmp_path, picture, data):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format=data.draw(st.sampled_from(["PNG", "JPEG", "BMP"])))
    damaged = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(bytes(damaged))
    try:
        image = read_image(path)
    except UserError as error:
        assert "damaged" in str(error)
    else:
        assert image.ndim == 3
        assert image.shape[2] == 3
