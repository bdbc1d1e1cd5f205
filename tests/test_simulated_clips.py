"""Simulated sets of clips lie on disk as the real ones do, and are read back as they were planned."""

import io
from collections import Counter

import numpy as np
import openpyxl
import pytest
from dataset_samples import CONFIG
from PIL import Image
from test_casme import CLASSES as CASME_CLASSES
from test_casme3 import CLASSES as CASME3_CLASSES
from test_casme_sq import CLASSES as CASME_SQ_CLASSES
from test_dfme import CLASSES as DFME_CLASSES
from test_fourdme import CLASSES as FOURDME_CLASSES
from test_mmew import CLASSES as MMEW_CLASSES
from test_samm import CLASSES as SAMM_CLASSES
from test_samm_long import CLASSES as SAMM_LONG_CLASSES
from test_smic import CLASSES as SMIC_CLASSES

from mer_core.config.layouts.casme import Casme
from mer_core.config.layouts.casme3 import Casme3
from mer_core.config.layouts.casme_sq import CasmeSq
from mer_core.config.layouts.dfme import Dfme
from mer_core.config.layouts.fourdme import Fourdme
from mer_core.config.layouts.mmew import Mmew
from mer_core.config.layouts.mmew_macro import MmewMacro
from mer_core.config.layouts.samm import Samm
from mer_core.config.layouts.samm_long import SammLong
from mer_core.config.layouts.smic import Smic
from mer_core.config.simulation import Simulation
from mer_core.datasets.folds import held_out
from mer_core.datasets.reading import list_subjects, published, read_dataset
from mer_core.simulation.plan import ROMAN, SIZES, ActionUnit, Clip, people_used, plan, simulated_subjects
from mer_core.simulation.writers import simulate

TINY = Simulation(
    size="tiny", faces="packaged", frames="key", casme2_tree="cropped", micro_strength=0.5, seed=0
)
SAMM = Samm(layout="samm", root="simulated", classes=SAMM_CLASSES | {"Other": "other"})
SETS = [
    SAMM,
    Smic(layout="smic", root="simulated", classes=SMIC_CLASSES),
    Casme(layout="casme", root="simulated", classes=CASME_CLASSES),
    Dfme(layout="dfme", root="simulated", classes=DFME_CLASSES),
    Fourdme(layout="fourdme", root="simulated", classes=FOURDME_CLASSES),
    CasmeSq(layout="casme_sq", root="simulated", classes=CASME_SQ_CLASSES),
    SammLong(layout="samm_long", root="simulated", classes=SAMM_LONG_CLASSES),
    Mmew(layout="mmew", root="simulated", classes=MMEW_CLASSES),
    Casme3(layout="casme3", root="simulated", classes=CASME3_CLASSES | {"others": "others"}),
]
DEFECTS = {
    "samm": {"apex_outside": 2},
    "smic": {},
    "dfme": {},
    "fourdme": {"several_labels": 1},
    "casme_sq": {"missing_apex": 1},
    "samm_long": {"missing_apex": 1},
    "mmew": {"apex_outside": 1},
    "casme": {"missing_apex": 1},
    # Two recordings show nothing but macro-expressions.
    "casme3": {"repaired_interval": 1, "degenerate_apex": 1, "frames_without_annotation": 2},
}
USUAL = ["one_class_subject", "frame_gaps", "key_frames_only"]
each_set = pytest.mark.parametrize("settings", SETS, ids=lambda settings: settings.layout)


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    for settings in SETS:
        simulate(settings.layout, folder / settings.layout, TINY)
    return folder


@each_set
def test_the_full_plan_has_the_published_counts(settings):
    clips, known = plan(settings.layout, "full", 0), published(settings)
    counts = Counter(clip.label.lower() for clip in clips if not clip.macro)
    if known.labels:
        assert counts == known.labels
    else:
        assert counts.total() == {"fourdme": 267, "casme_sq": 57}[settings.layout]
    everybody = set(simulated_subjects(settings.layout, "full"))
    assert {clip.subject for clip in clips} == everybody
    assert not known.subjects or everybody == set(known.subjects)
    assert len({(clip.subject, clip.name, clip.onset) for clip in clips}) == len(clips)


@each_set
def test_what_is_written_is_read(roots, settings):
    samples, defects = read_dataset(settings.layout, settings, roots / settings.layout, {})
    samples = samples[~samples.reason.str.startswith("macro")]
    clips = [clip for clip in plan(settings.layout, "tiny", 0) if not clip.macro]
    assert samples.included.all()
    read = samples[["subject", "label_raw", "onset", "offset"]].itertuples(index=False, name=None)
    assert {*read} == {(clip.subject, clip.label.lower(), clip.onset, clip.offset) for clip in clips}
    annotated = samples[samples.apex_source == "annotated"]
    truth = {(clip.subject, clip.onset, clip.apex) for clip in clips}
    assert {*annotated[["subject", "onset", "apex"]].itertuples(index=False, name=None)} <= truth
    assert Counter(defects.defect[~defects.defect.isin([*USUAL, "absent_class"])]) == DEFECTS[settings.layout]
    place = list_subjects(settings.layout, settings, roots / settings.layout)
    assert place == people_used(settings, "tiny", 0) == sorted(set(samples.subject))


MACRO = [
    CasmeSq(
        layout="casme_sq",
        root="simulated",
        classes=CASME_SQ_CLASSES,
        expressions="macro",
        missing_offset="mirror",
    ),
    Casme3(
        layout="casme3",
        root="simulated",
        classes={name: name for name in ROMAN},
        expressions="macro",
        labels="objective",
    ),
]


@pytest.mark.parametrize("settings", MACRO, ids=lambda settings: settings.layout)
def test_macro_expressions_of_the_same_people(roots, settings):
    """As many as planned and more people than show micro-expressions, among them all of these."""
    samples, defects = read_dataset(settings.layout, settings, roots / settings.layout, {})
    used = samples[samples.included]
    clips = plan(settings.layout, "tiny", 0)
    planned = {(clip.subject, clip.onset, clip.apex, clip.offset) for clip in clips if clip.macro}
    assert {*used[["subject", "onset", "apex", "offset"]].itertuples(index=False, name=None)} == planned
    assert {clip.subject for clip in clips if not clip.macro} < {*used.subject}
    missing = Counter(defects.defect)["missing_offset"]
    assert missing == (2 if settings.layout == "casme_sq" else 0)
    assert people_used(settings, "tiny", 0) == sorted(set(used.subject))
    full = [clip for clip in plan(settings.layout, "full", 0) if clip.macro]
    assert len(full) == {"casme_sq": 300, "casme3": 3346}[settings.layout]


def test_macro_expressions_of_mmew_show_its_people(roots, tmp_path):
    """Each by an image that is more like those of the same person among the micro-expressions."""
    simulate("mmew_macro", tmp_path, TINY)
    classes = {name: name for name in ("anger", "disgust", "fear", "happiness", "sadness", "surprise")}
    settings = MmewMacro(layout="mmew_macro", root="simulated", classes=classes)
    samples, defects = read_dataset("mmew_macro", settings, tmp_path, {})
    planned = {(clip.subject, clip.name, clip.label) for clip in plan("mmew_macro", "tiny", 0)}
    assert {*samples[["subject", "clip", "label"]].itertuples(index=False, name=None)} == planned
    assert samples.included.all() and defects.empty
    people = simulated_subjects("mmew", "tiny")
    assert people == simulated_subjects("mmew_macro", "tiny") == list_subjects("macro", settings, tmp_path)
    colours = {
        person: mean_colour((roots / "mmew").glob(f"Micro_Expression/*/{person}-*/*.jpg"))
        for person in people
    }
    for person in people:
        shown = mean_colour(tmp_path.glob(f"Macro_Expression/{person}/*/*.jpg"))
        nearest = min(people, key=lambda one: np.abs(colours[one] - shown).max())
        assert nearest == person and np.abs(colours[person] - shown).max() < 5
    assert len(plan("mmew_macro", "full", 0)) == 900


def mean_colour(files):
    return np.mean([np.asarray(Image.open(file)).mean(axis=(0, 1)) for file in files], axis=0)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ("valence", {"negative": "negative", "positive": "positive", "surprise": None}),
        ("type", {"micro-expression": "micro", "macro-expression": "macro"}),
    ],
)
def test_people_under_other_labels(roots, labels, classes):
    given = {"labels": labels, "classes": classes, "expressions": "all", "missing_offset": "mirror"}
    settings = CasmeSq(layout="casme_sq", root="simulated", **given)
    samples, _ = read_dataset("casme_sq", settings, roots / "casme_sq", {})
    assert people_used(settings, "tiny", 0) == sorted({*samples.subject[samples.included]})


@pytest.mark.parametrize(("text", "number"), [("12+6", 1), ("L14", 7), ("4+10", 7), ("4+7+9", 4), ("2+1", 2)])
def test_objective_classes_follow_from_action_units(text, number):
    units = tuple(ActionUnit(int(unit.strip("LR")), "", 1.0) for unit in text.split("+"))
    assert Clip("s", "c", "others", 1, 2, 3, units, 2, text).objective_class == number


def test_classes_that_stand_in_another_table(tmp_path):
    simulate("casme2", tmp_path / "casme2", TINY)
    classes = {str(number): f"class{number}" for number in range(1, 8)}
    shipped = CONFIG.datasets["casme2"]
    settings = shipped.model_copy(update={"labels": "objective", "classes": classes})
    samples, _ = read_dataset("casme2", settings, tmp_path / "casme2", {})
    planned = {(clip.subject, clip.name): str(clip.objective_class) for clip in plan("casme2", "tiny", 0)}
    assert samples.set_index(["subject", "clip"]).label_raw.to_dict() == planned
    assert people_used(settings, "tiny", 0) == sorted({*samples.subject})
    for layout in ("casme2", "samm"):  # the composite of MEGC 2018
        assert {1, 2, 3, 4, 5} <= {clip.objective_class for clip in plan(layout, "full", 0)}


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


def test_quirks_of_casme(roots):
    assert [*roots.glob("casme/CASME_A/Section A/sub07/*/EP*-[0-9]*.jpg")]
    assert [*roots.glob("casme/CASME_B/Section B/sub08/*/img[0-9]*.jpg")]
    table = (roots / "casme/CASME_A/Section A/Section A.xls").read_bytes()
    rows = [*openpyxl.load_workbook(io.BytesIO(table)).active.values]
    assert rows[0][8:10] == ("Onset", "Total"), "milliseconds"
    assert any(row[5] == "\\" for row in rows)


def test_quirks_of_casme3(roots):
    book = openpyxl.load_workbook(roots / "casme3" / "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx")
    assert book.sheetnames == ["label", "Sheet1", "Sheet3"]
    rows = [*book["label"].values][1:]
    assert all(isinstance(cell, str) for row in rows for cell in row)
    assert len({row[:2] for row in rows}) < len(rows)
    assert [*roots.glob("casme3/part_A/spNo.1/a/depth/*.png")]
    assert all(not path.name.startswith("0") for path in roots.glob("casme3/part_A/*/*/color/*.jpg"))


def test_quirks_of_dfme(roots):
    dfme = SETS[[settings.layout for settings in SETS].index("dfme")]
    samples, _ = read_dataset("dfme", dfme, roots / "dfme", {})
    assert set(samples.split) == {"train", "test_a", "test_b"}
    assert samples.fps.nunique() == 3
    assert 0 in set(samples.onset)
    assert [*roots.glob("dfme/train_data/sub0001_*/00*.png")]
    assert held_out(samples, "test", "split") == ["sub0003", "sub0004"]


def test_quirks_of_mmew(roots):
    folders = {path.parts[-3:-2] for path in roots.glob("mmew/Micro_Expression/*/*/*.jpg")}
    assert ("repression",) in folders and ("others",) not in folders
    assert all(not path.name.startswith("0") for path in roots.glob("mmew/Micro_Expression/*/*/*.jpg"))


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
