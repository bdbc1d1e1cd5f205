"""A trained model at work: bundle, prediction, command, page."""

import csv
import io
import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import skimage.data
import torch
import yaml
from model_samples import CLASSES, write_model

from mer_core.errors import UserError
from mer_core.faces.landmarks import NoFace
from mer_core.images import write_image
from mer_core.inference import load_model
from mer_core.inference.bundle import read_description, write_description
from mer_core.inference.calibration import fit_temperature, tempered
from mer_core.inference.card import Part, write_card
from mer_core.inference.command import main
from mer_core.inference.likeness import describe_likeness, distances
from mer_core.inference.pictures import draw_prediction
from mer_core.inference.preparation import prepare
from mer_core.inference.sources import find_sources, read_clip
from mer_core.models import build_network
from mer_core.models.weights import digest_path, save_weights
from mer_core.provenance import file_digest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    write_model(path)
    return path


@pytest.fixture(scope="module")
def astronaut():
    return skimage.data.astronaut()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory, astronaut):
    """A face, two faces, a face at half the size, and no face."""
    path = tmp_path_factory.mktemp("photographs")
    half = cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)
    pictures = {
        "one.png": astronaut,
        "two.png": np.concatenate([astronaut[:, :400], astronaut[:, :400]], 1),
        "half.png": half,
        "none.png": np.full((200, 200, 3), 127, np.uint8),
    }
    for name, pixels in pictures.items():
        write_image(path / name, pixels)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory, astronaut):
    """Nine frames in which the mouth grows wide until frame 5, and back."""
    path = tmp_path_factory.mktemp("clip")
    y, x = np.mgrid[:512, :512].astype(np.float32)
    for number in range(9):
        strength = 6 * (1 - abs(number - 5) / 5)
        pull = strength * np.exp(-(((x - 223) / 22) ** 2 + ((y - 163) / 14) ** 2))
        frame = cv2.remap(astronaut, x, y - pull.astype(np.float32), cv2.INTER_LINEAR)
        write_image(path / f"img{number + 1}.png", frame)
    return path


def test_a_model_says_what_a_face_shows(folder, astronaut, photographs):
    [prediction] = load_model(folder).predict(astronaut)
    assert list(prediction.probabilities) == CLASSES
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert prediction.answer == max(prediction.probabilities, key=prediction.probabilities.get)
    assert 0 <= prediction.entropy <= np.log2(3)
    assert prediction.face.crop.shape == (48, 48, 3) and prediction.face.step == "plain"
    assert 0.9 < prediction.face.inside <= 1
    assert prediction.attention.shape == (6, 6), "2 x 2, as in the last stage, says nothing of a face"
    assert ((prediction.attention > 0) & (prediction.attention < 1)).all()
    assert load_model(folder).predict(photographs / "one.png")[0].probabilities == prediction.probabilities


def test_a_model_answers_as_its_network_does(folder, astronaut):
    """By hand: aligned pixels, normalised, through the network, divided by the temperature."""
    model = load_model(folder)
    [prediction] = model.predict(astronaut)
    pixels = torch.from_numpy(prediction.face.crop).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        logits = model.network((pixels - 0.5) / 0.25)
    assert list(prediction.probabilities.values()) == pytest.approx(
        (logits / 2).softmax(1)[0].tolist(), abs=1e-5
    )


def test_a_mirrored_test_answers_alike_for_a_picture_and_its_mirror_image(tmp_path, folder, astronaut):
    write_model(tmp_path, mirrored_test=True)
    both, alone = load_model(tmp_path), load_model(folder)
    [face] = alone.faces(astronaut)
    sides = [face, replace(face, pixels=np.ascontiguousarray(face.pixels[:, ::-1]))]
    first, second = both.judge(sides)
    assert list(first.probabilities.values()) == pytest.approx([*second.probabilities.values()], abs=1e-6)
    logits = np.log([[*one.probabilities.values()] for one in alone.judge(sides)])
    assert np.ptp(logits, axis=0).max() > 1e-4, "its sides differ"
    mean = np.exp(logits.mean(0))
    assert list(first.probabilities.values()) == pytest.approx((mean / mean.sum()).tolist(), abs=1e-6)
    plain = alone.judge(sides)[0]
    assert first.distance == plain.distance and np.array_equal(first.attention, plain.attention)


def test_a_faster_network_gives_the_same_answers(tmp_path, astronaut):
    """Batch norms are taken into convolutions: the answers are those of the network that was trained."""
    about = write_model(tmp_path, size=112)
    torch.manual_seed(0)
    network = build_network(about.network, 3, 3)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # fresh statistics would hide what is left out
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    save_weights(network, tmp_path / "weights.safetensors")
    digests = {"weights.safetensors": file_digest(tmp_path / "weights.safetensors")}
    write_description(tmp_path, about.model_copy(update={"digests": digests}))
    model = load_model(tmp_path)
    [prediction] = model.predict(astronaut)
    pixels = torch.from_numpy(prediction.face.crop).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        logits = network.eval()((pixels - 0.5) / 0.25)
    assert list(prediction.probabilities.values()) == pytest.approx(
        (logits / 2).softmax(1)[0].tolist(), abs=1e-5
    )
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in model.network.modules())


def test_deep_pictures_are_read_as_those_that_the_model_was_trained_on(tmp_path, astronaut):
    gray = cv2.cvtColor(astronaut, cv2.COLOR_RGB2GRAY)
    cv2.imwrite(str(tmp_path / "deep.png"), np.rint(gray * (4095 / 255)).astype(np.uint16))
    write_model(tmp_path, bit_depth=12)
    model = load_model(tmp_path)
    [deep], [plain] = model.predict(tmp_path / "deep.png"), model.predict(np.dstack([gray] * 3))
    assert deep.probabilities == plain.probabilities
    [source] = find_sources([tmp_path / "deep.png"])
    [[face]] = prepare(tmp_path, model, [source], 1)
    assert np.array_equal(face.pixels, plain.face.pixels)


def test_every_face_is_judged_the_largest_first(folder, photographs):
    both = load_model(folder).predict(photographs / "two.png")
    assert len(both) == 2 and both[0].face.step == "plain (largest of 2)"


def test_what_the_model_does_not_know_is_said(folder, photographs, astronaut, tmp_path):
    with pytest.raises(NoFace, match="no face found"):
        load_model(folder).predict(photographs / "none.png")
    small = cv2.resize(astronaut, (64, 64), interpolation=cv2.INTER_AREA)
    write_model(tmp_path, simulated=["casme2"], alignment={
        **{"mode": "landmarks", "size": 224, "eye_distance": 0.24, "eye_center": (0.5, 0.35), "color": "rgb"},
    }, likeness={"mean": [0.0] * 512, "deviation": [1.0] * 512, "threshold": 0.0})  # fmt: skip
    notes = " ".join(load_model(tmp_path).predict(small)[0].notes)
    assert "simulated" in notes and "small" in notes and "unlike" in notes


def test_an_apex_model_spots_the_apex_of_a_clip(folder, clip):
    [source] = find_sources([clip], clips=True)
    model, frames = load_model(folder), read_clip(source.files)
    assert len(frames) == 9
    assert model.predict_clip(frames).face.frame in (4, 5, 6)
    assert model.predict_clip(frames, apex=2).face.frame == 2
    curve = model.curve(frames, apex=5)
    assert [one.face.frame for one in curve] == list(range(9))
    with pytest.raises(UserError, match="apex 9 is none of the clip's 9 frames, 0 to 8"):
        model.predict_clip(frames, apex=9)


@pytest.fixture(scope="module")
def of_motion(tmp_path_factory):
    """The folder of a model that sees flow."""
    path = tmp_path_factory.mktemp("motion")
    flow = {"kind": "flow", "size": 28, "crop": 112, "estimator": "dis", "scale": "minmax_joint"}
    write_model(path, network={"kind": "off_apexnet", "conv_activation": True}, channels=2, input=flow)
    return path


def test_a_model_of_motion_takes_clips_only(of_motion, clip, astronaut):
    model = load_model(of_motion)
    with pytest.raises(UserError, match="sees flow, which takes a clip"):
        model.predict(astronaut)
    frames = [cv2.cvtColor(cv2.imread(str(clip / f"img{n}.png")), cv2.COLOR_BGR2RGB) for n in range(1, 10)]
    prediction = model.predict_clip(frames, apex=5)
    assert prediction.face.pixels.shape == (28, 28, 2) and prediction.attention is None
    assert len(model.curve(frames, apex=5, onset=0, points=4)) == 4
    for places, said in (
        ({"apex": 3, "onset": 3}, "onset 3 is not before the apex, 3"),
        ({"onset": 9}, "none"),
    ):
        with pytest.raises(UserError, match=said):
            model.predict_clip(frames, **places)


def test_the_onset_is_where_the_face_was_still_at_rest(of_motion, clip):
    """The apex at 25, the motion from 20 on; what was told is left alone."""
    frames = read_clip([clip / "img1.png"] * 20 + [clip / f"img{n}.png" for n in range(1, 10)])
    model = load_model(of_motion)
    face = model.predict_clip(frames).face
    assert face.onset in (18, 19, 20, 21) and face.frame in (24, 25, 26)
    assert face.spotted == ("onset", "apex")
    face = model.predict_clip(frames, apex=25).face
    assert face.onset in (18, 19, 20, 21) and face.spotted == ("onset",)
    face = model.predict_clip(frames, onset=3).face
    assert (face.onset, face.spotted) == (3, ("apex",))
    assert model.predict_clip(frames, apex=25, onset=3).face.spotted == ()
    assert [one.face.frame for one in model.curve(frames, 25, 20)] == list(range(21, 29))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda p: (p / "weights.safetensors").write_bytes(b"x"), "differs from the sha256 in model.json"),
        (lambda p: (p / "weights.safetensors").unlink(), "lacks weights.safetensors"),
        (lambda p: (p / "model.json").unlink(), "no model there"),
        (lambda p: (p / "model.json").write_text("{"), "cannot be read"),
        (lambda p: (p / "model.json").write_text("{}"), "is not as this version writes it"),
    ],
)
def test_a_model_that_is_not_what_was_written_is_refused(folder, tmp_path, damage, said):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    damage(copy)
    with pytest.raises(UserError, match=said):
        load_model(copy)


def test_a_description_cannot_lead_out_of_its_folder(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    description = json.loads((copy / "model.json").read_text())
    description["digests"] = {"../secret": "0"}
    (copy / "model.json").write_text(json.dumps(description))
    (tmp_path / "secret").write_text("x")
    with pytest.raises(UserError, match="lacks"):
        load_model(copy)


def write_video(path, clip, codec="MJPG"):
    video = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), 30, (512, 512))
    for number in range(1, 10):
        video.write(cv2.imread(str(clip / f"img{number}.png")))
    video.release()


def table(capsys):
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_predict_prints_a_row_per_face(folder, photographs, capsys):
    paths = [str(photographs / name) for name in ("one.png", "two.png", "none.png")]
    assert main(["predict", str(folder), *paths]) == 1, "one could not be judged"
    rows = table(capsys)
    assert [(Path(row["file"]).name, row["face"]) for row in rows] == [
        ("one.png", "1"), ("two.png", "1"), ("two.png", "2"), ("none.png", "")
    ]  # fmt: skip
    assert "no face found" in rows[3]["notes"] and not rows[3]["answer"]
    assert sum(float(rows[0][f"p_{name}"]) for name in CLASSES) == pytest.approx(1, abs=1e-3)


def test_predict_reads_folders_clips_videos_and_tables(folder, photographs, clip, tmp_path, capsys):
    write_video(tmp_path / "clip.avi", clip)
    (tmp_path / "list.csv").write_text(f"path,note\n{photographs / 'one.png'},a\n")
    assert main(["predict", str(folder), str(tmp_path / "clip.avi"), str(tmp_path / "list.csv")]) == 0
    of_video, of_table = table(capsys)
    assert of_video["frame"] in {"4", "5", "6"} and of_table["frame"] == ""
    assert main(["predict", str(folder), str(clip), "--clip", "--apex", "3"]) == 0
    assert [row["frame"] for row in table(capsys)] == ["3"]
    assert main(["predict", str(folder), str(clip)]) == 0
    assert len(table(capsys)) == 9, "so many pictures"


def test_a_table_tells_onset_and_apex_of_each_clip(of_motion, clip, tmp_path, capsys):
    """As a spreadsheet of Europe writes it; what it leaves out the options tell."""
    listed = tmp_path / "list.csv"
    listed.write_bytes(f"path;apex;onset\n{clip};5;1\n{clip};4;\n".encode("utf-8-sig"))
    assert main(["predict", str(of_motion), str(listed), "--clip", "--onset", "2", "--apex", "3"]) == 0
    assert [(row["onset"], row["frame"], row["spotted"]) for row in table(capsys)] == [
        ("1", "5", ""), ("2", "4", "")
    ]  # fmt: skip


def test_a_folder_of_which_a_table_tells_a_frame_is_a_clip(folder, clip, photographs, tmp_path, capsys):
    listed = tmp_path / "list.csv"
    listed.write_text(f"path,onset,apex\n{clip},0,2\n{photographs / 'one.png'},,\n")
    assert main(["predict", str(folder), str(listed)]) == 0
    assert [(Path(row["file"]).name, row["frame"]) for row in table(capsys)] == [
        (clip.name, "2"),
        ("one.png", ""),
    ]
    listed.write_text(f"path,onset,apex\n{photographs / 'one.png'},,2\n")
    assert main(["predict", str(folder), str(listed)]) == 2
    assert "list.csv: row 2: " in (said := capsys.readouterr().err) and "one picture has no onset" in said


def test_a_list_names_files_as_the_disk_does(tmp_path):
    names = ["b  c.png", "b c.png", "d\u00a0e.png"]
    for name in names:
        write_image(tmp_path / name, np.zeros((4, 4), np.uint8))
    (tmp_path / "list.csv").write_text("\n".join(["path", *names]), encoding="utf-8")
    assert [source.files[0].name for source in find_sources([tmp_path / "list.csv"])] == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,apex\nclip,last\n", "row 2: apex 'last' is no frame"),
        ("path\nlist.csv\n", "row 2 names a table"),
        ("image\nx.png\n", "no column 'path'; row 1 has image; name the column of the images"),
    ],
)
def test_a_wrong_table_is_one_sentence(folder, clip, tmp_path, text, said, capsys):
    (tmp_path / "list.csv").write_text(text)
    (tmp_path / "clip").symlink_to(clip)
    assert main(["predict", str(folder), str(tmp_path / "list.csv"), "--clip"]) == 2
    assert said in capsys.readouterr().err


def test_pictures_of_one_size_are_a_clip(tmp_path, astronaut):
    write_image(tmp_path / "1.png", astronaut)
    write_image(tmp_path / "2.png", astronaut[:400])
    with pytest.raises(UserError, match=r"2.png: not of one clip .*\(512 x 512 and 512 x 400 pixels\)"):
        read_clip([tmp_path / "1.png", tmp_path / "2.png"])


def test_a_clip_is_measured_before_it_is_decoded(clip, tmp_path, monkeypatch):
    """Few bytes may hold gigabytes of pixels, in many pictures or in a video."""
    write_video(tmp_path / "clip.avi", clip)
    monkeypatch.setattr("mer_core.inference.sources.MAX_CLIP_PIXELS", 8 * 512 * 512)
    monkeypatch.setattr("mer_core.inference.sources.read_image", lambda *given: pytest.fail("decoded"))
    for files in ([clip / f"img{n}.png" for n in range(1, 10)], [tmp_path / "clip.avi"]):
        with pytest.raises(UserError, match="cut out the expression"):
            read_clip(files)


@pytest.mark.parametrize(
    ("suffix", "codec"), [("flv", "FLV1"), ("mts", "mp2v"), ("m2ts", "mp2v"), ("mpg", "mp2v")]
)
def test_videos_of_other_containers(clip, tmp_path, suffix, codec):
    write_video(tmp_path / f"x.{suffix}", clip, codec)
    [source] = find_sources([tmp_path / f"x.{suffix}"])
    assert len(read_clip(source.files)) == 9


@pytest.mark.parametrize(
    "text", ["ffconcat version 1.0\nfile real.avi\n", "#EXTM3U\n#EXTINF:1,\nreal.avi\n#EXT-X-ENDLIST\n"]
)
def test_a_list_of_files_is_no_video(clip, tmp_path, text):
    """FFmpeg would follow it, wherever it leads."""
    write_video(tmp_path / "real.avi", clip)
    (tmp_path / "list.avi").write_text(text)
    with pytest.raises(UserError, match="no frame can be decoded"):
        read_clip([tmp_path / "list.avi"])
    assert len(read_clip([tmp_path / "real.avi"])) == 9


def test_pictures_of_one_name_do_not_replace_each_other(folder, photographs, tmp_path):
    for place in ("a", "b"):
        (tmp_path / place / "run").mkdir(parents=True)
        shutil.copy(photographs / "one.png", tmp_path / place / "run" / "one.png")
    paths = [str(tmp_path / place / "run" / "one.png") for place in ("a", "b")]
    options = ["--output", str(tmp_path / "out.csv"), "--pictures", str(tmp_path / "drawn")]
    assert main(["predict", str(folder), *paths, *options]) == 0
    with (tmp_path / "out.csv").open() as file:
        named = [row["picture"] for row in csv.DictReader(file)]
    assert named == ["run_one.png", "run_one_2.png"]
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == sorted(named)


def test_a_table_is_there_once_it_is_whole(folder, photographs, tmp_path, monkeypatch):
    out = tmp_path / "out.csv"
    out.write_text("an older one")

    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("mer_core.inference.command._row", stopped)
    assert main(["predict", str(folder), str(photographs / "one.png"), "--output", str(out)]) == 130
    assert out.read_text() == "an older one" and len([*tmp_path.iterdir()]) == 1


def test_a_table_goes_through_links_pipes_and_devices(folder, photographs, tmp_path):
    """Which root would replace: in a container that is everybody, and /dev/null a file for all that runs."""
    pipe, link, place = tmp_path / "pipe", tmp_path / "link.csv", tmp_path / "disk" / "answers.csv"
    os.mkfifo(pipe)
    place.parent.mkdir()
    link.symlink_to(place)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    for output in (pipe, link):
        main(["predict", str(folder), str(photographs / "none.png"), "--output", str(output)])
    assert os.read(reader, 9) == b"file,fram"
    assert pipe.is_fifo() and link.is_symlink() and place.read_text().startswith("file,frame")


def test_predict_writes_json_and_pictures(folder, photographs, tmp_path):
    out, pictures = tmp_path / "out.json", tmp_path / "pictures"
    arguments = ["predict", str(folder), str(photographs / "two.png"), "--format", "json"]
    assert main([*arguments, "--output", str(out), "--pictures", str(pictures)]) == 0
    rows = json.loads(out.read_text())
    assert [row["face"] for row in rows] == [1, 2] and set(rows[0]) >= {"answer", "p_others", "inside"}
    drawn = sorted(pictures.iterdir())
    assert len(drawn) == 2 and all(cv2.imread(str(path)).shape[1] > 400 for path in drawn)
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in drawn)


@pytest.mark.parametrize("style", ["csv", "json"])
def test_a_name_that_is_no_text_is_written(folder, photographs, tmp_path, style):
    shutil.copy(photographs / "one.png", tmp_path / os.fsdecode(b"Ren\xe9.png"))
    out = tmp_path / "out"
    assert main(["predict", str(folder), str(tmp_path), "--format", style, "--output", str(out)]) == 0
    assert "Ren\\udce9.png" in out.read_text(encoding="utf-8")


def test_nothing_of_the_users_environment_reaches_the_pictures(folder, astronaut, tmp_path):
    [prediction] = load_model(folder).predict(astronaut)
    draw_prediction(prediction, tmp_path / "plain.png")
    with matplotlib.rc_context({"savefig.transparent": True, "savefig.bbox": "tight"}):
        draw_prediction(prediction, tmp_path / "changed.png")
    assert (tmp_path / "changed.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


def test_several_processes_say_the_same(folder, photographs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("mer_core.inference.command.WORTH_A_PROCESS", 2)
    monkeypatch.setattr("mer_core.batch.PATIENCE", 0)
    for number in range(4):
        shutil.copy(photographs / "one.png", tmp_path / f"{number}.png")
    arguments = ["predict", str(folder), str(tmp_path)]
    assert main([*arguments, "--processes", "1"]) == 0
    alone = table(capsys)
    assert main([*arguments, "--processes", "2"]) == 0
    assert table(capsys) == alone and len(alone) == 4


def test_processes_that_look_for_faces_start_without_torch():
    code = "import sys, mer_core.inference.command; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{model}", "nowhere.png"], "nowhere.png: no such file or folder"),
        (["nowhere", "{one}"], "nowhere: no model there"),
        (["{model}", "{model}/model.json"], "neither image nor video nor table"),
        (["{model}", "{model}"], "no images right inside"),
        (["{model}", "{one}", "--device", "abacus"], "device abacus: torch cannot compute there"),
        (["{model}", "{one}", "--output", "{one}/out.csv"], "a file stands where a folder should"),
        (["{model}", "{one}", "--output", "{model}"], "a folder has this name; name a file"),
        (["{model}", "{one}", "--pictures", "{one}/drawn"], "drawn: cannot be written (Not a directory)"),
        (["{model}", "{one}", "--pictures", "{one}"], "one.png: cannot be written (File exists)"),
        (
            ["{model}", "{one}", "--apex", "0"],
            "one picture has no onset and apex; tell none, or give its",
        ),
        (
            ["{model}", "{clip}", "--onset", "0"],
            "pictures have no onset and apex; add --clip for",
        ),
    ],
)
def test_a_wrong_call_is_one_sentence(folder, photographs, clip, arguments, said, capsys, monkeypatch):
    places = {"model": folder, "one": photographs / "one.png", "clip": clip}
    monkeypatch.setattr("mer_core.inference.command.prepare", None)  # before anything is judged
    assert main(["predict", *(text.format(**places) for text in arguments)]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("{own}/list.csv --output {own}/list.csv", "list.csv: is an input, which would be replaced; name"),
        ("{own}/a.png --output {own}/a.png", "a.png: is an input"),
        ("{own}/list.csv --output {own}/../own/a.png", "a.png: is an input"),
        ("{own} --clip --output {own}/a.png", "a.png: is an input"),
        ("{own}/clip.avi --output {own}/clip.avi", "clip.avi: is an input"),
        ("{own}/a.png --output {own}/link.csv", "link.csv: is an input"),
        ("{own}/a.png --output {model}/model.json", "model.json: is an input"),
        ("{own}/a.png --pictures {own}", "a.png: is an input, which would be replaced; name a folder"),
        ("{own}/list.csv --pictures {own}", "a.png: is an input"),
    ],
)
def test_nothing_replaces_an_input(folder, photographs, tmp_path, arguments, said, capsys, monkeypatch):
    own = tmp_path / "own"
    own.mkdir()
    shutil.copy(photographs / "one.png", own / "a.png")
    (own / "list.csv").write_text("path\na.png\n")
    (own / "clip.avi").touch()
    (own / "link.csv").symlink_to("a.png")
    before = {path: path.read_bytes() for path in own.iterdir()}
    monkeypatch.setattr("mer_core.inference.command.prepare", None)  # before anything is judged
    assert main(["predict", *f"{folder} {arguments}".format(own=own, model=folder).split()]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert {path: path.read_bytes() for path in own.iterdir()} == before


def test_a_lack_of_memory_is_one_sentence(folder, photographs, monkeypatch, capsys):
    def fail(*_):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("mer_core.inference.model.load_model", fail)
    assert main(["predict", str(folder), str(photographs / "one.png")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mer: out of memory (") and error.count("\n") == 1


def test_temperature_makes_confidence_honest():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3)) * 2
    truth = np.array(
        [rng.choice(3, p=row) for row in tempered(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), 1.0)]
    )
    overconfident = tempered(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), 1 / 3)
    assert fit_temperature(overconfident, truth) == pytest.approx(3, rel=0.1)
    assert (tempered(overconfident, 3.0).argmax(1) == overconfident.argmax(1)).all()


def test_the_threshold_of_likeness_is_that_of_people_left_out():
    """Of two people at 0 and 10, one deviation wide, each is 11 deviations from the other at most."""
    likeness = describe_likeness(np.array([[-1.0], [1.0], [9.0], [11.0]]), np.array(["a", "a", "b", "b"]))
    assert likeness.threshold == pytest.approx(11)


def test_likeness_knows_a_stranger():
    rng = np.random.default_rng(0)
    features, subjects = rng.normal(size=(60, 8)), np.repeat([f"s{n}" for n in range(6)], 10)
    likeness = describe_likeness(features, subjects)
    known = distances(rng.normal(size=(200, 8)), np.array(likeness.mean), np.array(likeness.deviation))
    strange = distances(rng.normal(size=(50, 8)) + 5, np.array(likeness.mean), np.array(likeness.deviation))
    assert (known > likeness.threshold).mean() < 0.1 and (strange > likeness.threshold).all()


def test_the_card_tells_people_and_machines(folder, tmp_path):
    description = write_model(tmp_path, simulated=["casme2"])
    parts = [
        Part("casme2", "casme2", "training and folds", True, {"happiness": 3, "others": 5}, 4),
        Part("own", "tabular", "pretraining", False, {"fear": 2}, 2),
    ]
    text = write_card(description, parts)
    head = yaml.safe_load(text.split("---")[1])
    assert head["pipeline_tag"] == "image-classification"
    metrics = head["model-index"][0]["results"][0]["metrics"]
    assert [metric["value"] for metric in metrics] == [0.4, 0.5]
    said = [
        "simulated data (casme2)",
        "| 8 (happiness 3, others 5) | none needed: simulated |",
        "0.300 to 0.500",
    ]
    said += ["| surprise | 2 | 0.000 | 0.000 | 0.000 |", 'predict("picture.jpg")', "48 x 48 pixels"]
    said += ["temperature, 2.00", "that of your copy", "Not meant for judging people"]
    assert [part for part in said if part not in text] == []


def test_the_card_of_a_composite_names_every_part(tmp_path):
    role = "training and folds"
    parts = [
        Part("smic", "smic", role, False, {"negative": 3}, 2),
        Part("samm", "samm", role, True, {"positive": 4}, 3),
        Part("ckplus", "ckplus", "pretraining", False, {"fear": 2}, 2),
    ]
    text = write_card(write_model(tmp_path, simulated=["samm"]), parts)
    head = yaml.safe_load(text.split("---")[1])
    assert head["datasets"] == ["smic", "samm-simulated", "ckplus"]
    tested = head["model-index"][0]["results"][0]["dataset"]
    assert tested == {"name": "smic and samm-simulated", "type": "composite"}
    assert head["license_name"] == "research-only"
    assert "| smic | training and folds | 2 | 3 (negative 3) | SMIC licence agreement" in text


def test_the_card_says_where_parts_show_the_same_people(tmp_path):
    parts = [Part(name, "smic", "training and folds", False, {"positive": 4}, 3) for name in ("hs", "nir")]
    plain, shared = (write_card(write_model(tmp_path, shared=of), parts) for of in ([], [("hs", "nir")]))
    assert "nobody was both trained and tested on" in plain and "same people" not in plain
    assert "no dataset was both trained and tested on" in shared and "nobody was" not in shared
    assert "hs and nir show the same people: from one to the other the camera changes" in shared
    assert "Macro-F1, people left out" in plain and "Macro-F1, datasets left out" in shared


def test_the_card_of_a_model_of_motion_asks_for_clips(of_motion):
    part = Part("own", "tabular", "training and folds", False, {"happiness": 3}, 2)
    text = write_card(read_description(of_motion), [part])
    head = yaml.safe_load(text.split("---")[1])
    assert (head["pipeline_tag"], head["license_name"]) == ("video-classification", "as-the-data")
    assert "clip.avi" in text and "predict_clip(frames)" in text and "picture.jpg" not in text
    assert "inputs of 28 x 28 with 2 channels" in text


def test_weights_keep_their_digest_beside_them(folder):
    assert digest_path(folder / "weights.safetensors").exists()
