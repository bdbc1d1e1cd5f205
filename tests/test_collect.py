"""What the reader of folds accepts and refuses."""

import itertools
import json
import shutil

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_core.errors import UserError
from mer_core.evaluation.collect import MAX_BYTES, expected_samples, read_folds, refuse_mixed

CLASSES = ["negative", "positive"]
SAMPLES = pd.DataFrame(
    [
        ("d/s1/c1", "s1", "negative"),
        ("d/s1/c2", "s1", "positive"),
        ("d/s2/c1", "s2", "positive"),
        ("d/s3/c1", "s3", "negative"),
    ],
    columns=["sample_id", "subject", "label"],
)
DIGESTS = {"configuration": "1", "cache": "2", "initial_weights": None, "code": "3"}


def write_fold(root, subject, seed=0, name=None, **fold):
    folder = root / f"seed{seed}" / (name or subject)
    folder.mkdir(parents=True)
    rows = SAMPLES[SAMPLES["subject"] == subject].assign(
        predicted="positive", p_negative=0.25, p_positive=0.75
    )
    rows.to_csv(folder / "predictions.csv", index=False)
    fold = {
        "variant": "v",
        "seed": seed,
        "subject": subject,
        "held_out": [subject],
        "digests": DIGESTS,
    } | fold
    (folder / "fold.json").write_text(json.dumps(fold))
    return folder / "predictions.csv"


@pytest.fixture
def paths(tmp_path):
    return [write_fold(tmp_path, s, seed) for seed, s in itertools.product((0, 1), ("s1", "s2", "s3"))]


def read(paths, seeds=(0, 1), partial=False):
    return read_folds(paths, SAMPLES, CLASSES, "v", seeds, partial)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_whole_experiment(paths):
    folds = read(paths)
    assert folds.expected == 6
    assert folds.predictions.columns.tolist() == [
        *("sample_id", "subject", "label", "predicted", "p_negative", "p_positive", "seed", "fold"),
    ]
    assert folds.predictions["seed"].tolist() == [0] * 4 + [1] * 4
    assert folds.predictions["sample_id"].tolist() == [*SAMPLES["sample_id"]] * 2
    assert folds.predictions["p_positive"].tolist() == [0.75] * 8
    pd.testing.assert_frame_equal(read(paths[::-1]).predictions, folds.predictions)


def test_rows_are_joined_by_sample_and_not_by_order(paths):
    header, first, second = paths[0].read_text().splitlines()
    paths[0].write_text(
        "\n".join([header, second.replace("positive,0.25,0.75", "negative,0.75,0.25"), first, ""])
    )
    rows = read(paths).predictions.set_index(["seed", "sample_id"])
    assert rows.loc[0].index.tolist() == SAMPLES["sample_id"].tolist()
    assert rows.loc[(0, "d/s1/c2"), "predicted"] == "negative"
    assert rows.loc[(0, "d/s1/c1"), "predicted"] == "positive"


def test_missing_subject(paths):
    with pytest.raises(
        UserError,
        match=r"v: only 5 of 6 people \(by seed\) are answered, without s2 \(seed 1\); .*partial: true",
    ):
        read([path for path in paths if path.parent.name != "s2" or "seed0" in str(path)])
    assert read(paths[:2], partial=True).expected == 6
    assert read(paths[:2], partial=True).predictions["subject"].tolist() == ["s1", "s1", "s2"]
    with pytest.raises(UserError, match="only 0 of 6"):
        read([], partial=True)


def test_groups_are_told_apart_from_the_people_in_them(tmp_path):
    def grouped(name, people):
        path = write_fold(tmp_path, people[0], name=name, held_out=people)
        rows = SAMPLES[SAMPLES["subject"].isin(people)].assign(predicted="positive", p_negative=0.25)
        rows.assign(p_positive=0.75).to_csv(path, index=False)
        edit(path.with_name("fold.json"), f'"subject": "{people[0]}"', f'"subject": "{name}"')
        return path

    both = [grouped("group1", ["s2"]), grouped("group2", ["s1", "s3"])]
    folds = read(both, seeds=[0])
    assert folds.expected == 2
    assert folds.predictions["subject"].tolist() == ["s1", "s1", "s2", "s3"]
    assert folds.predictions["fold"].tolist() == ["group2", "group2", "group1", "group2"]
    with pytest.raises(UserError, match=r"without s1 \(seed 0\), s3 \(seed 0\)"):
        read(both[:1], seeds=[0])


def test_subject_without_samples_is_no_fold(paths, tmp_path):
    paths.append(write_fold(tmp_path, "s4"))  # writes a header only
    assert read(paths).expected == 6
    edit(paths[-1], "\n", "\nd/s4/c1,s4,positive,positive,0.5,0.5\n")
    with pytest.raises(UserError, match=r"s4.*line 2: sample 'd/s4/c1' is no sample of fold s4"):
        read(paths)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("d/s1/c2,", "d/s1/c9,", "line 3: sample 'd/s1/c9' is no sample of fold s1 to be predicted"),
        ("d/s1/c2,", "d/s2/c1,", "line 3: sample 'd/s2/c1' is no sample of fold s1 to be predicted"),
        ("d/s1/c2,", "d/s1/c1,", "line 3: sample 'd/s1/c1' stands here for the second time"),
        ("c2,s1,", "c2,s2,", "line 3: sample 'd/s1/c2' has another subject than in the manifest"),
        (
            "c2,s1,positive",
            "c2,s1,negative",
            "line 3: sample 'd/s1/c2' has another label than in the manifest",
        ),
        ("positive,0.25", "surprise,0.25", "line 2: .* has in column predicted none of negative, positive"),
        ("positive,0.25", ",0.25", "line 2: .* has in column predicted none of"),
        ("0.25", "0.35", "line 2: .* do not add up to 1"),
        ("0.25,0.75", "-0.25,1.25", "line 2: .* not numbers from 0 to 1"),
        ("0.25,0.75", "-0.0005,1", "line 2: .* not numbers from 0 to 1"),
        ("0.25", "nan", "line 2: .* not numbers from 0 to 1"),
        ("0.25", "inf", "line 2: .* not numbers from 0 to 1"),
        ("0.25", "", "line 2: .* not numbers from 0 to 1"),
        ("0.25", "=1+1", "line 2: .* not numbers from 0 to 1"),
        ("0.25,0.75\n", "0.25\n", "line 2: 5 cells under 6 columns"),
        ("0.75\n", "0.75,1\n", "line 2: 7 cells under 6 columns"),
        ("p_positive", "p_happy", "line 1: the columns are not sample_id, .*, p_positive"),
        ("p_negative,p_positive", "p_positive,p_negative", "line 1: the columns are not"),
        ("sample_id", "\ufeffsample_id", "line 1: the columns are not"),
        ("d/s1/c1", '"d/s1/c1', "line 3: unexpected end of data"),
    ],
)
def test_refuses_a_bad_file(paths, old, new, message):
    edit(paths[0], old, new)
    with pytest.raises(UserError, match=message) as error:
        read(paths)
    assert str(error.value).startswith(f"{paths[0]}: ")
    assert "\n" not in str(error.value)
    assert "; " in str(error.value)


def test_each_fold_may_start_from_weights_of_its_own_where_it_is_told_which(tmp_path):
    def fold(subject, seed, weights):
        digests = DIGESTS | {"initial_weights": weights}
        return write_fold(tmp_path, subject, seed, digests=digests)

    def own(path):
        return "/".join(path.parts[-3:-1])

    people, seeds = ("s1", "s2", "s3"), (0, 1)
    paths = [fold(subject, seed, f"seed{seed}/{subject}") for seed in seeds for subject in people]
    present = {path: {"initial_weights": own(path)} for path in paths}
    assert len(read_folds(paths, SAMPLES, CLASSES, "v", seeds, False, present).predictions) == 8
    with pytest.raises(UserError, match=r"differs from .* in 'initial_weights'"):
        read(paths)
    shutil.rmtree(paths[0].parent)
    paths[0] = fold("s1", 0, "seed0/s2")
    with pytest.raises(UserError, match=r"seed0/s1/fold\.json: was made with other initial weights than"):
        read_folds(paths, SAMPLES, CLASSES, "v", seeds, False, present)


def test_refuses_a_lost_row(paths):
    lines = paths[0].read_text().splitlines(keepends=True)
    paths[0].write_text("".join(lines[:2]))
    with pytest.raises(UserError, match="lacks 1 of 2 samples, such as 'd/s1/c2'"):
        read(paths, partial=True)


def test_refuses_every_truncation(paths):
    whole = paths[0].read_bytes()
    for length in range(len(whole)):
        paths[0].write_bytes(whole[:length])
        with pytest.raises(UserError):
            read(paths)


@pytest.mark.parametrize("key", DIGESTS)
def test_refuses_folds_of_different_experiments(paths, key):
    fold = paths[3].with_name("fold.json")
    fold.write_text(json.dumps(json.loads(fold.read_text()) | {"digests": DIGESTS | {key: "other"}}))
    with pytest.raises(
        UserError,
        match=rf"s1/predictions.csv: differs from .*seed0/s1/predictions.csv in '{key}'; "
        "run the same command again, or delete the older",
    ):
        read(paths)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "lacks one of variant, seed, subject, held_out, digests"),
        ('{"variant": "v", "seed": "0", "subject": "s1", "held_out": ["s1"], "digests": {}}', "lacks one of"),
        (
            '{"variant": "w", "seed": 0, "subject": "s1", "held_out": ["s1"], "digests": {}}',
            "is not of variant v",
        ),
        (
            '{"variant": "v", "seed": 7, "subject": "s1", "held_out": ["s1"], "digests": {}}',
            r"one of the seeds \[0, 1\]",
        ),
        ('{"variant": "v", "seed": 0, "subject": "s1", "held_out": [["s1"]], "digests": {}}', "no subject"),
    ],
)
def test_refuses_a_bad_fold_json(paths, content, message):
    paths[0].with_name("fold.json").write_text(content)
    with pytest.raises(UserError, match=rf"seed0/s1/fold.json: .*{message}"):
        read(paths)


def test_refuses_a_fold_twice_and_what_cannot_be_read(paths, tmp_path):
    with pytest.raises(UserError, match="subject s1 with seed 0 stands in another folder, too"):
        read([*paths, write_fold(tmp_path, "s1", name="copy")])
    paths[0].with_name("fold.json").unlink()
    with pytest.raises(UserError, match=r"fold.json: cannot be read .*No such file"):
        read(paths)
    paths[0] = paths[0].parent
    with pytest.raises(UserError, match="cannot be read"):
        read(paths)
    with paths[1].open("r+b") as huge:
        huge.truncate(MAX_BYTES + 1)
    with pytest.raises(UserError, match="larger than any fold"):
        read(paths[1:])


def test_best_on_test_is_kept_and_must_be_in_all_folds(paths):
    for path in paths:
        rows = pd.read_csv(path)
        rows.assign(predicted_best_on_test=rows["label"]).to_csv(path, index=False)
    predictions = read(paths).predictions
    assert (predictions["predicted_best_on_test"] == predictions["label"]).all()
    edit(paths[5], "0.75,negative", "0.75,x")
    with pytest.raises(UserError, match="has in column predicted_best_on_test none of"):
        read(paths)
    pd.read_csv(paths[5]).drop(columns="predicted_best_on_test").to_csv(paths[5], index=False)
    with pytest.raises(UserError, match="only some folds have the column predicted_best_on_test"):
        read(paths)


def test_expected_samples():
    manifest = SAMPLES.assign(included=[True, True, False, True], dataset="d")
    expected = expected_samples(manifest, absent=["d/s3/c1", "d/s9/c9"])
    assert expected["sample_id"].tolist() == ["d/s1/c1", "d/s1/c2"]
    assert expected.columns.tolist() == ["sample_id", "subject", "label"]


cells = st.sampled_from(
    [
        "d/s1/c1",
        "d/s1/c2",
        "s1",
        "negative",
        "positive",
        "0.25",
        "0.75",
        "1",
        "",
        '"',
        "nan",
        "1e999",
        "\x00",
        "<b>",
    ]
) | st.text(max_size=5)
tables = st.lists(st.lists(cells, max_size=8), max_size=5).map(
    lambda rows: "\n".join(map(",".join, rows)) + "\n"
)
header = "sample_id,subject,label,predicted,p_negative,p_positive\n"


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=60)
    | tables.map(lambda text: text.encode("utf-8", "surrogatepass"))
    | tables.map(lambda text: (header + text).encode("utf-8", "surrogatepass")),
    st.sampled_from(["predictions.csv", "fold.json"]),
)
def test_any_bytes_are_read_or_refused(tmp_path, content, name):
    folder = tmp_path / "fold"
    if not folder.exists():
        write_fold(tmp_path, "s1", name="../fold")
        tmp_path.joinpath("whole").write_bytes((folder / "predictions.csv").read_bytes())
        tmp_path.joinpath("json").write_bytes((folder / "fold.json").read_bytes())
    (folder / "predictions.csv").write_bytes(tmp_path.joinpath("whole").read_bytes())
    (folder / "fold.json").write_bytes(tmp_path.joinpath("json").read_bytes())
    (folder / name).write_bytes(content)
    try:
        folds = read([folder / "predictions.csv"], seeds=[0], partial=True)
    except UserError as error:
        assert len(str(error).splitlines()) == 1
    else:
        rows = folds.predictions
        assert rows["sample_id"].tolist() == ["d/s1/c1", "d/s1/c2"]
        assert rows["predicted"].isin(CLASSES).all()
        assert rows[["p_negative", "p_positive"]].sum(axis=1).between(0.999, 1.001).all()


def test_folds_of_other_settings_or_files_are_refused_with_a_remedy(paths):
    same = [SAMPLES, CLASSES, "v", (0, 1), False]
    made = {"identity": "present", "cache": "faces"}
    for path in paths:
        fold = json.loads(path.with_name("fold.json").read_text())
        start = {"initial_weights": f"run{fold['seed']}"}
        fold["digests"] |= made | start
        path.with_name("fold.json").write_text(json.dumps(fold))
    present = {path: made | {"initial_weights": path.parts[-3].replace("seed", "run")} for path in paths}
    assert read_folds(paths, *same, present).expected == len(paths)
    for key, words in [
        ("identity", "settings or code"),
        ("cache", "faces or inputs"),
        ("initial_weights", "initial weights"),
    ]:
        changed = present | {paths[3]: present[paths[3]] | {key: "another"}}
        with pytest.raises(
            UserError,
            match=rf"seed1/s1/fold\.json: was made with other {words} than .*delete the folder \S+ and run",
        ):
            read_folds(paths, *same, changed)


def test_cost_is_of_the_folds_that_trained(tmp_path):
    given = [(2.0, 100), (4.0, 100), (9.0, 100)]
    paths = [
        write_fold(
            tmp_path,
            subject,
            seconds={"load": 1.0, "train": seconds},
            n_test=3,
            parameters=size,
            multiply_adds=7,
        )
        for subject, (seconds, size) in zip(("s1", "s2", "s3"), given, strict=True)
    ]
    assert read(paths, seeds=(0,)).cost == {"parameters": 100, "multiply_adds": 7, "seconds": 5.0}
    last = json.loads(paths[0].with_name("fold.json").read_text())
    del last["parameters"], last["multiply_adds"]
    paths[0].with_name("fold.json").write_text(json.dumps(last | {"n_test": 0}))
    assert read(paths, seeds=(0,)).cost == {"parameters": 100, "multiply_adds": 7, "seconds": 7.5}


def test_circumstances_of_the_folds_are_gathered_and_a_mixture_is_refused(tmp_path):
    given = [("cpu", "float32", None), ("NVIDIA H100", "bfloat16", "12.8"), ("cpu", "float32", None)]
    paths = [
        write_fold(
            tmp_path,
            subject,
            device=device,
            precision=precision,
            micro_batch=16,
            versions={"torch": "2.11", "cuda": cuda},
        )
        for subject, (device, precision, cuda) in zip(("s1", "s2", "s3"), given, strict=True)
    ]
    folds = read(paths, seeds=(0,))
    assert folds.circumstances == {
        "device": ["NVIDIA H100", "cpu"],
        "precision": ["bfloat16", "float32"],
        "micro_batch": ["16"],
        "torch": ["2.11"],
        "cuda": ["12.8"],
    }
    with pytest.raises(
        UserError, match=r"v: .*\(device NVIDIA H100 and cpu; precision bfloat16 and float32\); delete the"
    ):
        refuse_mixed(folds, "v", tmp_path)
    alone = read(paths[::2], seeds=(0,), partial=True)
    refuse_mixed(alone, "v", tmp_path)
