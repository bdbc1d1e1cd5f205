"""Simulated SAMM and SMIC lie on disk as the real ones do, and are read back as they were planned."""

from collections import Counter

import openpyxl
import pytest
from PIL import Image
from test_samm import CLASSES as SAMM_CLASSES
from test_smic import CLASSES as SMIC_CLASSES

from mer_core.config.layouts.samm import Samm
from mer_core.config.layouts.smic import Smic
from mer_core.config.simulation import Simulation
from mer_core.datasets.reading import list_subjects, published, read_dataset
from mer_core.simulation.plan import SIZES, people_used, plan, simulated_subjects
from mer_core.simulation.writers import simulate

TINY = Simulation(
    size="tiny", faces="packaged", frames="key", casme2_tree="cropped", micro_strength=0.5, seed=0
)
SAMM = Samm(layout="samm", root="simulated", classes=SAMM_CLASSES | {"Other": "other"})
SMIC = Smic(layout="smic", root="simulated", classes=SMIC_CLASSES)


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    simulate("samm", folder / "samm", TINY)
    simulate("smic", folder / "smic", TINY)
    return folder


@pytest.mark.parametrize("settings", [SAMM, SMIC], ids=["samm", "smic"])
def test_the_full_plan_has_the_published_counts(settings):
    clips = plan(settings.layout, "full", 0)
    assert Counter(clip.label.lower() for clip in clips) == published(settings).labels
    people = set(published(settings).subjects) - {"025"}
    assert {clip.subject for clip in clips} == people == set(simulated_subjects(settings.layout, "full"))
    assert len({(clip.subject, clip.name) for clip in clips}) == len(clips)


@pytest.mark.parametrize("settings", [SAMM, SMIC], ids=["samm", "smic"])
def test_what_is_written_is_read(roots, settings):
    samples, defects = read_dataset(settings.layout, settings, roots / settings.layout, {})
    clips = {
        clip.name.replace("s", "s0", settings.layout == "smic"): clip
        for clip in plan(settings.layout, "tiny", 0)
    }
    assert samples.included.all()
    assert dict(zip(samples["clip"], samples.label_raw, strict=True)) == {
        name: clip.label.lower() for name, clip in clips.items()
    }
    for row in samples.to_dict("records"):
        clip = clips[row["clip"]]
        assert (row["onset"], row["offset"], row["fps"]) == (clip.onset, clip.offset, settings.fps)
    unknown = Counter({"samm": {"apex_outside": 2}, "smic": {}}[settings.layout])
    assert (
        Counter(defects.defect[~defects.defect.isin(["one_class_subject", "frame_gaps", "key_frames_only"])])
        == unknown
    )
    place = list_subjects(settings.layout, settings, roots / settings.layout)
    assert place == people_used(settings, "tiny", 0) == sorted(set(samples.subject))


def test_quirks_of_samm(roots):
    sheet = openpyxl.load_workbook(roots / "samm" / "SAMM_Micro_FACS_Codes_v2.xlsx")["MICRO_ONLY"]
    assert [cell.value for cell in sheet[14]][:2] == ["Subject", "Filename"]
    assert sheet["A1"].value.startswith("SAMM Dataset")
    assert sheet["A15"].value == "006"
    assert sheet["G15"].value.startswith("=SUM(")
    files = [*roots.glob("samm/SAMM/*/*/*.jpg")]
    assert {Image.open(file).mode for file in files} == {"L"}
    assert {len(file.stem.split("_")[1]) for file in files} == {4, 5}


def test_quirks_of_smic(roots):
    assert {path.suffix for path in roots.glob("smic/**/*.*")} == {".bmp", ".jpg"}
    assert [*roots.glob("smic/SMIC_all_raw/HS/s1/non_micro/s1_*")]


@pytest.mark.parametrize("size", SIZES)
def test_people_of_whom_nothing_is_used_are_not_listed(size):
    only = Samm(layout="samm", root="simulated", classes={"Anger": "a", "Surprise": "b", "Other": None})
    drop = only.model_copy(update={"missing_apex": "drop"})
    for settings in (only, drop):
        used = {
            clip.subject
            for clip in plan("samm", size, 0)
            if clip.label in ("Anger", "Surprise")
            and (settings is only or clip.onset < clip.apex_cell < clip.offset)
        }
        assert people_used(settings, size, 0) == sorted(used)
