"""What networks see of a clip: known motions, and that scaling and order of work are what they say."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_core.config import inputs
from mer_core.csvs import read_csv
from mer_core.datasets.manifest import assemble, new_sample
from mer_core.errors import UserError
from mer_core.faces.cache import Aligned, read_cache
from mer_core.images import write_image
from mer_core.inputs import build
from mer_core.inputs.build import build_input
from mer_core.inputs.maps import draw, resized, scaled
from mer_core.motion.clip import Clip

CROP = 64
LANDMARKS = np.zeros((68, 2))
LANDMARKS[[36, 39]], LANDMARKS[[42, 45]] = [[16, 20], [24, 20]], [[40, 20], [48, 20]]
LANDMARKS[48], LANDMARKS[54] = [22, 48], [42, 48]


def moving(shift=(2.0, 1.0), frames=9):
    """A smooth texture that moves by `shift` from onset to apex, and back until the offset."""
    y, x = np.mgrid[:CROP, :CROP].astype(float)

    def at(dx, dy):
        wave = np.sin((x - dx) / 5) + np.cos((y - dy) / 6) + np.sin((x - dx + y - dy) / 7)
        return np.uint8(np.clip(127 + 35 * wave, 0, 255))

    apex = frames // 2
    steps = 1 - np.abs(np.arange(frames) - apex) / apex
    gray = {10 + n: at(*(step * np.array(shift))) for n, step in enumerate(steps)}
    colors = {number: np.repeat(image[..., None], 3, 2) for number, image in gray.items()}
    return Clip("faces/s1/c1", gray, 10, 10 + apex, 9 + frames, colors=colors)


def settings(kind, **options):
    return kind(kind=kind.model_fields["kind"].annotation.__args__[0], crop=CROP, **options)


def test_flow_keeps_its_direction_and_its_pixels():
    maps = draw(moving((2, 1)), settings(inputs.FlowMaps, size=32, scale="none"), LANDMARKS)
    assert maps.shape == (32, 32, 2) and maps.dtype == np.float32
    assert np.median(maps, (0, 1)) == pytest.approx([2, 1], abs=0.2), "in pixels of the crop, not of the map"


def test_flow_is_measured_before_it_is_made_small():
    """Half a pixel of motion is an eighth of a pixel after shrinking, and would be lost."""
    own = settings(inputs.FlowMaps, size=16, scale="none")
    assert np.median(draw(moving((0.5, 0)), own, LANDMARKS)[..., 0]) == pytest.approx(0.5, abs=0.15)


def test_a_shift_of_the_whole_face_has_no_strain():
    maps = draw(moving((2, 1)), settings(inputs.FlowStrainMaps, size=32, scale="none"), LANDMARKS)
    assert maps.shape == (32, 32, 3)
    assert np.median(np.abs(maps[4:-4, 4:-4, 2])) < 0.05


def test_difference_is_signed_and_pair_holds_both():
    clip = moving()
    difference = draw(clip, settings(inputs.Difference, size=CROP), LANDMARKS)
    pair = draw(clip, settings(inputs.Pair, size=CROP), LANDMARKS)
    assert difference.min() < 0 < difference.max()
    assert pair.shape == (CROP, CROP, 6)
    assert pair[..., 3:] - pair[..., :3] == pytest.approx(difference, abs=1e-6)
    assert pair[..., 3:] * 255 == pytest.approx(clip.colors[clip.apex])


def test_patches_lie_around_eyes_and_mouth():
    whole = draw(moving(), settings(inputs.FlowStrainMaps, size=32), LANDMARKS)
    tiled = draw(moving(), settings(inputs.FlowPatches, size=32), LANDMARKS)
    assert tiled.shape == whole.shape
    # Left eye at (20, 20) of 64 pixels, (10, 10) of 32: its patch of 16 pixels begins at (2, 2).
    assert (tiled[:16, :16] == whole[2:18, 2:18]).all()
    assert (tiled[:16, 16:] == whole[2:18, 14:30]).all()  # right eye, (44, 20)
    assert (tiled[16:, :16] == whole[16:32, 3:19]).all()  # left corner of the mouth, (22, 48)
    assert (tiled[16:, 16:] == whole[16:32, 13:29]).all()


def test_clip_and_flow_clip_have_the_length_asked_for():
    frames = draw(moving(), settings(inputs.ClipFrames, size=32, frames=4), LANDMARKS)
    assert frames.shape == (32, 32, 4)
    flow = draw(moving((4, 0)), settings(inputs.FlowClip, size=32, frames=8), LANDMARKS)
    assert flow.shape == (8, 32, 32, 2)
    rise, fall = np.median(flow[:4, ..., 0]), np.median(flow[4:, ..., 0])
    assert rise == pytest.approx(1, abs=0.2) and fall == pytest.approx(-1, abs=0.2)


@pytest.mark.parametrize("kind", [inputs.FlowMaps, inputs.Difference, inputs.DynamicImage])
def test_a_clip_without_motion_or_without_what_is_needed_is_refused_by_name(kind):
    clip = moving()
    apex_is_onset = Clip("faces/s1/c1", clip.images, 10, 10, 18, colors=clip.colors)
    with pytest.raises(UserError, match="faces/s1/c1: apex and onset are one frame"):
        draw(apex_is_onset, settings(kind, size=32), LANDMARKS)
    gone = {number: image for number, image in clip.images.items() if number > 11}
    lacking = Clip("faces/s1/c1", gone, 10, 14, 18, colors=clip.colors)
    with pytest.raises(UserError, match=r"faces/s1/c1: (the onset, frame 10, is missing|has 7 of 9 frames)"):
        draw(lacking, settings(kind, size=32), LANDMARKS)


@given(st.integers(0, 2**32 - 1))
def test_scaling(seed):
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(6, 6, 3)).astype(np.float32) * [1, 5, 20]
    joint, apart = scaled(maps, "minmax_joint"), scaled(maps, "minmax_channel")
    assert joint.min() == 0 and joint.max() == 1
    assert (apart.min((0, 1)) == 0).all() and (apart.max((0, 1)) == 1).all()
    assert (np.argsort(joint, axis=None) == np.argsort(maps, axis=None)).all()
    assert scaled(maps, "none") is maps
    assert (scaled(np.ones((4, 4, 2), np.float32), "minmax_joint") == 0).all()


@given(st.integers(1, 4), st.integers(1, 8))
def test_making_small_averages_areas(factor, channels):
    maps = np.random.default_rng(0).normal(size=(8 * factor, 8 * factor, channels)).astype(np.float32)
    known = maps.reshape(8, factor, 8, factor, channels).mean((1, 3))
    assert resized(maps, 8) == pytest.approx(known, abs=1e-5)


@pytest.fixture
def copy(tmp_path):
    """Three clips on disk, one of which lacks its onset; their faces and manifest."""
    rows = []
    for number in range(3):
        clip, folder = moving((1 + number, 0)), tmp_path / f"sub01/c{number}"
        for frame, pixels in clip.colors.items():
            if (number, frame) != (2, 10):
                write_image(folder / f"img{frame}.png", pixels)
        rows.append(
            new_sample(
                "faces", "sub01", f"c{number}", label="happiness", onset=10, apex=14, offset=18,
                apex_source="annotated", frame_path=f"sub01/c{number}/img14.png",
            )
        )  # fmt: skip
    faces = Aligned(
        images=np.zeros((3, CROP, CROP, 3), np.uint8),
        landmarks=np.repeat(LANDMARKS[None].astype(np.float32), 3, 0),
        transform=np.repeat(np.eye(2, 3)[None], 3, 0),
        sample_id=[row["sample_id"] for row in rows],
        detector=["test"] * 3,
        attributes={"size": CROP},
    )
    return tmp_path, faces, assemble(rows)


def built(copy, kind=inputs.FlowMaps, code="1", **options):
    root, faces, samples = copy
    own = settings(kind, **{"size": 32, **options})
    paths = root / "input.h5", root / "failures.csv"
    build_input(faces, samples, root, *paths, settings=own, code=code)
    return read_cache(paths[0]), read_csv(paths[1])


def test_an_input_holds_what_can_be_drawn_and_lists_the_rest(copy):
    cache, failures = built(copy, scale="none")
    assert cache.sample_id == ["faces/sub01/c0", "faces/sub01/c1"]
    assert cache.images.shape == (2, 32, 32, 2) and cache.images.dtype == np.float16
    assert np.median(cache.images[..., 0], (1, 2)) == pytest.approx([1, 2], abs=0.2)
    assert failures.sample_id.tolist() == ["faces/sub01/c2"]
    assert "the onset, frame 10, is missing" in failures.message[0]


def test_an_input_with_a_time_axis(copy):
    cache, failures = built(copy, inputs.FlowClip, frames=8)
    assert cache.images.shape == (2, 8, 32, 32, 2) and len(failures) == 1


def test_unchanged_samples_are_kept_and_changed_ones_drawn(copy, monkeypatch):
    built(copy)
    drawn = []
    monkeypatch.setattr(
        build, "draw", lambda clip, *given: drawn.append(clip.sample_id) or draw(clip, *given)
    )
    first, _ = built(copy)
    assert drawn == ["faces/sub01/c2"], "only what could not be drawn is tried again"
    drawn.clear()
    write_image(copy[0] / "sub01/c0/img14.png", moving((3, 0)).colors[14])
    second, _ = built(copy)
    assert drawn == ["faces/sub01/c0", "faces/sub01/c2"]
    drawn.clear()
    assert (second.images[1] == first.images[1]).all() and (second.images[0] != first.images[0]).any()
    built(copy, code="2")
    assert len(drawn) == 3


def test_a_corrected_apex_is_drawn_anew(copy):
    """Frames and transform stay as they were: those of precropped faces depend on no apex."""
    root, faces, samples = copy
    first, _ = built(copy, scale="none")
    second, _ = built((root, faces, samples.assign(apex=12)), scale="none")
    assert np.median(second.images[..., 0], (1, 2)) == pytest.approx([0.5, 1], abs=0.2)
    assert (second.images != first.images).any()


def test_faces_that_have_no_landmarks_are_drawn(copy):
    root, faces, samples = copy
    precropped = replace(faces, landmarks=np.full_like(faces.landmarks, np.nan))
    assert (built((root, precropped, samples))[0].images == built(copy)[0].images).all()


def test_a_mended_clip_joins_the_rest(copy):
    built(copy)
    write_image(copy[0] / "sub01/c2/img10.png", moving((3, 0)).colors[10])
    cache, failures = built(copy)
    assert len(cache.sample_id) == 3 and failures.empty


def test_an_input_of_nothing_is_refused(copy):
    root, faces, samples = copy
    alone = pd.Series(faces.sample_id).eq("faces/sub01/c2")
    only = Aligned(
        images=faces.images[alone], landmarks=faces.landmarks[alone], transform=faces.transform[alone],
        sample_id=["faces/sub01/c2"], detector=["test"], attributes=faces.attributes,
    )  # fmt: skip
    with pytest.raises(UserError, match=r"no sample has what this input needs: .*c2: the onset"):
        built((root, only, samples))


@pytest.mark.parametrize("kind", [inputs.FlowMaps, inputs.FlowClip])
def test_a_run_that_is_stopped_before_it_writes_goes_on_from_what_it_drew(copy, kind, monkeypatch):
    options = {"frames": 8} if kind is inputs.FlowClip else {}
    with monkeypatch.context() as stopped:
        stopped.setattr(build, "write_cache", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            built(copy, kind, **options)
    drawn = []
    monkeypatch.setattr(
        build, "draw", lambda clip, *given: drawn.append(clip.sample_id) or draw(clip, *given)
    )
    cache, _ = built(copy, kind, **options)
    assert len(cache.sample_id) == 2 and set(drawn) <= {"faces/sub01/c2"}
