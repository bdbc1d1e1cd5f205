"""Whoever a fold leaves out was seen nowhere else: not in pretraining, not in another part."""

import copy

import pytest
from dataset_samples import CONFIG, draw, read

from mer_core.config.experiment import load_config
from mer_core.config.layouts.mmew_macro import MmewMacro
from mer_core.config.section import dump
from mer_core.datasets.manifest import assemble, included, new_sample
from mer_core.datasets.people import Named, without
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


def test_each_fold_has_a_pretraining_of_its_own_where_the_source_shows_its_people():
    settings = config({"mmew": MICRO, "macro": MACRO}, target="mmew", source="macro")
    for folds in (None, {"groups": 2}):
        settled = load_config(settings | {"folds": folds}).with_subjects(PEOPLE)
        assert settled.shared_with_source == [("mmew", "macro")]
        assert settled.pretraining_splits == ["frame"], "the one that is transferred"
    other = load_config(settings | {"source": "ckplus"}).with_subjects(PEOPLE)
    assert other.shared_with_source == [] and other.pretraining_splits == ["frame", "subject"]


def test_those_who_are_in_no_fold_may_be_in_the_source():
    macro = MACRO | {"subjects": ["S03", "S04"]}
    partial = dump(CONFIG)["evaluation"] | {"partial": True}
    settings = config({"mmew": MICRO, "macro": macro}, target="mmew", source="macro", evaluation=partial)
    assert not load_config(settings | {"folds": ["S01"]}).with_subjects(PEOPLE).shared_with_source
    for folds in (["S01", "S03"], {"groups": 2}, None):
        assert load_config(settings | {"folds": folds}).with_subjects(PEOPLE).shared_with_source
    settings["datasets"]["macro"]["subjects"] = ["s1", "s6"]
    assert load_config(settings | {"folds": ["S01"]}).with_subjects(PEOPLE).shared_with_source


def test_a_source_of_the_same_people_without_their_names_is_refused():
    still = {"layout": "fer2013", "root": "own", "people_of": "mmew", "classes": {"anger": "a", "fear": "b"}}
    settings = config({"mmew": MICRO, "stills": still}, target="mmew", source="stills")
    with pytest.raises(UserError, match=r"source: stills shows people of mmew and does not tell whom.* name"):
        load_config(settings).with_subjects(PEOPLE)


def test_one_network_cannot_describe_everybody_where_the_source_shows_them():
    row = {
        "name": "selective",
        "features": {"kind": "pretrained", "variant": "dual_transfer"},
        "classifier": {"kind": "svm", "normalization": "standard"},
    }
    settings = config({"mmew": MICRO, "macro": MACRO}, target="mmew", source="macro", baselines=[row])
    with pytest.raises(UserError, match=r"baselines: selective would describe everybody by one network"):
        load_config(settings).with_subjects(PEOPLE)
    assert load_config(settings | {"source": "ckplus"}).with_subjects(PEOPLE)


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
    assert load_config(settings).with_subjects(every).shared_with_source == [("mmew", "macro")]
    datasets["macro"] = table
    settings = config(datasets, target="both", source="macro")
    assert load_config(settings).with_subjects(every).shared_with_source == []
    for unknown in ("nobody", "macro", "both"):
        datasets["macro"] = table | {"people_of": unknown}
        with pytest.raises(UserError, match=rf"datasets.macro.people_of: '{unknown}' is none of"):
            load_config(config(datasets, target="both", source="macro"))


def test_people_of_a_dataset_that_is_not_used_are_the_same_all_the_same():
    table = {"layout": "tabular", "root": "own", "table": "t.csv", "classes": MICRO["classes"]}
    whole = {"people_of": "whole"}
    both = {
        "layout": "composite",
        "parts": ["micro", "other"],
        "classes": {"happy": "happy", "angry": "angry"},
    }
    datasets = {"whole": table, "micro": table | whole, "other": table, "both": both, "macro": table | whole}
    every = {"micro": PEOPLE, "both": [f"micro-{name}" for name in PEOPLE] + ["other-S01"]}
    for target, people in every.items():
        left = load_config(config(datasets, target=target, source="macro")).with_subjects(people)
        assert left.shared_with_source == [("micro", "macro")] and "whole" not in left.datasets
    datasets = {"mmew": MICRO, "mine": table | {"people_of": "mmew"}, "macro": MACRO}
    left = load_config(config(datasets, target="mine", source="macro")).with_subjects(PEOPLE)
    assert left.shared_with_source == [("mine", "macro")]
    datasets = {"whole": table, "micro": table | whole, "macro": table}
    left = load_config(config(datasets, target="micro", source="macro")).with_subjects(PEOPLE)
    assert left.shared_with_source == []


def manifest(name, people, part=None):
    seen = {"label": "a", "frame_path": "a.jpg"}
    samples = [new_sample(part or name, person, clip, **seen) for person in people for clip in "ab"]
    return Named(name, assemble(samples))


@pytest.mark.parametrize("composite", [False, True])
def test_nobody_takes_part_whom_the_fold_leaves_out(composite):
    people = ["mmew-S01", "mmew-S02", "mmew-S03"] if composite else ["S01", "S02", "S03"]
    target = manifest("both" if composite else "mmew", people, part="mmew")
    source = manifest("macro", ["S01", "S02", "S03", "S09"])
    rest = without(source, target, [people[0], people[2]], [("mmew", "macro")])
    assert {*included(rest).subject} == {"S02", "S09"}
    gone = rest[~rest.included]
    assert {*gone.subject} == {"S01", "S03"}
    otherwise = manifest("macro", ["s1", "S02", "s003", "S09"])
    rest = without(otherwise, target, [people[0], people[2]], [("mmew", "macro")])
    assert {*included(rest).subject} == {"S02", "S09"}, "neither case nor zeros make another person"
    assert {*gone.reason} == {"left out by the fold: the target shows this person, too"}
    assert {*included(without(source, target, people, [])).subject} == {*source.manifest.subject}


def test_a_source_in_which_nobody_can_be_left_out_or_nobody_is_left():
    target = manifest("mmew", ["S01", "S02"])
    with pytest.raises(UserError, match=r"none bears the same name in both \(P1, P2; S01, S02\)"):
        without(manifest("macro", ["P1", "P2"]), target, ["S01"], [("mmew", "macro")])
    with pytest.raises(UserError, match="nothing of macro is left without those whom one fold leaves out"):
        without(manifest("macro", ["S01", "S02"]), target, ["S01", "S02"], [("mmew", "macro")])


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


def test_images_of_other_names_are_told(tmp_path):
    for name in (
        "S01/anger/S01-07-001",
        "S01/anger/S01_07_002",
        "S02/anger/S02-07-001",
        "S02/anger/S02-07-0002",
    ):
        draw(tmp_path / f"Macro_Expression/{name}.jpg")
    draw(tmp_path / "Micro_Expression/anger/clip 1/1.jpg")
    samples, defects = read(tmp_path, macro())
    told = defects[defects.defect == "frames_without_annotation"]
    assert len(samples) == 2 and told.file.str[-9:].tolist() == ["S01/anger", "S02/anger"]
    assert told.action.iloc[0] == "not used: 1 images not named as S01-07-001.jpg, first S01_07_002.jpg"


def test_an_image_in_the_folders_of_two_labels_is_left_out(tmp_path):
    for path in ("S01/anger/S01-07-001", "S01/happiness/S01-07-001", "S01/anger/S01-07-002"):
        draw(tmp_path / f"{path}.jpg")
    draw(tmp_path / "S01/other/S01-07-002.jpg")
    samples, defects = read(tmp_path, macro())
    assert samples.included.to_dict() == {"S01-07-001": False, "S01-07-002": True}
    found = defects.set_index("defect").action
    assert found["conflicting_annotation"] == (
        "left out: anger by S01/anger/S01-07-001.jpg, happiness by S01/happiness/S01-07-001.jpg"
    )
    assert found["ambiguous_frames"] == "S01/anger/S01-07-002.jpg is used"


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
