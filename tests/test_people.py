"""Whoever a fold leaves out was seen nowhere else: not in pretraining, not in another part."""

import copy
import re

import pytest
import yaml
from dataset_samples import CONFIG, draw, read

from mer_core.config.experiment import load_config
from mer_core.config.layouts.mmew_macro import MmewMacro
from mer_core.config.section import dump
from mer_core.datasets.reading import list_subjects
from mer_core.errors import UserError

ROWS = [row for row in dump(CONFIG)["variants"] if row["name"] in {"dual", "dual_transfer"}]
PEOPLE = ["S01", "S02", "S03", "S04", "S05"]
MICRO = {"layout": "mmew", "root": "own", "classes": {"happiness": "happy", "anger": "angry"}}
MACRO = {"layout": "mmew_macro", "root": "own", "classes": {"happiness": "happy", "anger": "angry"}}


def config(datasets, **changes):
    shipped = dump(CONFIG)
    return (
        shipped
        | {"datasets": shipped["datasets"] | copy.deepcopy(datasets), "baselines": [], "variants": ROWS}
        | changes
    )


def written(settings, message):
    """The settings with what a message says to write laid over them."""
    for path, value in re.findall(r"((?:datasets|doctor)\.[\w.]+): (\[[^]]*\]|\{[^}]*\})", message):
        place = settings
        *above, key = path.split(".")
        for name in above:
            place = place.setdefault(name, {})
        place[key] = yaml.safe_load(value)
    return settings


def test_a_source_that_shows_who_is_left_out_is_refused_with_what_to_write():
    settings = config({"mmew": MICRO, "macro": MACRO}, target="mmew", source="macro")
    with pytest.raises(UserError, match="source: macro shows people of mmew whom folds leave out") as refused:
        load_config(settings).with_subjects(PEOPLE)
    mended = load_config(written(settings, str(refused.value)))
    tested, pretrained = mended.datasets["mmew"].subjects, mended.datasets["macro"].subjects
    assert not {*tested} & {*pretrained} and {*tested, *pretrained} == {*PEOPLE}
    assert mended.doctor.severity["unlisted_subject"] == "warning"
    assert mended.with_subjects(tested).folds == tested
    with pytest.raises(UserError, match="pretraining would have seen them"):
        mended.with_subjects(PEOPLE)


def test_those_who_are_in_no_fold_may_be_in_the_source():
    macro = MACRO | {"subjects": ["S03", "S04"]}
    partial = dump(CONFIG)["evaluation"] | {"partial": True}
    settings = config({"mmew": MICRO, "macro": macro}, target="mmew", source="macro", evaluation=partial)
    assert load_config(settings | {"folds": ["S01"]}).with_subjects(PEOPLE).folds == ["S01"]
    for folds in (["S01", "S03"], {"groups": 2}, None):
        with pytest.raises(UserError, match="pretraining would have seen them"):
            load_config(settings | {"folds": folds}).with_subjects(PEOPLE)


def test_a_source_that_no_row_uses_does_no_harm():
    settings = config({"mmew": MICRO, "macro": MACRO}, target="mmew", source="macro", variants=ROWS[:1])
    assert load_config(settings).with_subjects(PEOPLE).source is None


def test_people_of_a_part_and_people_that_only_a_key_tells():
    table = {"layout": "tabular", "root": "own", "table": "t.csv", "classes": MICRO["classes"]}
    both = {
        "layout": "composite",
        "parts": ["mmew", "other"],
        "classes": {"happy": "happy", "angry": "angry"},
    }
    datasets = {"mmew": MICRO, "other": table, "both": both, "macro": table | {"people_of": "mmew"}}
    settings = config(datasets, target="both", source="macro")
    every = [f"mmew-{name}" for name in PEOPLE] + ["other-S01"]
    with pytest.raises(UserError, match="macro shows people of mmew whom folds leave out") as refused:
        load_config(settings).with_subjects(every)
    assert 'datasets.macro.subjects: ["S02", "S04"]' in str(refused.value), "without the name of the part"
    datasets["macro"] = table
    assert load_config(config(datasets, target="both", source="macro")).with_subjects(every)
    for unknown in ("nobody", "macro", "both"):
        datasets["macro"] = table | {"people_of": unknown}
        with pytest.raises(UserError, match=rf"datasets.macro.people_of: '{unknown}' is none of"):
            load_config(config(datasets, target="both", source="macro"))


def smic(camera):
    classes = {"negative": "negative", "positive": "positive", "surprise": "surprise"}
    return {"layout": "smic", "root": "own", "camera": camera, "missing_apex": "midpoint", "classes": classes}


def test_two_cameras_are_no_two_sets_of_people():
    """To train on one and test on the other there is folds_by: dataset, as the message says."""
    both = {"layout": "composite", "parts": ["fast", "slow"], "classes": smic("HS")["classes"]}
    datasets = {"fast": smic("HS"), "slow": smic("VIS"), "cameras": both}
    with pytest.raises(UserError, match="fast and slow show the same people") as refused:
        load_config(config(datasets, target="cameras", source=None, variants=ROWS[:1]))
    assert "set target: cameras and folds_by: dataset" in str(refused.value)
    changes = {"target": "cameras", "source": None, "variants": ROWS[:1], "folds_by": "dataset"}
    mended = load_config(config(datasets, **changes))
    assert mended.fold_names == ["fast", "slow"]
    assert mended.shared_parts("cameras") == [("fast", "slow")]


def test_parts_of_other_people_are_not_meddled_with():
    both = {"layout": "composite", "parts": ["fast", "macro"], "classes": {"surprise": "s", "positive": "p"}}
    classes = {"surprise": "surprise", "happiness": "positive"}
    datasets = {"fast": smic("HS"), "macro": MACRO | {"classes": classes}}
    datasets["fast"]["classes"] = datasets["fast"]["classes"] | {"negative": None}
    assert load_config(config(datasets | {"both": both})).shared_parts("both") == []


def macro(**changes):
    return MmewMacro.model_validate(
        MACRO | {"classes": {"anger": "anger", "happiness": "happiness"}} | changes
    )


def test_the_macro_expressions_of_mmew(tmp_path):
    for path in ("S01/anger/S01-07-001.jpg", "S01/Happiness/S01-01-002.jpg", "S02/anger/S02-07-001.jpg"):
        draw(tmp_path / "Macro_Expression" / path)
    draw(tmp_path / "Micro_Expression/anger/S01-07-001/1.jpg")
    for root in (tmp_path, tmp_path / "Macro_Expression", tmp_path / "Macro_Expression/S01"):
        samples, defects = read(root, macro())
        assert samples.index.tolist()[:2] == ["S01-07-001", "S01-01-002"]
        assert samples.label.tolist()[:2] == ["anger", "happiness"] and samples.onset.isna().all()
        assert set(defects.defect) <= {"one_class_subject"}
    assert list_subjects("macro", macro(), tmp_path) == ["S01", "S02"]


def test_an_image_among_another_persons(tmp_path):
    draw(tmp_path / "S02/anger/S01-07-001.jpg")
    draw(tmp_path / "S01/happiness/S01-01-001.jpg")
    samples, defects = read(tmp_path, macro())
    assert samples.subject.tolist() == ["S01", "S01"]
    assert (
        defects.set_index("defect").action["other_person"]
        == "counted as S01, among the images of S02; move it there"
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no images there .*give the folder of your copy"):
        read(tmp_path / "empty", macro())
