"""The configuration is refused with one line for every wrong key."""

import copy
import json
import typing
from pathlib import Path

import jsonschema
import pytest
import yaml

from mer_core.config import document
from mer_core.config.experiment import load_config
from mer_core.config.models import Variant
from mer_core.config.section import dump
from mer_core.errors import UserError
from mer_core.models import ATTENTION

ROOT = Path(__file__).parent.parent
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())


def changed(dotted, value):
    settings = copy.deepcopy(SHIPPED)
    *path, last = dotted.split(".")
    place = settings
    for part in path:
        place = place[int(part)] if isinstance(place, list) else place[part]
    place[last] = value
    return settings


@pytest.mark.parametrize("overlay", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_overlay_is_valid(overlay):
    def laid_over(base, top):
        both = {
            key: laid_over(base[key], top[key])
            for key in base.keys() & top.keys()
            if isinstance(top[key], dict) and isinstance(base[key], dict)
        }
        return base | top | both

    assert load_config(laid_over(SHIPPED, yaml.safe_load(overlay.read_text()))).experiment == overlay.stem


def test_the_shipped_file_is_valid_and_survives_dumping():
    config = load_config(ROOT / "config.yaml")
    assert load_config(dump(config)) == config
    assert config.datasets["casme2"].class_names == [
        "happiness",
        "disgust",
        "repression",
        "surprise",
        "others",
    ]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("training.epoch", 3, "training.epoch: unknown key; did you mean 'epochs'?"),
        ("datasets.casme2.rooot", "x", "datasets.casme2.rooot: unknown key; did you mean 'root'?"),
        ("datasets.ckplus.layout", "png", "datasets.ckplus: 'png' is not a layout; it should be one of"),
        (
            "training.learning_rate",
            "fast",
            "training.learning_rate: 'fast' is not allowed; it should be a valid number",
        ),
        (
            "training.learning_rate",
            -1,
            "training.learning_rate: -1 is not allowed; it should be greater than 0",
        ),
        ("training.learning_rate", float("nan"), "training.learning_rate: nan is not allowed"),
        ("training.micro_batch", "many", "it should be 'auto' or should be a valid integer"),
        ("losses.focal.alpha", [0.5, 2.0], "losses.focal.alpha"),
        ("variants.1.loss", "hinge", "variants.resnet18_focal.loss: 'hinge' is not under losses"),
        ("variants.1.name", "dual", "variants: the name 'dual' stands twice"),
        (
            "variants.1.attention",
            "duel",
            "attention: 'duel' is not allowed; it should be 'none', ",
        ),
        ("variants.1.init", "{x}.safetensors", "'{x}.safetensors' holds braces; rename the file"),
        ("variants.1.name", "../up", "variants.1.name: '../up' is not allowed"),
        (
            "baselines.0.classifier.kind",
            "tree",
            "'tree' is not a kind; it should be one of 'svm', 'adaboost'",
        ),
        ("baselines.0.classifier.cost", [], "baselines.0.classifier.cost: [] is not allowed"),
        ("baselines.0.classifier.cost", [1, 0], "baselines.0.classifier.cost.1: 0 is not allowed"),
        (
            "baselines.0.classifier.rounds",
            3,
            "baselines.0.classifier.rounds: unknown key; allowed: class_weight",
        ),
        ("baselines.0.name", "dual", "baselines: the name 'dual' stands twice, here or under variants"),
        (
            "baselines.0.features",
            {"kind": "pretrained", "variant": "dual"},
            "features.variant: dual is no variant with init: pretrained that sees the apex (dual_transfer)",
        ),
        (
            "baselines.0.features",
            {"kind": "pretrained", "variant": "dual_transfr"},
            "dual_transfr is no variant with init: pretrained",
        ),
        ("target", "casme3", "target: 'casme3' is not under datasets (casme2, ckplus)"),
        ("source", None, "variants.dual_transfer.init: 'pretrained' needs a dataset"),
        ("seeds", [0, 0], "seeds: a seed stands twice"),
        ("seeds", [], "seeds: [] is not allowed"),
        ("datasets.casme2.classes", {"a": "x", "b": None}, "needs at least two classes"),
        (
            "baselines.0.features.kind",
            "osw",
            "baselines.lbp_apex: features 'osw' need every frame; set simulation.frames: all or leave out",
        ),
        (
            "baselines.0.features",
            {"kind": "lbptop", "radius": 1},
            "baselines.0.features.radius: unknown key; did you mean 'radii'?",
        ),
        (
            "baselines.0.features.kind",
            "hog",
            "baselines.0.features: 'hog' is not a kind; it should be one of 'lbp', 'lbptop'",
        ),
        ("experiment", "$(rm -r x)", "experiment: '$(rm -r x)' is not allowed"),
        ("datasets.casme2.subjects", ["sub01", "a/b"], "datasets.casme2.subjects.1: 'a/b' is not allowed"),
        ("compute.memory", "lots", "compute.memory: 'lots' is not allowed; it should be a size, such as 6GB"),
        ("experiment", "a b", "experiment: 'a b' is not allowed; it should be letters, digits, - and _"),
        ("training", 5, "training: 5 is not allowed; it should be a block of keys and values"),
        ("folds", "sub01", "folds: 'sub01' is not allowed; it should be a list, such as [a, b]"),
        ("folds", ["sub01", "sub01"], "folds: sub01 stands twice"),
        ("folds", {"groups": 1}, "folds.groups: 1 is not allowed; it should be greater than or equal to 2"),
        ("folds", [], "folds: [] is not allowed; it should have at least 1 item"),
        ("datasets.casme2.subjects", [], "datasets.casme2.subjects: [] is not allowed"),
        (
            "datasets.casme2.classes",
            {False: "x", "a": "y"},
            "the key False is not text (YAML reads no and off so)",
        ),
        (
            "datasets.casme2.subjects",
            [True, "a"],
            "subjects.0: True is not text (YAML reads yes and on so); write",
        ),
        ("experiment", 20, "experiment: 20 is not text; write it in quotes, in a file: --config knows none"),
        ("variants.0.name", 20, "variants.0.name: 20 is not text; write it in quotes"),
        # As --config writes them.
        ("source", "null", "(casme2, ckplus); of --config, nothing behind the = is null, and null is text"),
        ("folds", "null", "folds: 'null' (of --config, nothing behind the = is null, and null is text) is"),
        (
            "datasets.casme2.root",
            " /data",
            "root: ' /data' is not allowed; it should not begin or end with a",
        ),
        (
            "datasets.casme2.root",
            None,
            "root: None is not text (YAML reads ~, null and nothing at all so); write",
        ),
        (
            "training.epochs",
            True,
            "training.epochs: True (YAML reads yes and on so) is not allowed; it should be a",
        ),
        (
            "training.learning_rate",
            True,
            "learning_rate: True (YAML reads yes and on so) is not allowed; it should",
        ),
        (
            "training.schedule",
            False,
            "schedule: False (YAML reads no and off so) is not allowed; it should be 'con",
        ),
        ("evaluation.bootstrap", "1e9", "evaluation.bootstrap: '1e9' is not allowed; it should be less than"),
        ("training.epochs", "1.5e0", "training.epochs: 1.5 is not allowed; it should be a valid integer"),
        ("datasets.casme2.root", "a\nb", "datasets.casme2.root: 'a\\nb' is not allowed"),
        ("datasets.casme2.root", "x" * 5000, "it should have at most 1000 characters"),
        ("x" * 5000, 1, "xxx...xxx"),
        ("a\nb", 1, r"'a\nb': unknown key"),
        ("report.never_show", ["sub12"], "it should be a dataset and a subject, such as casme2/sub12"),
        (
            "datasets.casme2.classes",
            {"Happy": "positive", "sad": "negative", "happy ": None},
            "'Happy' and 'happy ' are one label, mapped to positive and null; spell it 'Happy' everywhere",
        ),
        (
            "report.never_show",
            ["casme/sub12"],
            "'casme/sub12' is of no dataset on disk; name casme2, ckplus",
        ),
        ("seeds", [2**40], "seeds.0: 1099511627776 is not allowed; it should be less than 4294967296"),
        ("evaluation.bootstrap", 10**12, "evaluation.bootstrap: 1000000000000 is not allowed"),
        ("reduction", 48, "reduction: 48 is not allowed; it should be 1, 2, 4, 8, 16, 32 or 64"),
        ("losses.cross_entropy.gamma", 3, "losses.cross_entropy.gamma: belongs to kind: focal; leave it out"),
        ("training.warmup_epochs", 12, "warmup_epochs: the rate would not reach learning_rate in 12"),
        ("pretraining.warmup_epochs", 20, "pretraining.warmup_epochs: the rate would not reach learn"),
        ("training.average_epochs", 13, "training.average_epochs: there are 12 epochs; set no more"),
        (
            "variants.0.training",
            {"average_epochs": 4, "selection": "inner"},
            "variants.resnet18_ce.training.average_epochs: would choose epochs by other weights than are",
        ),
        (
            "variants.0.training",
            {"average_epochs": 4, "best_on_test": True},
            "average_epochs: would look at other weights than are used; set best_on_test: false, or 0",
        ),
    ],
)
def test_a_wrong_value_is_named_with_the_remedy(key, value, message):
    with pytest.raises(UserError) as caught:
        load_config(changed(key, value))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_number_too_long_to_print_is_refused():
    for key in ("training.epochs", "training.learning_rate", "experiment"):
        with pytest.raises(UserError, match=f"{key}: a number of thousands of digits is not (allowed|text)"):
            load_config(changed(key, 16**9000))


def test_pretraining_starts_at_random_or_from_a_file():
    with pytest.raises(UserError, match=r"pretraining\.init: no such file: pretrained; give random or a "):
        load_config(changed("pretraining.init", "pretrained")).check_files()


def test_all_wrong_keys_are_named_at_once():
    settings = changed("training.epochs", 0)
    settings["hello"] = 1
    del settings["seeds"]
    with pytest.raises(UserError) as caught:
        load_config(settings)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert {line.split(": ")[1] for line in lines} == {"training.epochs", "hello", "seeds"}


@pytest.mark.parametrize(
    "text", ["a: [", "- 1\n- 2\n", "", "a: !!python/object/apply:os.system ['true']\n", "\x00"]
)
def test_a_broken_file_is_named(tmp_path, text):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"broken\.yaml: "):
        load_config(path)


@pytest.mark.parametrize(
    ("written", "read", "key"),
    [
        ("experiment: 007", "7", "experiment"),
        ("seeds: [010]", "8", "seeds.0"),
        ("training: {epochs: 1:30}", "90", "training.epochs"),
        ("datasets: {casme2: {subjects: [-0_7]}}", "-7", "datasets.casme2.subjects.0"),
    ],
)
def test_a_number_that_yaml_takes_for_another_is_named(tmp_path, written, read, key):
    (tmp_path / "c.yaml").write_text(written)
    with pytest.raises(UserError, match=rf"c\.yaml: {key}: YAML reads \S+ as {read}; write it in quotes"):
        load_config(tmp_path / "c.yaml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.yaml: cannot be read"):
        load_config(tmp_path / "absent.yaml")


def test_a_key_that_stands_twice_is_named_with_both_lines(tmp_path):
    path = tmp_path / "overlay.yaml"
    path.write_text("""
training: {epochs: 3}
losses: &all
  a: {kind: focal}
  "a": {kind: focal}
others: {<<: *all, a: {}}
rows:
  - {name: x, name: y}
training: {batch_size: 5}
""")
    # Snakemake hands over the settings that are left, and the files.
    with pytest.raises(UserError) as caught:
        load_config(SHIPPED, files=[ROOT / "config.yaml", path])
    assert sorted(str(caught.value).splitlines()) == [
        f"{path}: losses.a stands twice, in lines 4 and 5; put both together",
        f"{path}: rows.0.name stands twice, in lines 8 and 8; put both together",
        f"{path}: training stands twice, in lines 2 and 9; put both together",
    ]


@pytest.mark.parametrize(
    "key", ["datasets.casme2.root", "datasets.casme2.workbook", "simulation.faces", "variants.0.init"]
)
def test_paths_are_followed_as_a_shell_does(key, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA", "/data")
    monkeypatch.delenv("ABSENT", raising=False)

    def read(path):
        value = load_config(changed(key, path)).model_dump()
        for part in key.split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]
        return value

    assert read("~/x") == read("$HOME/x") == f"{tmp_path}/x"
    assert read("${DATA}/CK+") == "/data/CK+"
    assert read("/a/$ABSENT/~") == "/a/$ABSENT/~"


def test_exponents_are_numbers():
    assert (
        load_config(changed("evaluation.permutations", yaml.safe_load("1e4"))).evaluation.permutations
        == 10_000
    )
    assert load_config(changed("training.micro_batch", "1E1")).training.micro_batch == 10
    assert load_config(changed("training.learning_rate", "1e-3")).training.learning_rate == 0.001
    assert load_config(changed("variants.0.name", "1e4")).variants[0].name == "1e4"


def test_rows_that_see_motion_are_refused_where_there_is_none():
    settings = changed("target", "photographs")
    labels = {"a": "happiness", "b": "others"}
    settings["datasets"]["photographs"] = {
        "layout": "tabular",
        "root": "x",
        "table": "x.csv",
        "classes": labels,
    }
    settings["baselines"] = settings["baselines"][:2]  # of the apex; of onset and apex
    settings["variants"] = [
        {"name": "row", "attention": "dual", "loss": "focal", "input": "difference"}
        | {"training": {"augmentation": {"brightness": 0, "contrast": 0}}}
    ]
    with pytest.raises(UserError, match=r"baselines\.flow_svm: .* photographs has single images") as caught:
        load_config(settings)
    assert "variants.row: input 'difference' needs clips" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


STILL = {"augmentation": {"brightness": 0, "contrast": 0, "flip": False, "rotation": 0}}
STILL_PATCHES = {"augmentation": STILL["augmentation"] | {"shift": 0, "scale": 0}}


@pytest.mark.parametrize(("init", "cropped"), [("random", ["casme2"]), ("pretrained", ["casme2", "ckplus"])])
def test_patches_at_landmarks_need_faces_that_have_them(init, cropped):
    settings = changed("alignment.mode", "precropped")
    settings["inputs"] = {"patches": {"kind": "flow_patches"}}
    settings["variants"] = [
        {"name": "row", "network": "htnet", "loss": "focal", "input": "patches", "init": init}
        | {"training": STILL_PATCHES}
    ]
    settings["pretraining"]["augmentation"] |= STILL_PATCHES["augmentation"]
    said = [
        rf"variants.row: input 'patches' needs landmarks.*set datasets.{name}.alignment.mode: landmarks"
        for name in cropped
    ]
    with pytest.raises(UserError, match=".*\n.*".join(said)):
        load_config(settings)
    settings["datasets"]["casme2"]["alignment"] = {"mode": "landmarks"}
    settings["datasets"]["ckplus"]["alignment"] = {"mode": "landmarks"}
    assert load_config(settings).alignment_of("casme2").mode == "landmarks"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"network": "off_apexnet", "input": "flow", "training": STILL}, None),
        ({"network": {"kind": "htnet", "dim": 32}, "input": "patches", "training": STILL_PATCHES}, None),
        (
            {"network": {"kind": "htnet", "dim": 32}, "input": "patches", "training": STILL},
            r"augmentation: would falsify the input patches; set \{shift: 0\}",
        ),
        ({"network": "off_apexnet"}, r"row.input: off_apexnet takes flow, not apex"),
        (
            {"network": "off_apexnet", "input": "large", "training": STILL},
            r"takes 28 pixels, not 60; set its size",
        ),
        ({"network": "offapexnet"}, r"network: 'offapexnet' is not a kind"),
        ({"network": {"kind": "htnet", "dims": 3}}, r"unknown key; did you mean 'dim'"),
        ({"network": "ststnet", "input": "nothing"}, r"row.input: 'nothing' is none of apex, .*flow"),
        (
            {"network": "off_apexnet", "input": "flow", "attention": "dual", "training": STILL},
            "no residual units",
        ),
        ({"network": "off_apexnet", "input": "flow"}, r"would falsify the input flow; set \{.*flip: false"),
        (
            {"input": "flow", "training": STILL | {"epochss": 3}},
            r"row.training.epochss: unknown key; .*'epochs'",
        ),
        (
            {"network": "off_apexnet", "input": "flow", "training": STILL | {"dropout": 0.3}},
            r"row.training.dropout: off_apexnet does not take it; leave it out",
        ),
        ({"network": {"kind": "dtscnn", "streams": [64]}, "input": "moves", "training": STILL}, None),
        (
            {"network": "dtscnn", "input": "moves", "training": STILL},
            r"row.input: dtscnn takes 128 maps, not 64; set its frames",
        ),
        (
            {"network": {"kind": "dtscnn", "streams": [64]}, "input": "small", "training": STILL},
            r"row.input: dtscnn takes 31 pixels or more, not 30; set its size",
        ),
        ({"network": {"kind": "dtscnn", "streams": [63]}}, r"streams.0: 63 is not allowed; it should be gre"),
        (
            {"network": {"kind": "dtscnn", "streams": []}},
            r"streams: \[\] is not allowed; it should have at le",
        ),
        (
            {"network": {"kind": "htnet", "heads": [2, 129, 2]}},
            r"network.heads: no more than 64, 128 and 256 have a channel each; give fewer",
        ),
        (
            {"network": "efficientnet_lite0", "input": "icon", "training": STILL},
            r"row.input: efficientnet_lite0 takes 32 pixels or more, not 16; set its size",
        ),
        ({"network": {"kind": "htnet", "dim": 1}}, r"network.heads: no more than 1, 2 and 4 have a channel"),
        ({"input": "flow", "training": STILL | {"epochs": 0}}, r"row.training.epochs: 0 is not allowed"),
        (
            {"input": "clip", "training": STILL},
            r"row: input 'clip' needs every frame; set simulation.frames: all",
        ),
    ],
)
def test_what_does_not_go_together_in_a_row_is_said(row, said):
    settings = changed("baselines", [])
    settings["inputs"] = {
        "flow": {"kind": "flow"}, "large": {"kind": "flow", "size": 60},
        "patches": {"kind": "flow_patches"}, "clip": {"kind": "clip"},
        "moves": {"kind": "flow_clip", "frames": 64},
        "small": {"kind": "flow_clip", "frames": 64, "size": 30},
        "icon": {"kind": "dynamic_image", "size": 16},
    }  # fmt: skip
    settings["variants"] = [{"name": "row", "loss": "focal"} | row]
    if "clip" not in row.values():
        settings["simulation"]["frames"] = "all"
    if said is None:
        assert load_config(settings).variants[0].name == "row"
        return
    with pytest.raises(UserError, match=said):
        load_config(settings)


@pytest.mark.parametrize(
    ("pretraining", "said"),
    [
        (
            {"augmentation": {"flip": True}},
            r"row\.training\.augmentation: would falsify .* flow; set \{flip: f",
        ),
        (
            {"mirrored_test": True},
            r"pretraining\.mirrored_test: would falsify the input flow; set false",
        ),
    ],
)
def test_a_pretraining_that_would_falsify_an_input_is_refused(pretraining, said):
    settings = changed("inputs", {"flow": {"kind": "flow", "size": 48}})
    for block in ("training", "pretraining"):
        settings[block]["augmentation"] |= STILL["augmentation"]
    settings["variants"] = [{"name": "row", "loss": "focal", "input": "flow", "init": "pretrained"}]
    assert load_config(settings)
    settings["pretraining"] |= pretraining | {
        "augmentation": settings["pretraining"]["augmentation"] | pretraining.get("augmentation", {})
    }
    with pytest.raises(UserError, match=said):
        load_config(settings)


def test_stages_of_networks_without_them_are_not_frozen_wherever_their_weights_come_from():
    settings = changed("variants", [{"name": "row", "loss": "focal", "network": "efficientnet_lite0"}])
    settings["transfer"]["freeze_stages"] = 2
    with pytest.raises(
        UserError, match=r"freeze_stages: efficientnet_lite0 of variants.row has no stages; set 0"
    ):
        load_config(settings)
    settings["transfer"]["freeze_stages"] = 0
    config = load_config(settings)
    assert config.transfer_of(config.variants[0]) == config.transfer
    settings["transfer"]["freeze_stages"] = 2
    settings["variants"][0]["network"] = {"kind": "efficientnet_lite0", "weights": "random"}
    config = load_config(settings)
    assert config.transfer_of(config.variants[0]) is None


def test_a_wrong_key_of_a_row_keeps_its_place_where_features_are_made_of_the_row():
    settings = changed("variants.1.training", {"normalization": "imagnet"})
    settings["variants"][1] |= {"name": "row", "init": "pretrained"}
    features = {"kind": "pretrained", "variant": "row"}
    settings["baselines"] = [{"name": "deep", "features": features, "classifier": {"kind": "svm"}}]
    with pytest.raises(UserError, match=r"variants\.row\.training\.normalization: 'imagnet' is not allowed"):
        load_config(settings)


def test_crops_that_are_too_small_for_a_network_are_refused():
    settings = changed("variants", [{"name": "row", "loss": "focal", "network": "efficientnet_lite0"}])
    settings["alignment"]["size"] = 31
    with pytest.raises(UserError, match=r"alignment\.size: efficientnet_lite0 of variants\.row needs 32 pix"):
        load_config(settings)
    settings["alignment"]["size"] = 32
    assert load_config(settings).alignment.size == 32


def test_a_row_lays_its_keys_over_the_common_training():
    settings = changed("variants.0.training", {"epochs": 3, "augmentation": {"flip": False}})
    config = load_config(settings)
    first, second = (config.training_of(variant) for variant in config.variants[:2])
    assert (first.epochs, first.augmentation.flip) == (3, False)
    assert first.augmentation.shift == second.augmentation.shift and second == config.training
    pretraining = config.pretraining_of(config.variants[0])
    assert pretraining.epochs == config.pretraining.epochs and not pretraining.augmentation.flip


def test_class_map_merges_labels_in_order_of_first_mention():
    three = {"disgust": "negative", "happiness": "positive", "repression": "negative", "surprise": "surprise"}
    config = load_config(changed("datasets.casme2.classes", three | {"others": None}))
    assert config.datasets["casme2"].class_names == ["negative", "positive", "surprise"]


def test_the_classes_of_megc2019_are_those_that_the_shipped_comment_tells():
    comment = (ROOT / "config.yaml").read_text().partition("Three classes (MEGC 2019): ")[2]
    told = comment.partition("classes:")[0].replace("#", "")
    pairs = [part.strip(" .\n").split(": ") for part in " ".join(told.split()).rstrip(". ").split(";")]
    three = {
        label: None if name == "null" else name for labels, name in pairs for label in labels.split(", ")
    }
    laid_over = load_config(
        changed("datasets.casme2.classes", SHIPPED["datasets"]["casme2"]["classes"] | three)
    )
    protocol = yaml.safe_load((ROOT / "configs" / "megc2019.yaml").read_text())["datasets"]["casme2"]
    assert laid_over.datasets["casme2"].classes == protocol["classes"]


def test_only_used_datasets_are_spelled_out():
    config = load_config(SHIPPED)
    spelled = config.with_subjects(["sub01", "sub02"])
    assert spelled.datasets["casme2"].subjects == ["sub01", "sub02"]
    assert spelled.datasets["ckplus"].subjects is None, "nothing depends on who is in the source"
    assert spelled.pretraining_splits == ["frame", "subject"]
    untransferred = copy.deepcopy(SHIPPED)
    untransferred["variants"] = untransferred["variants"][:2]
    untransferred["report"]["never_show"] = ["casme2/sub02", "ckplus/S055"]
    spelled = load_config(untransferred).with_subjects(["sub01", "sub02"])
    assert list(spelled.datasets) == ["casme2"] and spelled.report.never_show == ["casme2/sub02"]
    assert spelled.source is None
    with pytest.raises(UserError, match=r"datasets\.casme2\.root: no subject found"):
        load_config(untransferred).with_subjects([])
    with pytest.raises(UserError, match=r"datasets\.casme2\.subjects: only sub01; leaving one out needs two"):
        load_config(untransferred).with_subjects(["sub01"])


@pytest.mark.parametrize("written", ["Sub05", "sub5", "5", "S05", "sub055"])
def test_whom_the_report_must_not_show_is_spelled_as_in_the_manifest(written):
    """In another spelling nobody would be hidden."""
    people = {"casme2": ["sub01", "sub05"], "ckplus": ["S055"]}

    def config(*never_show, root="own"):
        settings = copy.deepcopy(SHIPPED)
        settings["report"]["never_show"] = [*never_show]
        settings["datasets"]["casme2"]["root"] = settings["datasets"]["ckplus"]["root"] = root
        return load_config(settings)

    config("casme2/sub05", "ckplus/S055").check_never_shown(people.get)
    for never_show, known in (
        (["casme2/sub05", f"casme2/{written}"], "casme2; .*: sub01, sub05$"),
        (["ckplus/S55"], "ckplus; .*: S055$"),
    ):
        with pytest.raises(UserError, match=f"never_show: {never_show[-1]} not among the people of {known}"):
            config(*never_show).check_never_shown(people.get)
    config(f"casme2/{written}", root="simulated").check_never_shown(people.get)


def test_every_seed_may_have_a_pretraining_of_its_own():
    assert load_config(changed("pretraining.runs", 2)).pretraining_runs == [0, 1]
    own = changed("pretraining.per_seed", True) | {"seeds": [3, 5, 8]}
    assert load_config(own).pretraining_runs == [3, 5, 8]


def test_folds_are_people_or_groups_of_them():
    subjects = ["sub01", "sub02", "sub03"]
    alone = load_config(SHIPPED).with_subjects(subjects)
    assert (alone.fold_names, alone.groups) == (["sub01", "sub02", "sub03"], None)
    grouped = load_config(SHIPPED | {"folds": {"groups": 2}}).with_subjects(subjects)
    assert (grouped.fold_names, grouped.groups) == (["group1", "group2"], 2)
    with pytest.raises(UserError, match=r"folds\.groups: 4 groups of 3 subjects; give fewer"):
        load_config(SHIPPED | {"folds": {"groups": 4}}).with_subjects(subjects)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("configuration.md", document.page),
        ("config.schema.json", lambda: json.dumps(document.schema(), indent=1)),
    ],
)
def test_the_documents_of_the_configuration_are_those_of_the_model(name, text):
    written = (ROOT / "docs" / name).read_text()
    assert written.strip() == text().strip(), f"docs/{name} is out of date; run {document.COMMAND}"


def test_every_key_says_what_it_means():
    schema = document.schema()
    blocks = schema["$defs"] | {"Config": schema}
    silent = [
        f"{name}.{key}"
        for name, block in blocks.items()
        for key, node in block["properties"].items()
        if not node["description"] and "const" not in node
    ]
    assert not silent, "write a docstring below the key, or a comment above it in config.yaml"


def schema_problems(settings):
    jsonschema.Draft202012Validator.check_schema(document.schema())
    return [*jsonschema.Draft202012Validator(document.schema()).iter_errors(settings)]


@pytest.mark.parametrize(
    "path", [ROOT / "config.yaml", *sorted((ROOT / "configs").glob("*.yaml"))], ids=lambda path: path.name
)
def test_an_editor_finds_the_schema_and_nothing_wrong(path):
    first = path.read_text().splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / named).resolve() == ROOT / "docs" / "config.schema.json", f"{path}: {first}"
    assert not schema_problems(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.epoch", 3),
        ("training.epochs", 0),
        ("seeds", [2**40]),
        ("variants.1.attention", "duel"),
        ("baselines.0.features.kind", "hog"),
        ("compute.memory", "lots"),
    ],
)
def test_an_editor_marks_what_a_run_would_refuse(key, value):
    with pytest.raises(UserError):
        load_config(changed(key, value))
    assert schema_problems(changed(key, value))


def test_every_attention_of_the_configuration_can_be_built_and_no_other():
    assert set(typing.get_args(Variant.model_fields["attention"].annotation)) == set(ATTENTION)


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("variants.0.init", "~nobody/w", "variants.resnet18_ce.init"),
        ("pretraining.init", "$NOT_SET/w", "pretraining.init"),
        ("alignment.landmarks", "points.csv", "alignment.landmarks of casme2"),
        ("datasets.ckplus.alignment", {"landmarks": "."}, "alignment.landmarks of ckplus"),
        ("simulation.faces", "people", "simulation.faces"),
    ],
)
def test_what_is_named_by_path_and_not_there_is_said_before_anything_runs(key, value, named):
    load_config(SHIPPED).check_files()
    with pytest.raises(UserError, match=rf"^{named}: no such (file|folder): .*; give "):
        load_config(changed(key, value)).check_files()


def test_a_dataset_may_be_aligned_otherwise():
    source = yaml.safe_load((ROOT / "config.yaml").read_text())
    source["datasets"]["casme2"]["alignment"] = {"mode": "precropped", "eye_center": [0.5, 0.4]}
    config = load_config(source)
    assert config.alignment_of("ckplus") == config.alignment
    changed = config.alignment.model_copy(update={"mode": "precropped", "eye_center": (0.5, 0.4)})
    assert config.alignment_of("casme2") == changed
    for key, value, problem in (
        ("size", 224, r"datasets\.casme2\.alignment\.size: unknown key; allowed: eye_center, eye_distance"),
        ("eye_distance", 0.9, r"datasets\.casme2\.alignment\.eye_distance: 0\.9 is not allowed"),
        ("mode", "cropped", r"datasets\.casme2\.alignment\.mode: 'cropped' is not allowed"),
    ):
        source["datasets"]["casme2"]["alignment"] = {key: value}
        with pytest.raises(UserError, match=problem):
            load_config(source)


def with_alpha(alpha, form="softmax", **more):
    settings = copy.deepcopy(SHIPPED)
    settings["losses"]["focal"] = {"kind": "focal", "form": form, "alpha": alpha} | more
    return settings


def test_weights_by_name_serve_a_source_with_other_classes():
    known = load_config(SHIPPED)
    target, source = (known.datasets[name].class_names for name in (known.target, known.source))
    weights = dict.fromkeys([*target, *source], 3.0)
    assert load_config(with_alpha(weights)).losses["focal"].alpha == weights
    for text in (f"has none for {source[0]}", f"of {known.source} (", "dual_transfer"):
        with pytest.raises(UserError) as caught:
            load_config(with_alpha({name: w for name, w in weights.items() if name != source[0]}))
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("alpha", "message"),
    [
        (
            [1.0, 2.0, 3.0],
            "losses.focal.alpha: lists 3 numbers, and variant resnet18_focal is trained on the 5",
        ),
        ([1.0, 2.0, 3.0, 4.0, 5.0], "variant dual_transfer is trained on the 7 classes of ckplus"),
    ],
)
def test_weights_that_are_not_one_per_class_are_refused_by_the_configuration(alpha, message):
    with pytest.raises(UserError) as caught:
        load_config(with_alpha(alpha))
    assert message in str(caught.value) and "by its name" in str(caught.value)


def test_a_prior_belongs_to_the_sigmoid_form():
    assert load_config(with_alpha(0.25, "sigmoid", prior=0.01)).losses["focal"].prior == 0.01
    with pytest.raises(UserError, match=r"losses\.focal\.prior.*belongs to form: sigmoid"):
        load_config(with_alpha(0.25, "softmax", prior=0.01))


def test_features_of_a_network_that_is_normalised_by_its_source_are_refused():
    settings = changed("baselines.0.features", {"kind": "pretrained", "variant": "dual_transfer"})
    load_config(settings)
    settings["pretraining"]["normalization"] = "dataset"
    with pytest.raises(
        UserError, match=r"features\.variant: dual_transfer is normalised by images of the so"
    ):
        load_config(settings)
