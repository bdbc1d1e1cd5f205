"""From frames on disk to the file of features."""

import numpy as np
import pandas as pd
import pytest
from baseline_samples import SIZE, clip_of, moving_clip, texture

from mer_core import batch
from mer_core.baselines.extraction import describe, extract_features
from mer_core.baselines.features import Features, read_features, write_features
from mer_core.config.descriptors import BiWoof, Fdm, FlowImage, Lbp, LbpTop, Osw
from mer_core.config.section import dump
from mer_core.datasets.clips import pictures_digest
from mer_core.datasets.manifest import assemble, new_sample
from mer_core.errors import UserError
from mer_core.faces.cache import Aligned
from mer_core.images import write_image
from mer_core.motion.clip import AlignedFrames, open_clip, scaled
from mer_core.motion.flow import optical_flow

IDENTITY = np.eye(2, 3)

EVERY = [
    Lbp(),
    LbpTop(),
    LbpTop(frames=15, temporal_blocks=2, mapping="full"),
    Osw(),
    Fdm(blocks=4, flow="farneback"),
    Fdm(blocks=4, direction="fixed_point"),
    BiWoof(),
    FlowImage(size=8),
]


def write_clip(folder, numbers, onset=3, apex=8, offset=15, name="EP01"):
    """Frames of a moving pattern on disk, and the clip's row of a manifest."""
    for number in numbers:
        write_image(folder / "sub01" / name / f"img{number}.png", texture(0.1 * number))
    interval = {"onset": onset, "apex": apex, "offset": offset, "apex_source": "annotated"}
    return new_sample(
        "casme2", "sub01", name, frame_path=f"sub01/{name}/img{apex}.png", label="others", **interval
    )


def opened(folder, row, transform=IDENTITY, size=SIZE):
    return open_clip(folder, pd.Series(row), transform, size)


def test_the_digest_of_pictures_knows_those_that_samples_are_made_of(tmp_path):
    samples = assemble([write_clip(tmp_path, [3, 8, 15])])

    def digest():
        return pictures_digest(tmp_path, samples)

    first, folder = digest(), tmp_path / "sub01/EP01"
    write_image(folder / "img16.png", texture(9.0))
    (folder / "img8.png").touch()
    assert digest() == first, "after the offset, or of a new date alone"
    write_image(folder / "img15.png", texture(9.0))
    assert (replaced := digest()) != first
    for path in folder.iterdir():
        path.unlink()
    assert digest() not in {first, replaced}, "who needs the clip reports that it is gone"


@pytest.mark.parametrize("settings", EVERY, ids=lambda settings: settings.kind)
def test_every_length_of_clip_gives_the_same_length_of_vector(settings):
    short, long = (describe(moving_clip(length), settings) for length in (11, 23))
    assert short.dtype == np.float32
    assert short.shape == long.shape == (short.size,)
    assert np.isfinite(short).all()
    assert short.any()


def test_flow_is_shared_and_does_not_depend_on_the_order():
    clip = moving_clip(11)
    together = [describe(clip, settings) for settings in EVERY[3:6]]
    alone = [describe(moving_clip(11), settings) for settings in reversed(EVERY[3:6])]
    for one, other in zip(together, reversed(alone), strict=True):
        np.testing.assert_array_equal(one, other)
    assert clip.flows("dis") is clip.flows("dis")


def test_strain_weights_the_xy_plane_alone():
    frames = [texture(0.1 * t) for t in range(11)]
    for t, frame in enumerate(frames):
        frame[:, 40:] = texture(1.5 * np.sin(t))[:, 40:]  # one side moves in itself
    settings = Osw(blocks=2, radii=(1, 1, 1))
    plain = describe(clip_of(frames), LbpTop(blocks=2, radii=(1, 1, 1))).reshape(4, 3, 15)
    weighted = describe(clip_of(frames), settings).reshape(4, 3, 15)
    np.testing.assert_array_equal(weighted[:, 1:], plain[:, 1:])
    weights = weighted[:, 0].sum(axis=1)
    np.testing.assert_allclose(weighted[:, 0], weights[:, None] * plain[:, 0], rtol=1e-5)
    assert weights.max() == pytest.approx(1)
    assert weights[[0, 2]].max() < weights[[1, 3]].min()


def test_flow_leads_from_onset_to_apex():
    clip = moving_clip(21, speed=0.1)
    right, down = describe(clip, FlowImage(size=8)).reshape(2, 8, 8)
    assert np.median(right) == pytest.approx(1.0, abs=0.05)
    assert np.median(down) == pytest.approx(0.0, abs=0.05)


def test_a_scaled_transform_shows_the_same_part():
    transform = np.array([[0.3, 0.1, -12.0], [-0.1, 0.3, 5.0]])
    bigger = scaled(transform, 48, 128)

    def source(corner, matrix):
        return np.linalg.solve(matrix[:, :2], corner - matrix[:, 2])

    for u, v in [(0, 0), (1, 0), (0.3, 1)]:
        corner = np.array([u, v])
        np.testing.assert_allclose(
            source(48 * corner - 0.5, transform), source(128 * corner - 0.5, bigger), atol=1e-9
        )


def test_a_clip_holds_its_interval_aligned_and_grey(tmp_path):
    row = write_clip(tmp_path, range(20))
    shifted = IDENTITY + np.array([[0, 0, 2.0], [0, 0, 0]])
    clip = opened(tmp_path, row, transform=shifted)
    assert (clip.onset, clip.apex, clip.offset) == (3, 8, 15)
    assert list(clip.images) == list(range(3, 16))
    assert clip.frames.shape == (13, SIZE, SIZE)
    assert clip.frames.dtype == np.uint8
    np.testing.assert_array_equal(clip.frames[5], clip.apex_image)
    np.testing.assert_array_equal(clip.apex_image[:, 2:], texture(0.8)[:, :-2])
    flow = clip.flow_to_apex("dis")
    np.testing.assert_array_equal(flow, optical_flow(clip.frames[0], clip.frames[5], "dis"))


def test_only_what_is_needed_is_decoded(tmp_path):
    row = write_clip(tmp_path, range(3, 16))
    for number in {*range(3, 16)} - {3, 8}:
        (tmp_path / f"sub01/EP01/img{number}.png").write_bytes(b"broken")
    describe(opened(tmp_path, row), BiWoof())
    with pytest.raises(UserError, match=r"img4\.png"):
        describe(opened(tmp_path, row), Fdm())


def test_a_clip_of_key_frames_is_refused_where_the_whole_is_needed(tmp_path):
    row = write_clip(tmp_path, [3, 8, 15])
    describe(opened(tmp_path, row), BiWoof())
    with pytest.raises(UserError) as caught:
        describe(opened(tmp_path, row), LbpTop())
    assert str(caught.value) == (
        "casme2/sub01/EP01: has 3 of 13 frames; set simulation.frames: all, "
        "complete your copy of the dataset, or leave out what needs whole clips"
    )


def test_a_tenth_of_the_frames_may_be_missing_but_not_the_onset_of_a_pair(tmp_path):
    row = write_clip(tmp_path, [4, *range(6, 16)], onset=4)
    assert len(opened(tmp_path, row).frames) == 11
    row["onset"] = 5
    with pytest.raises(UserError, match="EP01: the onset, frame 5, is missing"):
        describe(opened(tmp_path, row), BiWoof())


def test_a_single_image_has_an_apex_only(tmp_path):
    write_image(tmp_path / "smile.png", texture())
    row = new_sample("portraits", "P001", "smile", frame_path="smile.png")
    single = opened(tmp_path, row)
    assert describe(single, Lbp()).size == 1475
    for settings in (LbpTop(), BiWoof()):
        with pytest.raises(
            UserError, match=r"P001/smile: is a single image, .* take the original tree of CK\+"
        ):
            describe(single, settings)


def test_settings_that_do_not_fit_name_the_sample():
    with pytest.raises(UserError, match=r"^casme2/sub01/EP01: 7 x 64 x 64 .* too small for radii"):
        describe(moving_clip(7), LbpTop())


def some(samples=("casme2/sub01/a", "casme2/sub01/ä"), length=5):
    values = np.arange(len(samples) * length, dtype=np.float32).reshape(-1, length)
    return Features(list(samples), values, [f"origin {sample}" for sample in samples])


@pytest.mark.parametrize("written", [some(), Features([], np.zeros((0, 0), np.float32), [])])
def test_features_come_back_as_they_were_written(tmp_path, written):
    write_features(tmp_path / "f.h5", written)
    read = read_features(tmp_path / "f.h5")
    assert (read.sample_id, read.origin) == (written.sample_id, written.origin)
    np.testing.assert_array_equal(read.values, written.values, strict=True)
    assert (tmp_path / "f.h5").stat().st_mode & 0o077 == 0, "faces are private"


def test_no_damage_goes_unnoticed(tmp_path):
    path = tmp_path / "f.h5"
    with pytest.raises(UserError, match=r"f\.h5: there is no such file"):
        read_features(path)
    write_features(path, some())
    whole = path.read_bytes()
    for place in range(0, len(whole), 37):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError, match=r"(their checksum|is not a file of .*); delete this file"):
            read_features(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="checksum"):
        read_features(path)


class Dataset:
    """Two clips of one subject, whose faces were found."""

    def __init__(self, folder):
        rows = [write_clip(folder / "data", [3, 8, 15], name=name) for name in ("EP01", "EP02")]
        count, self.samples = len(rows), assemble(rows)
        self.faces = Aligned(
            np.zeros((count, 32, 32, 1), np.uint8),
            np.zeros((count, 68, 2), np.float32),
            np.repeat(scaled(IDENTITY, SIZE, 32)[None], count, axis=0),
            [row["sample_id"] for row in rows],
            ["plain"] * count,
            {"size": 32},
        )
        self.root, self.output = folder / "data", folder / "features.h5"

    def describe(self, settings, code="1", processes=1):
        given = self.faces, self.samples, self.root, self.output
        extract_features(*given, settings=dump(settings), size=SIZE, code=code, processes=processes)
        return read_features(self.output)


@pytest.mark.parametrize("processes", [1, 2])
def test_the_samples_of_the_cache_are_described(tmp_path, processes, monkeypatch):
    monkeypatch.setattr(batch, "PATIENCE", 0)
    features = Dataset(tmp_path).describe(Lbp(), processes=processes)
    assert features.sample_id == ["casme2/sub01/EP01", "casme2/sub01/EP02"]
    frames = AlignedFrames({8: tmp_path / "data/sub01/EP01/img8.png"}, IDENTITY, SIZE)
    alone = describe(clip_of([frames[8]] * 2), Lbp())
    np.testing.assert_array_equal(features.values, [alone, alone])


def test_only_what_changed_is_described_again(tmp_path):
    dataset, flow = Dataset(tmp_path), FlowImage(size=8)
    made = dataset.describe(flow)
    # Marked, so that what is computed anew can be told from what is kept.
    marked = Features(made.sample_id, made.values + 1, made.origin)

    def kept(settings=flow, **changed):
        write_features(batch.earlier(dataset.output), marked)
        return (dataset.describe(settings, **changed).values == marked.values).all(axis=1).tolist()

    assert kept() == [True, True]
    assert kept(FlowImage(size=8, flow="farneback")) == kept(code="2") == [False, False]
    dataset.samples.loc[0, "apex"] = 15
    assert kept() == [False, True], "the apex is another of the same frames"
    marked = Features(made.sample_id, made.values + 1, dataset.describe(flow).origin)
    write_image(tmp_path / "data/sub01/EP02/img3.png", texture(3.0))
    assert kept() == [True, False]
    batch.earlier(dataset.output).write_bytes(b"damaged")
    assert dataset.describe(flow).sample_id == made.sample_id


def test_a_missing_frame_names_the_descriptor(tmp_path):
    with pytest.raises(UserError, match=r"features 'osw': casme2/sub01/EP01: has 3 of 13 frames"):
        Dataset(tmp_path).describe(Osw())
