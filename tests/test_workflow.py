"""The whole workflow on the smallest simulated data, through real Snakemake."""

import ast
import csv
import json
import re
import shutil
from collections import Counter

import pytest
from checkout import ROOT, Checkout, jobs

from mer_core.images import image_size

VARIANTS = ["resnet18_focal", "dual", "dual_transfer"]
BASELINES = ["lbp_apex", "selective", "boosted"]
SUBJECTS = ["sub01", "sub02", "sub03", "sub04"]
SUMMARY = ["output_file", "date", "rule", "log-file(s)", "status", "plan"]

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A checkout in which the whole experiment has run."""
    checkout = Checkout(tmp_path_factory.mktemp("whole run"), "tests/tiny.yaml")
    done = checkout.run()
    assert done.returncode == 0, done.stdout[-4000:]
    return checkout


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_fold_predicts_its_subject_and_nobody_else(finished):
    manifest = [
        row for row in rows(finished.results / "manifests" / "casme2.csv") if row["included"] == "True"
    ]
    assert {row["subject"] for row in manifest} == set(SUBJECTS)
    for variant in VARIANTS + BASELINES:
        for subject in SUBJECTS:
            predicted = rows(finished.fold(variant, subject))
            expected = {row["sample_id"]: row["label"] for row in manifest if row["subject"] == subject}
            assert {row["sample_id"]: row["label"] for row in predicted} == expected


def test_the_picture_of_the_workflow_holds_against_snakemakes_own_graph(finished):
    text = (ROOT / "rules" / "evaluation.smk").read_text()
    before = ast.literal_eval(re.search(r"^STAGES = (\{.*?^\})", text, flags=re.M | re.S)[1])
    direct = {(near, stage) for stage in before for near in before[stage]}
    for stage in before:  # which stand in order
        before[stage] = {*before[stage], *(far for near in before[stage] for far in before[near])}
    stage_of = {
        rule: stage
        for stage in before
        for rule in re.findall(
            r"^(?:rule|checkpoint) (\w+):", (ROOT / "rules" / f"{stage}.smk").read_text(), flags=re.M
        )
    }
    targets = [f"results/tiny/{path}" for path in ("report.html", "models/dual/model.json")]
    graph = finished.run("--rulegraph", "dot", *targets).stdout
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', graph))
    edges = {(names[one], names[other]) for one, other in re.findall(r"(\d+) -> (\d+)", graph)}
    seen = {(stage_of[one], stage_of[other]) for one, other in edges}
    seen = {(one, other) for one, other in seen if one != other}
    assert direct <= seen <= {(one, other) for other in before for one in before[other]}
    assert (finished.results / "figures/workflow.svg").stat().st_size > 10_000


def test_an_independent_recomputation_gives_the_tables_scores(finished):
    for variant in VARIANTS + BASELINES:
        predicted = [row for subject in SUBJECTS for row in rows(finished.fold(variant, subject))]
        hits = Counter(row["label"] for row in predicted if row["label"] == row["predicted"])
        true = Counter(row["label"] for row in predicted)
        answers = Counter(row["predicted"] for row in predicted)
        classes = ["happiness", "disgust", "repression", "surprise", "others"]
        accuracy = sum(hits.values()) / len(predicted)
        f1 = [
            2 * hits[name] / (true[name] + answers[name]) if true[name] + answers[name] else 0
            for name in classes
        ]
        uar = sum(hits[name] / true[name] for name in classes) / len(classes)

        scores = json.loads((finished.results / "metrics" / f"{variant}.json").read_text())
        assert scores["n"] == len(predicted)
        assert scores["accuracy"]["mean"] == pytest.approx(accuracy)
        assert scores["macro_f1"]["mean"] == pytest.approx(sum(f1) / len(f1))
        assert scores["uar"]["mean"] == pytest.approx(uar)

        listed = [
            row
            for table in ("table1_loss", "table2_attention", "table3_methods")
            for row in rows(finished.results / "tables" / f"{table}.csv")
            if row["variant"] == variant
        ]
        assert listed
        for row in listed:
            assert float(row["accuracy"]) == pytest.approx(100 * accuracy)
            assert float(row["macro_f1"]) == pytest.approx(sum(f1) / len(f1))
        page = (finished.results / "report.html").read_text()
        assert f"{100 * accuracy:.2f}" in page


def test_everything_promised_is_there(finished):
    for path in ("report.html", "config.json", "aligned/casme2.h5", "manifests/casme2.defects.csv"):
        assert (finished.results / path).stat().st_size > 0
    assert (finished.results / "aligned/casme2.h5").stat().st_mode & 0o077 == 0, "faces are private"
    logs = finished.results / "logs"
    assert (logs / "train_fold" / "dual" / "seed0" / "sub01.log").stat().st_size > 0
    assert not [log for log in logs.rglob("*.log") if "Warning" in log.read_text()]
    assert (finished.results / "pretrain/dual_transfer/frame/run0/weights.safetensors").is_file()
    assert not [*finished.results.rglob("without")], "one pretraining serves all folds, of others' faces"
    leftovers = [
        path
        for path in finished.results.rglob(".*")
        if path.name not in {".DS_Store", ".snakemake_timestamp"} and path.suffix != ".earlier"
    ]
    assert not leftovers


def test_nothing_is_left_to_do(finished):
    assert finished.planned() == {}


def test_snakemakes_own_report_holds_tables_and_figures(finished):
    done = finished.run("--report", "own.html")
    assert done.returncode == 0, done.stdout[-2000:]
    page = (finished.folder / "own.html").read_text()
    for words in ("table2_attention", "learning_curves", "Intervals are bootstrap", "aligned faces"):
        assert words in page
    for words in (
        "agreement",
        "reliability",
        "attention_dual_transfer",
        "Wall-clock seconds",
        "needs no network",
    ):
        assert words in page
    assert not re.search(r'(src|href)="https?:', page)


def test_one_fold_is_a_target_and_comes_out_equal(finished, tmp_path):
    path = finished.fold("dual", "sub02")
    shutil.copytree(path.parent, tmp_path / "kept")
    before = path.read_bytes()
    path.unlink()
    done = finished.run(str(path.relative_to(finished.folder)))
    assert done.returncode == 0 and jobs(done) == {"train_fold": 1}
    assert path.read_bytes() == before
    # With the times that it took before, which tables hold, so that these need not be made again.
    shutil.copytree(tmp_path / "kept", path.parent, dirs_exist_ok=True)
    assert finished.planned() == {}


def test_a_forced_fold_takes_along_what_depends_on_it(finished):
    plan = finished.planned("--forcerun", str(finished.fold("dual", "sub02").relative_to(finished.folder)))
    for rule in ("train_fold", "score_variant", "build_tables", "write_report"):
        assert plan[rule] == 1
    assert not plan.keys() & {"align_faces", "pretrain_model", "classify_folds"}


def test_snakemake_tells_what_depends_on_what_and_that_nothing_is_stale(finished):
    graph = finished.run("--dag").stdout
    assert graph.count('label = "train_fold') == len(VARIANTS) * len(SUBJECTS)
    lines = finished.run("--summary").stdout.splitlines()
    table = [dict(zip(SUMMARY, line.split("\t"), strict=True)) for line in lines if line.count("\t") == 5]
    files = {row["output_file"] for row in table if row["plan"] == "no update"}
    assert len(files) == len(table) - 1, "all but the table's head"
    assert str(finished.fold("dual", "sub02").relative_to(finished.folder)) in files


def test_a_lost_file_of_a_fold_is_made_anew(finished):
    """Although everything made of it is there and newer."""
    for name in ("predictions.csv", "history.csv", "fold.json"):
        path = finished.fold("dual", "sub02").with_name(name)
        path.rename(finished.folder / name)
        try:
            plan = finished.planned()
        finally:
            (finished.folder / name).rename(path)
        assert plan["train_fold"] == plan["score_variant"] == plan["build_tables"] == 1, name
    assert finished.planned() == {}


def test_a_lost_table_is_made_anew(finished):
    """As the message of one that cannot be read has it."""
    for name in ("methods", "transfer"):
        path = finished.results / "tables" / f"{name}.csv"
        path.rename(finished.folder / "kept.csv")
        try:
            plan = finished.planned()
        finally:
            (finished.folder / "kept.csv").rename(path)
        assert plan["build_tables"] == plan["write_report"] == 1, name
    assert finished.planned() == {}


def test_code_is_tracked_by_meaning(finished):
    loss, figures = "mer_core/models/losses.py", "mer_core/report/figures.py"
    kept = {name: (finished.folder / name).read_text() for name in (loss, figures)}
    try:
        finished.edit(loss, kept[loss], "# a comment\n" + kept[loss])
        assert finished.planned() == {}
        finished.edit(figures, '"grid.linewidth": 0.6', '"grid.linewidth": 0.7')
        plan = finished.planned()
        assert plan["draw_figures"] == 1
        assert not plan.keys() & {"train_fold", "pretrain_model", "align_faces", "score_variant"}
        finished.edit(loss, kept[loss], kept[loss] + "\n\nEXTRA = 1\n")
        plan = finished.planned()
        assert plan["train_fold"] == len(VARIANTS) * len(SUBJECTS)
        assert plan["pretrain_model"] == 2
        assert "align_faces" not in plan
    finally:
        for name, text in kept.items():
            (finished.folder / name).write_text(text)


def test_a_new_variant_and_a_new_seed_compute_only_what_is_new(finished):
    text = (finished.folder / "tests/tiny.yaml").read_text()
    row = "  - {name: spatial, attention: spatial, loss: focal}\n"
    (finished.folder / "variant.yaml").write_text(text.replace("variants:\n", "variants:\n" + row))
    plan = finished.planned(config="variant.yaml")
    assert plan["train_fold"] == len(SUBJECTS)
    assert plan["score_variant"] == 1
    assert not plan.keys() & {"align_faces", "pretrain_model"}
    (finished.folder / "seeds.yaml").write_text(text + "\nseeds: [0, 1]\n")
    plan = finished.planned(config="seeds.yaml")
    assert plan["train_fold"] == len(VARIANTS) * len(SUBJECTS)
    assert not plan.keys() & {"align_faces", "pretrain_model"}


@pytest.mark.parametrize(
    ("old", "new", "made", "kept"),
    [
        (
            "experiment: tiny",
            "experiment: tiny\ncompute: {slots_per_device: 3, memory: 7GB, runtime: 2h}",
            {},
            {"train_fold", "pretrain_model", "align_faces", "score_variant"},
        ),
        (
            "runs: 1",
            "runs: 2",
            {"pretrain_model": 2, "embed_samples": 1},
            {"align_faces", "extract_features"},
        ),
        ("runs: 1", "runs: 1\n  split: subject", {"select_pretrained": 1}, {"pretrain_model"}),
        (
            "experiment: tiny",
            "experiment: tiny\ndatasets: {casme2: {missing_apex: midpoint}}",
            {"read_dataset": 1},
            {"simulate_dataset", "pretrain_model"},
        ),
        (
            "size: 32",
            "size: 40",
            {"align_faces": 2, "train_fold": len(VARIANTS) * len(SUBJECTS)},
            {"simulate_dataset", "write_manifest", "read_dataset"},
        ),
        ("permutations: 200", "permutations: 300", {"build_tables": 1}, {"score_variant", "train_fold"}),
        ("bootstrap: 200", "bootstrap: 300", {"score_variant": 6}, {"train_fold", "classify_folds"}),
    ],
)
def test_a_setting_reruns_the_steps_that_read_it_and_no_others(finished, old, new, made, kept):
    text = (finished.folder / "tests/tiny.yaml").read_text()
    (finished.folder / "changed.yaml").write_text(text.replace(old, new))
    plan = finished.planned(config="changed.yaml")
    assert made.items() <= plan.items()
    assert not plan.keys() & kept


def test_a_docstring_the_version_and_an_editors_backup_rerun_nothing(finished):
    loop, package = finished.folder / "mer_core/training/loop.py", finished.folder / "mer_core/__init__.py"
    kept = loop.read_text(), package.read_text()
    backup = loop.with_name("loop.py~")
    try:
        loop.write_text(kept[0].replace('"""', '"""Rewritten. ', 1))
        finished.edit("mer_core/__init__.py", "__version__ = ", "__version__ = '9' + ")
        backup.write_text("def fit(")
        assert finished.planned() == {}
    finally:
        backup.unlink()
        loop.write_text(kept[0])
        package.write_text(kept[1])


def test_a_checkout_copied_elsewhere_reruns_nothing(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True)
    copy = copied_to(tmp_path / "copy", finished.config)
    assert copy.planned() == {}
    # Whoever loses Snakemake's records keeps what fits, and is told of what does not.
    shutil.rmtree(copy.folder / ".snakemake")
    assert copy.planned() == {}
    text = (copy.folder / "tests/tiny.yaml").read_text()
    whole, fold = (
        "{}: was set otherwise when results/tiny was made",
        r"/folds/{}/\S+: was made with other settings",
    )
    for old, new, told in (
        ("size: 32", "size: 40", whole.format("alignment")),
        ("size: 48", "size: 56", whole.format("features")),
        ("size: tiny", "size: tiny\n  seed: 1", whole.format("simulation")),
        ("runs: 1", "runs: 2", whole.format("pretraining")),
        ("rounds: 5", "rounds: 4", fold.format("boosted")),
        ("experiment: tiny", "experiment: tiny\nreduction: 8", fold.format("dual")),
        ("experiment: tiny", "experiment: tiny\ntransfer: {freeze_stages: 1}", fold.format("dual_transfer")),
        (
            "experiment: tiny",
            "experiment: tiny\nlosses: {focal: {gamma: 3.0}}",
            fold.format("resnet18_focal"),
        ),
        ("experiment: tiny", "experiment: tiny\nfolds: {groups: 2}", fold.format("resnet18_focal")),
        ("epochs: 2", "epochs: 3", fold.format("resnet18_focal")),
    ):
        (copy.folder / "changed.yaml").write_text(text.replace(old, new))
        done = copy.plan(config="changed.yaml")
        assert done.returncode == 1, new
        assert re.search(told, done.stdout), new
    said = re.search(r"was made with other settings .* delete the folder (\S+) and run the same", done.stdout)
    while said:
        shutil.rmtree(copy.folder / said[1])
        done = copy.plan(config="changed.yaml")
        said = re.search(r"with other settings .* delete the folder (\S+) and run the same", done.stdout)
    assert copy.planned(config="changed.yaml")["train_fold"] == len(VARIANTS) * len(SUBJECTS)


def copied_to(folder, config, code=None):
    """A folder in which Snakemake may run: a copied checkout, or one that uses another's code."""
    other = object.__new__(Checkout)
    other.folder, other.config, other.results = folder, config, folder / "results" / "tiny"
    other.code = code or folder
    return other


def test_weights_that_pretraining_starts_from_are_watched(finished):
    text = (finished.folder / "tests/tiny.yaml").read_text()
    (finished.folder / "changed.yaml").write_text(text.replace("runs: 1", "runs: 1\n  init: w.safetensors"))
    done = finished.plan(config="changed.yaml")
    assert done.returncode == 1 and "pretraining.init: no such file: w.safetensors" in done.stdout
    (finished.folder / "w.safetensors").touch()
    assert finished.planned(config="changed.yaml")["pretrain_model"] == 2


def test_a_mended_copy_of_a_dataset_is_read_again(finished, tmp_path):
    """By the very same command: today's defects must not be told tomorrow."""
    root = tmp_path / "CASME2"
    shutil.copytree(finished.results / "simulated/casme2", root)
    frames = sorted(root.rglob("*.jpg"))
    whole = frames[0].read_bytes()
    text = (finished.folder / "tests/tiny.yaml").read_text().replace("experiment: tiny", "experiment: own")
    own = f"\ndatasets: {{casme2: {{root: {root}, subjects: [{', '.join(SUBJECTS)}]}}}}\n"
    (finished.folder / "own.yaml").write_text(text + own)
    target = "results/own/manifests/casme2.samples.csv"
    for frame in frames:
        frame.write_bytes(b"")
    assert finished.run(target, config="own.yaml").returncode == 0
    assert finished.planned(target, config="own.yaml") == {}
    for frame in frames:
        frame.write_bytes(whole)
    assert finished.planned(target, config="own.yaml") == {"read_dataset": 1}


def test_what_is_not_used_of_a_copy_costs_its_reading_alone(finished, tmp_path):
    """A stray file, new dates and a judgement of the doctor change no picture and no sample."""
    root = tmp_path / "CASME2"
    shutil.copytree(finished.results / "simulated/casme2", root)
    text = (finished.folder / "tests/tiny.yaml").read_text().replace("experiment: tiny", "experiment: mine")
    own = f"\ndatasets: {{casme2: {{root: {root}, subjects: [{', '.join(SUBJECTS)}]}}}}\n"
    (finished.folder / "mine.yaml").write_text(text + own)
    fold = "results/mine/folds/dual/seed0/sub01/predictions.csv"

    def ran(target, *given):
        done = finished.run(target, *given, config="mine.yaml")
        assert done.returncode == 0, done.stdout[-4000:]
        return Counter(re.findall(r"^local(?:rule|checkpoint) (\w+):", done.stdout, flags=re.M))

    assert ran(fold) == Counter(
        ["read_dataset", "digest_pictures", "write_manifest", "align_faces", "train_fold"]
    )
    reading = Counter(["read_dataset", "digest_pictures", "write_manifest"])
    (root / "notes.txt").write_text("mine")
    pictures = sorted(root.rglob("*.jpg"))
    for picture in pictures:
        picture.touch()
    assert ran(fold) == reading
    assert ran(fold, "--config", "doctor={severity: {frame_gaps: ignore}}") <= reading
    assert ran(fold, "--config", "doctor={severity: {frame_gaps: ignore}}") == Counter()


def test_a_copy_that_was_moved_and_a_lost_list_train_nothing(finished, tmp_path):
    """Faces are cut out of it anew, or kept, and come out as they were."""
    root, moved = tmp_path / "CASME2", tmp_path / "disk"
    shutil.copytree(finished.results / "simulated/casme2", root)
    text = (finished.folder / "tests/tiny.yaml").read_text().replace("experiment: tiny", "experiment: moved")
    row = (
        "  - {name: moving, attention: none, input: difference, loss: focal, "
        "training: {augmentation: {brightness: 0.0}}}\n"
    )
    text = text.replace("variants:\n", "variants:\n" + row)
    own = "\ndatasets: {{casme2: {{root: {}, subjects: [{}]}}}}\n"
    folds = [f"results/moved/folds/{row}/seed0/sub01/predictions.csv" for row in ("moving", "boosted")]
    failures = "results/moved/aligned/casme2.failures.csv"

    def ran(root):
        (finished.folder / "moved.yaml").write_text(text + own.format(root, ", ".join(SUBJECTS)))
        done = finished.run(*folds, failures, config="moved.yaml")
        assert done.returncode == 0, done.stdout[-4000:]
        return {*re.findall(r"^local(?:rule|checkpoint) (\w+):", done.stdout, flags=re.M)}

    assert {"align_faces", "draw_input", "extract_features", "train_fold", "classify_folds"} <= ran(root)
    shutil.copytree(root, moved / "CASME2")
    again = ran(moved / "CASME2")
    assert {"read_dataset", "align_faces", "draw_input", "extract_features"} <= again
    assert not again & {"train_fold", "classify_folds"}
    (finished.folder / failures).unlink()
    assert "align_faces" in (again := ran(moved / "CASME2"))
    assert not again & {"train_fold", "classify_folds"}


def test_a_picture_that_is_replaced_is_aligned_by_whatever_run_comes_next(finished, tmp_path):
    """Also where a first run has gone no further than the manifest, which the picture does not change."""
    root = tmp_path / "CASME2"
    shutil.copytree(finished.results / "simulated/casme2", root)
    text = (finished.folder / "tests/tiny.yaml").read_text().replace("experiment: tiny", "experiment: new")
    own = f"\ndatasets: {{casme2: {{root: {root}, subjects: [{', '.join(SUBJECTS)}]}}}}\n"
    (finished.folder / "new.yaml").write_text(text + own)
    cache, manifest = "results/new/aligned/casme2.h5", "results/new/manifests/casme2.csv"
    assert finished.run(cache, config="new.yaml").returncode == 0
    before = (finished.folder / cache).read_bytes()
    first, second = (root / rows(finished.folder / manifest)[row]["frame_path"] for row in (0, 1))
    shutil.copy(second, first)
    assert finished.run(manifest, config="new.yaml").returncode == 0
    assert finished.planned(cache, config="new.yaml") == {"align_faces": 1}
    assert finished.run(cache, config="new.yaml").returncode == 0
    assert (finished.folder / cache).read_bytes() != before


def test_the_workflow_as_a_module_of_another(tmp_path):
    """The snippet of the documents, tried."""
    Checkout(tmp_path / "mer", "tests/tiny.yaml")
    shutil.copy(tmp_path / "mer/tests/tiny.yaml", tmp_path / "settings.yaml")
    page = (ROOT / "docs" / "operations.md").read_text()
    snippet = re.search(r"^```python\n(.*?module mer:.*?)^```$", page, flags=re.M | re.S)[1]
    (tmp_path / "Snakefile").write_text(snippet)
    outer = copied_to(tmp_path, "settings.yaml", tmp_path / "mer")
    plan = outer.planned()
    assert plan["mer_train_fold"] == len(VARIANTS) * len(SUBJECTS)
    assert plan["mer_write_report"] == plan["summary"] == 1
    listed = outer.plan().stdout
    assert "output: expressions/results/tiny/simulated/casme2" in listed
    assert not re.search(r"[ (]results/tiny", listed), "every path has the prefix"


def test_the_workflow_runs_from_another_directory_and_where_pathvars_say(finished, tmp_path):
    elsewhere = copied_to(tmp_path, "tests/tiny.yaml", finished.folder)
    (tmp_path / "tests").mkdir()
    shutil.copy(finished.folder / "tests/tiny.yaml", tmp_path / "tests/tiny.yaml")
    there = "--snakefile", str(finished.folder / "Snakefile")
    plan = elsewhere.planned(*there)
    assert plan["train_fold"] == len(VARIANTS) * len(SUBJECTS)
    assert elsewhere.planned(*there, "--directory", str(finished.folder)) == {}
    text = (finished.folder / "tests/tiny.yaml").read_text()
    (finished.folder / "placed.yaml").write_text(text + "\npathvars: {results: out}\n")
    listed = finished.plan(config="placed.yaml").stdout
    assert "output: out/simulated/casme2" in listed and "results/tiny" not in listed


def test_settings_of_the_transfer_are_nothing_to_variants_that_start_at_random(finished):
    text = (finished.folder / "tests/tiny.yaml").read_text()
    (finished.folder / "transfer.yaml").write_text(text + "\ntransfer: {freeze_stages: 1}\n")
    plan = finished.planned(config="transfer.yaml")
    assert plan["train_fold"] == len(SUBJECTS)
    assert plan["score_variant"] == 1
    assert "pretrain_model" not in plan


def test_folds_that_have_kept_their_networks_are_not_trained_anew_without_the_key(finished):
    """As when a file of settings was laid over for `snakemake explain` alone."""
    text = (finished.folder / "tests/tiny.yaml").read_text().replace("experiment: tiny", "experiment: kept")
    (finished.folder / "kept.yaml").write_text(text)
    (finished.folder / "keep.yaml").write_text(
        text.replace("\ntraining:\n", "\ntraining:\n  keep_weights: true\n")
    )
    fold = "results/kept/folds/dual/seed0/sub01/predictions.csv"
    assert finished.run(fold, config="kept.yaml").returncode == 0
    assert finished.planned(fold, config="keep.yaml") == {"train_fold": 1}
    assert finished.run(fold, config="keep.yaml").returncode == 0
    weights = (finished.folder / fold).with_name("weights.safetensors")
    assert weights.exists() and finished.planned(fold, config="kept.yaml") == {}
    weights.unlink()  # to have their space
    assert finished.planned(fold, config="kept.yaml") == {}


def test_comparison_methods_stand_in_table_3(finished):
    table = {row["variant"]: row for row in rows(finished.results / "tables" / "table3_methods.csv")}
    assert (table["lbp_apex"]["method"], table["lbp_apex"]["printed_accuracy"]) == ("LBP", "39.68")
    assert table["boosted"]["note"] == "not in the paper, transductive"
    assert all(table[name]["p_permutation"] for name in BASELINES)


def test_comparison_methods_may_be_left_out(finished):
    text = (finished.folder / "tests/tiny.yaml").read_text()
    (finished.folder / "without.yaml").write_text(text[: text.index("\nbaselines:")] + "\nbaselines: []\n")
    plan = finished.planned(config="without.yaml")
    assert plan["build_tables"] == 1
    assert not plan.keys() & {"train_fold", "score_variant", "extract_features", "classify_folds"}


def test_a_new_comparison_method_trains_no_network_and_keeps_the_features(finished):
    """A new classifier computes no features; new features are a file of their own."""
    text = (finished.folder / "tests/tiny.yaml").read_text()
    (finished.folder / "classifier.yaml").write_text(text.replace("rounds: 5", "rounds: 4"))
    plan = finished.planned(config="classifier.yaml")
    assert (plan["classify_folds"], plan["score_variant"]) == (1, 1)
    assert not plan.keys() & {"train_fold", "extract_features", "align_faces"}
    row = "  - {name: bi_woof, features: {kind: bi_woof}, classifier: {kind: svm}}\n"
    (finished.folder / "row.yaml").write_text(text + row)
    plan = finished.planned(config="row.yaml")
    assert (plan["extract_features"], plan["classify_folds"], plan["score_variant"]) == (1, 1, 1)
    assert not plan.keys() & {"train_fold", "pretrain_model", "align_faces"}


def test_the_code_of_another_descriptor_reruns_nothing(finished):
    code = finished.folder / "mer_core/baselines/descriptors"
    kept = (code / "lbp.py").read_text()
    (code / "another.py").write_text("def describe(clip, settings):\n    return clip.apex_image\n")
    finished.edit("mer_core/baselines/descriptors/flow.py", "INTER_AREA", "INTER_LINEAR")
    assert finished.planned() == {}
    try:
        (code / "lbp.py").write_text(kept + "\nEXTRA = 1\n")
        assert finished.planned()["extract_features"] == 1
    finally:
        (code / "lbp.py").write_text(kept)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("size: 32", "sise: 32", "configuration: alignment.sise: unknown key; did you mean 'size'?"),
        (
            "{name: dual, attention: dual, loss: focal}",
            "{name: dual, attention: dual, loss: focal, init: nowhere.safetensors}",
            "variants.dual.init: no such file: nowhere.safetensors; give",
        ),
        ("epochs: 2", "epochs: none", "training.epochs: 'none' is not allowed"),
        ("experiment: tiny", "experiment: tiny\nfolds: [sub99]", "folds: sub99 not among the subjects"),
        ("experiment: tiny", "experiment: tiny\nfolds: [sub01]", "evaluation.partial: true"),
        (
            "experiment: tiny",
            "experiment: tiny\ndatasets: {casme2: {root: /nowhere/CASME2}, ckplus: {root: /nowhere/CK}}",
            "/nowhere/CASME2: no such folder; set datasets.casme2.root",
        ),
    ],
)
def test_a_users_mistake_is_one_line_without_traceback(finished, old, new, message):
    text = (finished.folder / "tests/tiny.yaml").read_text()
    (finished.folder / "mistake.yaml").write_text(text.replace(old, new))
    done = finished.plan(config="mistake.yaml")
    assert done.returncode == 1
    assert message in done.stdout
    assert "Traceback" not in done.stdout


def test_a_mistyped_target_is_refused(finished):
    done = finished.plan("results/tiny/folds/dual/seed0/sub99/predictions.csv")
    assert done.returncode == 1
    assert "MissingRuleException" in done.stdout


def test_one_broken_fold_does_not_hold_up_the_others(finished):
    """Its cause removed, the same command computes that fold and what depends on it, nothing else."""
    script = finished.folder / "workflow_scripts" / "train_fold.py"
    kept = script.read_text()
    finished.edit(
        "workflow_scripts/train_fold.py",
        "    params = snakemake.params\n",
        "    params = snakemake.params\n"
        '    if Path("broken").exists() and snakemake.wildcards.subject == "sub03":\n'
        '        raise ValueError("broken on purpose")\n',
    )
    (finished.folder / "broken").touch()
    scores = finished.results / "metrics" / "dual.json"
    target = str(scores.relative_to(finished.folder))
    try:
        done = finished.run(target)
        assert done.returncode == 1
        assert "broken on purpose" in done.stdout, "the log of the failed job is shown"
        for subject in SUBJECTS:
            assert finished.fold("dual", subject).exists() == (subject != "sub03")
        (finished.folder / "broken").unlink()
        done = finished.run(target)
        assert done.returncode == 0 and jobs(done) == {"train_fold": 1, "score_variant": 1}
        assert finished.planned(target) == {}
    finally:
        script.write_text(kept)


def test_other_subjects_keep_their_aligned_faces(finished):
    """Another list of subjects makes another manifest, yet no face that is there is sought again."""
    text = (finished.folder / "tests/tiny.yaml").read_text()
    (finished.folder / "fewer.yaml").write_text(
        f"{text}\ndatasets: {{casme2: {{subjects: [sub01, sub02, sub03]}}}}\n"
        "doctor: {severity: {unlisted_subject: warning}}\n"
    )
    cache = finished.results / "aligned" / "casme2.h5"
    before = cache.read_bytes()
    done = finished.run("results/tiny/aligned/casme2.h5", config="fewer.yaml")
    assert done.returncode == 0, done.stdout[-2000:]
    log = (finished.results / "logs" / "align_faces" / "casme2.log").read_text()
    kept, count = re.search(r"(\d+) of (\d+) images are unchanged: kept", log).groups()
    assert int(kept) == int(count) > 0
    assert finished.run("results/tiny/aligned/casme2.h5").returncode == 0
    assert cache.read_bytes() == before


def test_the_sheets_of_faces_are_for_their_owner_alone(finished):
    before = finished.planned()
    done = finished.run("check_faces")
    assert done.returncode == 0, done.stdout[-3000:]
    for dataset in ("casme2", "ckplus"):
        sheet = finished.results / "private" / f"faces_{dataset}.png"
        assert sheet.stat().st_mode & 0o777 == 0o600
        assert image_size(sheet)[0] > 1000
    assert "private" not in (finished.results / "report.html").read_text()
    assert finished.planned() == before, "no part of what the report is made of"


def test_attention_is_drawn_of_networks_that_see_the_faces_it_is_laid_over(tmp_path):
    checkout = Checkout(tmp_path, "tests/tiny.yaml")
    row = (
        "  - {name: moved, attention: dual, input: flow, loss: focal, init: pretrained, training: "
        "{augmentation: {flip: false, rotation: 0.0, brightness: 0.0}}}\n"
    )
    text = (tmp_path / "tests/tiny.yaml").read_text().replace("variants:\n", "variants:\n" + row)
    (tmp_path / "moved.yaml").write_text(text + "\ninputs: {flow: {kind: flow}}\n")
    plan = checkout.planned(config="moved.yaml")
    assert (plan["pretrain_model"], plan["draw_attention"]) == (4, 1), "that of dual_transfer"


def test_networks_on_drawn_inputs_reach_the_report(tmp_path):
    checkout = Checkout(tmp_path, "tests/networks.yaml")
    done = checkout.run()
    assert done.returncode == 0, done.stdout[-4000:]
    table = {row["variant"]: row for row in rows(checkout.results / "tables" / "methods.csv")}
    for name in ("difference", "ststnet"):
        assert int(table[name]["n"]) > 0 and float(table[name]["left_out"]) == 0
        assert float(table[name]["n_flow"]) == int(table[name]["n"])
        assert float(table[name]["millions"]) > 0.1 and float(table[name]["seconds"]) > 0
    assert float(table["ststnet"]["parameters"]) == 2485 and table["ststnet"]["seen"] == "flow_strain, 28"
    assert "All methods" in (checkout.results / "report.html").read_text()
    done = checkout.run("explain")
    assert done.returncode == 0, done.stdout[-3000:]
    log = (checkout.results / "logs" / "explain.log").read_text()
    for name in ("difference", "ststnet"):
        assert image_size(checkout.results / "figures" / f"explained_{name}.png")[0] > 500
        [clips] = re.findall(rf"explained_{name}.png: (\d+) clips", log)
        assert 2 <= int(clips) <= 10


def test_networks_that_are_gone_cannot_be_looked_into(finished):
    done = finished.run("explain")
    assert done.returncode == 1
    assert "training.keep_weights: false: no network of a fold is kept; set true" in done.stdout
    assert finished.planned("explain") == {"explain": 1}, "nothing is computed to no end"
