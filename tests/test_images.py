"""Image files are decoded whole or refused by name."""

import errno
import io
import os
import struct
import zlib
from contextlib import suppress

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from mer_core.errors import UserError
from mer_core.images import MAX_PIXELS, image_size, largest_value, read_image, write_image


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


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_a_dark_frame_of_sixteen_bits_is_scaled_as_a_bright_one(tmp_path, kind):
    for values in ([0, 100, 255, 257], [0, 100, 255, 65535]):
        Image.fromarray(np.array([values], dtype=np.uint16)).save(tmp_path / f"x.{kind}")
        assert read_image(tmp_path / f"x.{kind}")[0, :3, 0].tolist() == [0, 0, 1]


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_the_depth_that_the_camera_wrote_counts_where_it_is_told(tmp_path, kind, bits):
    path, most = tmp_path / f"x.{kind}", 2**bits - 1
    Image.fromarray(np.array([[0, most // 255, most // 2, most]], dtype=np.uint16)).save(path)
    assert read_image(path, bits)[0, :, 0].tolist() == [0, 1, 127, 255]
    assert read_image(path)[0, 3, 0] == round(255 * most / 65535)
    assert largest_value(path) == most
    with pytest.raises(
        UserError, match=rf"x\.{kind}: holds the value {most}, where bit_depth: 9 ends at 511"
    ):
        read_image(path, 9)


def test_a_depth_says_nothing_of_eight_bits(tmp_path, picture):
    write_image(tmp_path / "x.png", picture)
    assert np.array_equal(read_image(tmp_path / "x.png", 12), picture)
    assert largest_value(tmp_path / "x.png") is None


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_colours_of_sixteen_bits_have_their_own_depth_alone(tmp_path, kind):
    path = tmp_path / f"x.{kind}"
    cv2.imwrite(str(path), np.array([[[0, 1000, 4095]]], dtype=np.uint16))
    assert read_image(path)[0, 0].tolist() == [15, 3, 0]
    assert np.array_equal(read_image(path, 16), read_image(path))
    assert largest_value(path) == 4095
    with pytest.raises(
        UserError, match=r"colours of 16 bits, of which bit_depth: 12 cannot be taken; .* 8 bits"
    ):
        read_image(path, 12)


@pytest.mark.parametrize("values", [np.float32([[0.5]]), np.int32([[70000]])])
def test_numbers_without_a_range_are_refused(tmp_path, values):
    Image.fromarray(values).save(tmp_path / "x.tif")
    with pytest.raises(UserError, match=r"x\.tif: holds signed numbers or 32 bits.*8 or 16"):
        read_image(tmp_path / "x.tif")


def test_a_stack_of_frames_in_one_file_is_refused(tmp_path, picture):
    first = Image.fromarray(picture)
    first.save(tmp_path / "x.tif", save_all=True, append_images=[first, first])
    with pytest.raises(UserError, match="holds 3 images"):
        read_image(tmp_path / "x.tif")


@pytest.mark.parametrize(
    "kind", ["jpg", "png", "tif", "gray.jpg", "gray.png", "gray.tif", "wide.png", "wide.tif"]
)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_that_a_camera_noted_is_honoured(tmp_path, picture, kind, orientation):
    kind, _, suffix = kind.rpartition(".")
    picture = picture if not kind else np.repeat(picture[:, :, 1:2], 3, axis=2)
    stored = {  # what lies in the file, so that viewers show `picture` (EXIF 2.32, tag 274)
        1: picture,
        2: picture[:, ::-1],
        3: picture[::-1, ::-1],
        4: picture[::-1],
        5: picture.transpose(1, 0, 2),
        6: np.rot90(picture, 1),
        7: picture[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(picture, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{suffix}"
    options = {"quality": 95, "subsampling": 0} if suffix == "jpg" else {}
    if kind:
        stored = stored[:, :, 0] * np.uint16(257) if kind == "wide" else stored[:, :, 0]
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, **options)
    assert np.abs(read_image(path).astype(int) - picture).mean() < 3
    assert image_size(path) == (80, 60)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_lies_over_black(tmp_path, mode):
    path = tmp_path / "x.png"
    if mode == "P":
        image = Image.new("P", (3, 1))
        image.putpalette([200, 200, 200] * 3)
        image.putdata([0, 1, 2])
        image.save(path, transparency=bytes([0, 128, 255]))
    else:
        image = Image.new("RGBA", (3, 1))
        image.putdata([(200, 200, 200, alpha) for alpha in (0, 128, 255)])
        image.convert(mode).save(path)
    assert read_image(path)[0, :, 1].tolist() == [0, 100, 200]


@pytest.mark.parametrize(("alphas", "shown"), [((0, 0, 0), [200] * 3), ((0, 128, 255), [0, 100, 200])])
def test_alpha_that_is_0_all_over_a_bmp_is_not_used(tmp_path, alphas, shown):
    pixels = b"".join(bytes([200, 200, 200, alpha]) for alpha in alphas)
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + bytes(52)  # a header of version 4
    header = struct.pack("<IiiHHIIiiII", 108, 3, 1, 1, 32, 3, len(pixels), 2835, 2835, 0, 0) + masks
    (tmp_path / "x.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 134, 0, 0, 122) + header + pixels)
    assert read_image(tmp_path / "x.bmp")[0, :, 1].tolist() == shown


@pytest.mark.parametrize(
    ("kind", "bits", "white"), [("uint8", None, 255), ("uint16", None, 65535), ("uint16", 12, 4095)]
)
def test_a_tiff_may_count_from_white(tmp_path, kind, bits, white):
    Image.fromarray(np.array([[0, white // 5, white]], kind)).save(tmp_path / "x.tif")
    data = (tmp_path / "x.tif").read_bytes()
    black_is_zero, white_is_zero = (struct.pack("<HHIH", 262, 3, 1, value) for value in (1, 0))
    assert read_image(tmp_path / "x.tif", bits)[0, :, 0].tolist() == [0, 51, 255]
    (tmp_path / "x.tif").write_bytes(data.replace(black_is_zero, white_is_zero))
    assert read_image(tmp_path / "x.tif", bits)[0, :, 0].tolist() == [255, 204, 0]


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull"),
        (b"/annex/objects/SHA256E-s9--00.jpg\n", "git annex get"),
    ],
)
def test_what_stands_for_a_file_that_is_still_to_be_fetched(tmp_path, content, remedy):
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(UserError, match=remedy) as caught:
        read_image(tmp_path / "x.jpg")
    assert "replace" not in str(caught.value)


@pytest.mark.parametrize(("number", "remedy"), [(errno.EACCES, "owner"), (errno.EIO, "may be whole")])
def test_what_the_disk_refuses_is_not_called_damaged(tmp_path, picture, monkeypatch, number, remedy):
    write_image(tmp_path / "x.png", picture)

    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number))

    for owner, name in ((Image, "open"), (PngImageFile, "load")):
        with monkeypatch.context() as patch, pytest.raises(UserError, match=remedy) as caught:
            patch.setattr(owner, name, fail)
            read_image(tmp_path / "x.png")
        assert "damaged" not in str(caught.value) and "replace" not in str(caught.value)


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
    for look in (image_size, largest_value):  # which need not see all of it
        with suppress(UserError):
            look(path)


def test_notes_that_are_damaged_cost_no_picture(tmp_path, picture):
    profile = PngInfo()
    profile.add_text("Raw profile type exif", "\nexif\n      22\nno digits\n")
    for note in ({"exif": b"Exif\0\0garbage"}, {"pnginfo": profile}):
        Image.fromarray(picture).save(tmp_path / "x.png", **note)
        assert np.array_equal(read_image(tmp_path / "x.png"), picture)
        assert image_size(tmp_path / "x.png") == (80, 60)


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
    with pytest.raises(UserError, match="not a JPEG, PNG, BMP, TIFF image"):
        read_image(tmp_path / "x.png")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_give_an_image_or_a_users_error(tmp_path, picture, data):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format=data.draw(st.sampled_from(["PNG", "JPEG", "BMP", "TIFF"])))
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
