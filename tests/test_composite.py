"""Datasets put together: people keep theirs, parts are scored of the same answers, misfits are refused."""

import re
import runpy
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mer_core.config.evaluation import Evaluation, Scoring
from mer_core.config.experiment import load_config
from mer_core.config.layouts.composite import MEGC2018, MEGC2019, Composite, challenge
from mer_core.datasets import composite
from mer_core.datasets.folds import held_out
from mer_core.datasets.manifest import assemble, included, new_sample
from mer_core.errors import UserError
from mer_core.evaluation.metrics import confusion_matrices, scores
from mer_core.evaluation.statistics import majority_answers, score_variant
from mer_core.report import challenges
from mer_core.report.tables import Results, build_tables
from mer_core.simulation.plan import people_used, plan

ROOT = Path(__file__).parent.parent
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
PROTOCOL = yaml.safe_load((ROOT / "configs" / "megc2019.yaml").read_text())
CLASSES = ["negative", "positive", "surprise"]
LAYOUTS = {"smic": "smic", "casme2": "casme2", "samm": "samm"}
SCORING = Scoring(confidence=0.95, bootstrap=100, seed=0, partial=False)


def protocol(**changes):
    datasets = {**SHIPPED["datasets"], **PROTOCOL["datasets"]}
    datasets["casme2"] = SHIPPED["datasets"]["casme2"] | PROTOCOL["datasets"]["casme2"]
    return SHIPPED | PROTOCOL | {"datasets": datasets} | changes


def whole(**changes):
    values = {"layout": "composite", "parts": [*LAYOUTS], "classes": {name: name for name in CLASSES}}
    return Composite.model_validate(values | changes)


def published(known=MEGC2019):
    """Manifests that hold the published number of clips of each class and part, two people each."""
    for layout, (counts, _) in known.items():
        labels = [label for label, count in counts.items() for _ in range(count)]
        yield assemble(
            new_sample(layout, f"{1 + n % 2:03d}", f"c{n}", label=label, frame_path="a.png", fps=200.0)
            for n, label in enumerate(labels)
        )


def test_people_of_two_datasets_never_meet():
    parts = [*published()]
    joined = composite.join(whole(), parts, "here")
    assert len(joined) == 442
    assert joined.subject.nunique() == 6
    assert set(joined.subject[joined.dataset == "samm"]) == {"samm-001", "samm-002"}
    assert joined.sample_id.tolist() == [sample for part in parts for sample in part.sample_id]
    assert held_out(joined, "samm", "dataset") == ["samm-001", "samm-002"]
    with pytest.raises(UserError, match="it has casme2, samm, smic"):
        held_out(joined, "samm-001", "dataset")


def test_a_class_may_be_left_out():
    classes = {"negative": None, "positive": "positive", "surprise": "surprise"}
    joined = composite.join(whole(classes=classes), [*published()], "here")
    assert included(joined).label.value_counts().to_dict() == {"positive": 109, "surprise": 83}
    assert joined.reason[~joined.included].unique().tolist() == ["class 'negative' is mapped to null"]


def test_the_summary_stands_beside_the_published_counts():
    left_out = new_sample("casme2", "sub05", "EP09_05f", included=False, reason="degenerate_apex: why")
    parts = [*published()]
    parts[1] = pd.concat([parts[1], assemble([left_out])], ignore_index=True)
    text = composite.summarize("megc2019", composite.join(whole(), parts, "here"), whole(), LAYOUTS)
    cells = {line.split()[0]: line.split()[1:] for line in text.splitlines() if "/" in line[20:]}
    assert cells["negative"] == ["70/70", "88/88", "92/92", "250/250"]
    assert cells["all"] == ["164/164", "145/145", "133/133", "442/442"]
    assert cells["people"] == ["2/16", "2/24", "2/28", "6/68"]
    assert "left out by the rule of the apex: casme2/sub05/EP09_05f\n" in text
    assert max(map(len, text.splitlines())) <= 110


def test_the_summary_of_2018():
    layouts = {"casme2": "casme2", "samm": "samm"}
    settings = whole(classes={name: name for name in MEGC2018["samm"][0]}, parts=[*layouts])
    joined = composite.join(settings, [*published(MEGC2018)], "here")
    text = composite.summarize("megc2018", joined, settings, layouts)
    cells = {line.split()[0]: line.split()[1:] for line in text.splitlines() if "/" in line[20:]}
    assert cells["III"] == ["99/99", "20/20", "119/119"] and cells["people"] == ["2/26", "2/21", "4/47"]
    assert "EP12_01f" not in text, "what is left out of 2019 is said of 2019"


def test_the_whole_is_drawn_apart_from_its_parts():
    manifests = dict(zip(LAYOUTS, published(), strict=True))
    manifests["all"] = composite.join(whole(), [*manifests.values()], "here")
    draw_classes = runpy.run_path(str(ROOT / "workflow_scripts" / "draw_figures.py"))["draw_classes"]
    panels = draw_classes(manifests, dict.fromkeys(manifests, CLASSES), None).axes
    counts = {"smic": 164, "casme2": 145, "samm": 133, "all": 442}
    titles = [f"{name}: {count} samples" for name, count in counts.items()]
    assert [panel.get_title("left") for panel in panels] == titles


def test_the_floor_of_the_challenge():
    answers = majority_answers(composite.join(whole(), [*published()], "here"))
    score = score_variant("", answers, CLASSES, SCORING)
    means = [score[name]["mean"] for name in ("accuracy", "macro_f1", "uar")]
    assert means == pytest.approx([0.5656, 0.2408, 0.3333], abs=5e-5)
    printed = {"smic": (0.4268, 0.1994), "casme2": (0.6069, 0.2518), "samm": (0.6917, 0.2726)}
    for name, part in score["parts"].items():
        assert (part["accuracy"]["mean"], part["macro_f1"]["mean"]) == pytest.approx(printed[name], abs=5e-5)


def test_a_mean_over_folds_would_cap_a_perfect_answer():
    """Of the challenge's 68 people 23 show one class alone, which the others' classes then cannot mend."""
    # 29 of two classes and 16 of three: as many as the published mean of .632 leaves room for.
    shown = [CLASSES[:1]] * 23 + [CLASSES[:2]] * 29 + [CLASSES] * 16
    rows = [
        {
            "sample_id": f"samm/{person}/{label}",
            "subject": f"{person:02d}",
            "label": label,
            "predicted": label,
        }
        for person, labels in enumerate(shown)
        for label in labels
    ]
    frame = pd.DataFrame(rows)
    by_fold = scores(confusion_matrices(frame, CLASSES, by=["subject"]))["macro_f1"]
    assert len(shown) == 68 and by_fold.mean() == pytest.approx(0.632, abs=0.0005)
    assert score_variant("", frame.assign(seed=0), CLASSES, SCORING)["macro_f1"]["mean"] == 1.0


def test_parts_only_of_several_datasets():
    [smic, *_] = published()
    assert score_variant("", majority_answers(smic), CLASSES, SCORING)["parts"] == {}


def test_printed_cells_that_no_table_gives_are_marked():
    found, _ = challenges.printed(MEGC2019, LAYOUTS, is_holdout=False)
    rows = {row["method"]: row.get("note") for row in found}
    assert rows["LBP-TOP (challenge), printed"] == "no table: smic"
    assert rows["HTNet, printed"] == challenges.PEEKED
    assert rows["CapsuleNet, printed"] == challenges.MEANS
    assert rows["STSTNet, printed"] == ""


def test_the_shipped_protocol():
    config = load_config(protocol())
    layouts = {name: config.datasets[name].layout for name in config.parts_of(config.target)}
    assert challenge(layouts, config.datasets[config.target].class_names) is MEGC2019
    assert config.used == ["smic", "casme2", "samm", "megc2019", "ckplus"]
    assert "megc2019" in config.simulated
    assert config.alignment_of("megc2019") == config.alignment
    subjects = {name: ["a", "b"] for name in config.used}
    assert load_config(protocol(folds_by="dataset")).with_subjects(subjects).fold_names == [*LAYOUTS]


def test_a_model_crops_as_all_parts_are_cropped_or_is_refused():
    document = protocol()
    parts = document["datasets"]["megc2019"]["parts"]
    closer = {"eye_distance": 0.4, "landmarks": "points.csv"}
    document["datasets"] = document["datasets"] | {
        part: document["datasets"][part] | {"alignment": closer} for part in parts
    }
    assert load_config(document).alignment_of("megc2019").eye_distance == 0.4
    document["datasets"]["samm"] = document["datasets"]["samm"] | {"alignment": {"landmarks": "points.csv"}}
    with pytest.raises(
        UserError, match=r"megc2019: its parts \(smic, casme2, samm\) are cropped differently"
    ):
        load_config(document).alignment_of("megc2019")


@pytest.mark.parametrize(
    ("classes", "parts", "message"),
    [
        (
            {"negative": "negative", "positive": "positive"},
            None,
            "lacks surprise of samm; to use what all parts have, write {negative: negative, "
            "positive: positive, surprise: null}",
        ),
        (None, ["smic", "ckplus"], "lacks anger of ckplus, contempt of ckplus"),
        (None, ["smic", "nobody"], "parts: nobody not under datasets"),
        (None, ["smic", "megc2019"], "parts: megc2019 is put together itself; name its parts"),
        (None, ["smic", "smic"], "a part stands twice"),
    ],
)
def test_parts_that_do_not_fit_are_refused(classes, parts, message):
    document = protocol()
    section = dict(document["datasets"]["megc2019"])
    section |= ({"classes": classes} if classes else {}) | ({"parts": parts} if parts else {})
    document["datasets"] = document["datasets"] | {"megc2019": section}
    with pytest.raises(UserError, match=re.escape(message)):
        load_config(document)


def test_the_mapping_that_is_offered_works():
    document = protocol()
    section = document["datasets"]["megc2019"] | {"parts": ["smic", "casme2"]}
    casme2 = document["datasets"]["casme2"]
    casme2 = casme2 | {"classes": casme2["classes"] | {"others": "others"}}
    section["classes"] = section["classes"] | {"others": "others"}
    document["datasets"] = document["datasets"] | {"megc2019": section, "casme2": casme2}
    with pytest.raises(UserError, match="smic has no others") as refused:
        load_config(document)
    section["classes"] = yaml.safe_load(re.search(r"write (\{.*?\})", str(refused.value))[1])
    document["datasets"]["megc2019"] = section
    assert load_config(document).datasets["megc2019"].class_names == CLASSES


def test_only_a_composite_can_leave_a_dataset_out():
    with pytest.raises(UserError, match="folds_by: casme2 is one dataset"):
        load_config(SHIPPED | {"folds_by": "dataset"})
    with pytest.raises(UserError, match="folds: each part is left out in turn; set null"):
        load_config(protocol(folds_by="dataset", folds={"groups": 2}))


def test_the_shipped_pair_and_one_of_two_cameras():
    own = yaml.safe_load((ROOT / "configs" / "cdmer.yaml").read_text())
    datasets = SHIPPED["datasets"] | own["datasets"]
    datasets["casme2"] = SHIPPED["datasets"]["casme2"] | own["datasets"]["casme2"]
    pair = load_config(SHIPPED | own | {"datasets": datasets})
    assert pair.fold_names == ["casme2", "smic"] and pair.shared_parts("pair") == []
    datasets["vis"] = datasets["smic"] | {"root": "own", "camera": "VIS"}
    datasets["pair"] = datasets["pair"] | {"parts": ["smic", "vis"]}
    cameras = load_config(SHIPPED | own | {"datasets": datasets})
    assert cameras.shared_parts("pair") == [("smic", "vis")]


@pytest.mark.parametrize("shares", [False, True])
def test_training_on_one_part_and_testing_on_the_other_is_said(shares):
    """CDMER's pairs: what the columns of the parts then are, and that two cameras see the same events."""
    samples = pd.DataFrame(
        {
            "sample_id": [f"{part}/{n}" for part in ("fast", "slow") for n in range(6)],
            "subject": [f"{part}-s{n % 2}" for part in ("fast", "slow") for n in range(6)],
            "label": CLASSES * 4,
        }
    )
    answers = samples.assign(predicted=CLASSES[0], seed=0)
    results = Results(
        metrics={"dual": score_variant("dual", answers, CLASSES, SCORING)},
        predictions={"dual": answers},
        samples=samples,
        variants=[],
        losses={},
        settings=Evaluation(**SCORING.model_dump(), permutations=100),
        simulated=["fast", "slow", "cameras"],
        dataset="cameras",
        layouts={"fast": "smic", "slow": "smic"},
        groups="dataset",
        shared=[("fast", "slow")] if shares else [],
    )
    table = build_tables(results)["parts"]
    assert "n = 12 clips, 4 subjects of 2 datasets left out in turn, 1 seed" in table.caption
    assert "SIMULATED DATA (fast, slow)" in table.caption
    notes = " ".join(table.notes)
    assert "A part is answered by rows that were trained on the other parts alone" in notes
    assert "not results on one dataset alone" not in notes
    assert ("fast and slow show the same people" in notes) == shares


@pytest.mark.parametrize("real", [False, True])
def test_each_part_of_megc2018_has_a_floor_of_its_own(real):
    """The published ones are accuracy .5351 and .3529, UAR .2: of III on CASME II, and of I on SAMM."""
    samples = pd.DataFrame(
        [
            {"sample_id": f"{part}/{label}{n}", "subject": f"{part}-{n % 3}", "label": label}
            for part, (counts, _) in MEGC2018.items()
            for label, count in counts.items()
            for n in range(count)
        ]
    )
    answers = samples.assign(predicted="I", seed=0)
    classes = [*MEGC2018["samm"][0]]
    table = build_tables(
        Results(
            metrics={"dual": score_variant("dual", answers, classes, SCORING)},
            predictions={"dual": answers},
            samples=samples,
            variants=[],
            losses={},
            settings=Evaluation(**SCORING.model_dump(), permutations=100),
            simulated=[] if real else ["casme2", "both"],
            dataset="both",
            layouts={"casme2": "casme2", "samm": "samm"},
            groups="dataset",
        )
    )["parts"]
    titles = ("accuracy (%)", "UF1", "UAR")
    assert [*table.shown] == ["Row", *(f"{part} {title}" for part in MEGC2018 for title in titles), "Note"]
    assert table.about[:2] == [["dual"], []], "what the page's filter goes by"
    rows = table.frame.set_index("method")
    floors = ["always the commonest class", challenges.PUBLISHED_FLOOR]
    for floor in floors[: 1 + real]:
        columns = ["casme2_accuracy", "samm_accuracy", "casme2_uar", "samm_uar"]
        assert rows.loc[floor, columns].tolist() == pytest.approx([53.51, 35.29, 0.2, 0.2], abs=0.005)
    quoted = {"SSSNet (MEB), printed", challenges.PUBLISHED_FLOOR}
    assert {*rows.index[rows.kind == "printed"]} == (quoted if real else set())
    assert any("calls WAR" in note for note in table.notes) == real


def test_the_published_floor_of_megc2019():
    [*_, floor], _ = challenges.printed(MEGC2019, LAYOUTS, is_holdout=False)
    columns = [f"{part}_{metric}" for part in ("whole", *LAYOUTS) for metric in ("macro_f1", "uar")]
    assert [floor[name] for name in columns] == pytest.approx(
        [0.2408, 1 / 3, 0.1994, 1 / 3, 0.2518, 1 / 3, 0.2726, 1 / 3], abs=5e-5
    )
    assert floor["whole_accuracy"] == pytest.approx(56.56, abs=0.005)


def test_rows_that_left_a_person_out_do_not_stand_beside_datasets_left_out():
    rows, notes = challenges.printed(MEGC2019, LAYOUTS, is_holdout=True)
    assert [row["method"] for row in rows] == [challenges.PUBLISHED_FLOOR] and notes == [*challenges.NOTES]
    rows, _ = challenges.printed(MEGC2018, {"casme2": "casme2", "samm": "samm"}, is_holdout=False)
    assert [row["method"] for row in rows] == [challenges.PUBLISHED_FLOOR]
    assert rows[0]["whole_accuracy"] == pytest.approx(47.04, abs=0.005)
    assert rows[0]["whole_macro_f1"] == pytest.approx(0.1280, abs=5e-5)


def test_the_shipped_protocol_of_2018():
    own = yaml.safe_load((ROOT / "configs" / "megc2018.yaml").read_text())
    datasets = SHIPPED["datasets"] | own["datasets"]
    datasets["casme2"] = SHIPPED["datasets"]["casme2"] | own["datasets"]["casme2"]
    simulation = SHIPPED["simulation"] | own["simulation"]
    config = load_config(SHIPPED | own | {"datasets": datasets, "simulation": simulation})
    layouts = {name: config.datasets[name].layout for name in config.parts_of(config.target)}
    assert challenge(layouts, config.datasets[config.target].class_names) is MEGC2018
    assert challenge(layouts, ["I", "II", "III"]) is None
    assert sum(sum(counts.values()) for counts, _ in MEGC2018.values()) == 253


def test_counts_of_the_protocol():
    total = np.sum([[*counts.values()] for counts, _ in MEGC2019.values()], axis=0)
    assert total.tolist() == [250, 109, 83]
    assert sum(people for _, people in MEGC2019.values()) == 68


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_full_simulation_holds_what_the_protocol_counts(layout):
    dataset = load_config(protocol()).datasets[layout]
    classes = {label.casefold(): name for label, name in dataset.classes.items()}
    used = [
        clip
        for clip in plan(layout, "full", 0)
        if clip.is_kept(dataset.missing_apex) and classes[clip.label.casefold()]
    ]
    counts, people = MEGC2019[layout]
    assert Counter(classes[clip.label.casefold()] for clip in used) == counts
    assert len(people_used(dataset, "full", 0)) == people
