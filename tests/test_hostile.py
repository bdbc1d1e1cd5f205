"""Hostile files and settings run nothing, stay in their folder, take little memory, end in one sentence.

What one reader refuses is tested beside that reader; here stand the bombs, and what goes through several.
"""

import csv
import io
import json
import os
import random
import re
import resource
import runpy
import struct
import tempfile
import time
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import xlwt
import yaml
from checkout import Checkout
from dataset_samples import (
    CONFIG,
    ROWS,
    WORKBOOK,
    casme2_settings,
    ckplus_settings,
    draw,
    read,
    write_casme2,
    write_ckplus,
    write_workbook,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_cache import assert_same, faces, seal
from test_collect import CLASSES, write_fold
from test_collect import read as read_predictions
from test_manifest import annotated, left_out
from test_weights import Small
from test_workbook import COLUMNS, TABLE, replace_part, to_csv, to_xls, to_xlsx

from mer_core.config.experiment import load_config
from mer_core.csvs import read_csv, write_csv
from mer_core.datasets import doctor, reading
from mer_core.datasets.clips import MAX_FRAMES, clip_frames
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root
from mer_core.datasets.manifest import assemble, read_manifest, write_manifest
from mer_core.datasets.pixels import unpack
from mer_core.datasets.workbook import read_table
from mer_core.errors import UserError
from mer_core.evaluation.collect import read_pooled
from mer_core.faces import cache
from mer_core.faces.cache import read_cache, write_cache
from mer_core.faces.given import given_landmarks
from mer_core.faces.samples import align_samples
from mer_core.images import read_image
from mer_core.inference.bundle import read_description
from mer_core.inference.sources import read_clip
from mer_core.models.weights import load_weights
from mer_core.motion.videos import write_frames

ROOT = Path(__file__).parent.parent
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
# Of Pillow and openpyxl, about damage that they mend.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
TOKENS = [
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\n", b'"', b",", b";", b"-1", b"1e308", b"NaN", b"null",
    b"9" * 30, b"../../x", b"/etc/passwd", b"$(touch ran)", b"=1+1", b"<b>", b"&x;", b"[" * 50, b"A" * 5000,
]  # fmt: skip


@contextmanager
def memory(megabytes):
    """No more than so many megabytes beside what this process holds already."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + megabytes * 10**6, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def refused(message, call, megabytes=400):
    """The call ends in one sentence, within the memory."""
    with memory(megabytes), pytest.raises(UserError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def part(data, name):
    return zipfile.ZipFile(io.BytesIO(data)).read(name)


# Bombs: small files that would take the machine's memory or time.


def styles_bomb():
    """34 kB; openpyxl makes four million objects of it, 2.5 GB."""
    styles = part(to_xlsx(TABLE), "xl/styles.xml")
    head, tail = styles[: styles.index(b"<cellXfs")], styles[styles.index(b"</cellXfs>") :]
    return replace_part(to_xlsx(TABLE), "xl/styles.xml", head + b"<cellXfs>" + b"<xf/>" * 3_900_000 + tail)


def many_sheets():
    """Ten thousand names for the same sheet, which ends in row 99999."""
    book, rows = part(to_xlsx(TABLE), "xl/workbook.xml"), part(to_xlsx(TABLE), "xl/worksheets/sheet1.xml")
    place = book.index(b"</sheets>")
    sheets = b'<sheet name="a" sheetId="1" r:id="rId1"/>' * 10_000
    data = replace_part(to_xlsx(TABLE), "xl/workbook.xml", book[:place] + sheets + book[place:])
    return replace_part(data, "xl/worksheets/sheet1.xml", rows.replace(b'<row r="3">', b'<row r="99999">'))


def wide_xls():
    """9 kB; xlrd would fill up six sheets to 65536 x 256 cells each, 1.2 GB."""
    book, file = xlwt.Workbook(), io.BytesIO()
    for number in range(6):
        sheet = book.add_sheet(f"sheet{number}")
        sheet.write(0, 0, "x")
        sheet.write(65535, 255, 1)
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (styles_bomb, "bytes of styles and the like; save the table as CSV"),
        (many_sheets, "10001 sheets; save the one of the annotations alone"),
        (wide_xls, "no column 'Subject'"),
        (lambda: to_csv(TABLE) + b"\r\n" * 9_900_000, "more than 100,000 rows"),
    ],
)
def test_tables_that_blow_up(tmp_path, make, message):
    (tmp_path / "table").write_bytes(make())
    refused(message, lambda: read_table(tmp_path / "table", COLUMNS))


def png(chunks):
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def blank(width, height):
    rows = zlib.compress(bytes((1 + width) * height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return [[b"IHDR", header], [b"IDAT", rows], [b"IEND", b""]]


def test_images_that_blow_up(tmp_path):
    path = tmp_path / "img1.png"
    for shape in ((40_000, 10), (10, 40_000)):
        path.write_bytes(png(blank(*shape)))
        refused("or than 30,000 along an edge", lambda: read_image(path))
    # Beside ten pixels, a comment of 2 GB, or 30 GB of nothing behind them: sparse files, free to make.
    whole = png(blank(10, 1))
    path.write_bytes(whole[: whole.index(b"IDAT") - 4] + struct.pack(">I", 2**31 - 1) + b"tEXt")
    os.truncate(path, 3 << 30)
    refused("more than 400,000,000 bytes", lambda: read_image(path))
    path.write_bytes(whole)
    os.truncate(path, 30 << 30)
    refused("more than 400,000,000 bytes", lambda: read_image(path))


def test_an_interval_of_a_thousand_million_frames(tmp_path):
    write_casme2(tmp_path)
    (tmp_path / WORKBOOK).unlink()
    lines = ["Subject,Filename,Onset,Apex,Offset,Emotion", "1,EP02_01f,0,8,999999999,happiness"]
    (tmp_path / "casme2.csv").write_text("\n".join(lines))
    with memory(400):
        samples, defects = read(tmp_path, casme2_settings(["sub01"]))
    assert samples.included.all()
    gaps = defects[defects.defect == "frame_gaps"]
    assert gaps.action.tolist() == ["sample kept; 999999991 missing, first 1"]


def test_a_sequence_of_a_thousand_million_frames(tmp_path):
    write_ckplus(tmp_path, [("S005", "001", 3, 3), ("S010", "001", 3, 5)])
    for file in [path for path in tmp_path.rglob("S005_001_00000003*")]:  # the peak and its label
        file.rename(file.with_name(file.name.replace("00000003", "999999999")))
    with memory(400):
        _, defects = read(tmp_path, ckplus_settings())
    assert "kept; 999999996 missing, first 3" in defects.action.tolist()


def test_a_clip_of_more_frames_than_memory_holds(tmp_path):
    folder = tmp_path / "sub01" / "EP01"
    draw(folder / "img0.png", size=(2, 2))
    for number in range(1, MAX_FRAMES + 1):
        os.link(folder / "img0.png", folder / f"img{number}.png")
    row = pd.Series({"frame_path": "sub01/EP01", "apex": pd.NA, "onset": 0, "offset": MAX_FRAMES})
    refused(f"{MAX_FRAMES + 1} frames in 0..{MAX_FRAMES}, not 1 to", lambda: clip_frames(tmp_path, row))
    row["offset"] -= 1
    assert len(clip_frames(tmp_path, row)) == MAX_FRAMES
    row["onset"] = row["offset"] = 10**6
    refused("0 frames in", lambda: clip_frames(tmp_path, row))


def test_aliases_that_multiply(tmp_path):
    """Nine lines that stand for 10^9 values, wherever a value is wanted."""
    lines = [f"a0: &a0 [{', '.join('x' * 10)}]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    bomb = yaml.safe_load("\n".join(lines))["a8"]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    refused(r"bomb\.yaml: more than 100,000 values", lambda: load_config(tmp_path / "bomb.yaml"))
    datasets = {"casme2": {"layout": bomb}}
    refused("configuration: more than 100,000 values", lambda: load_config(SHIPPED | {"seeds": bomb}))
    refused("configuration: more than 100,000 values", lambda: load_config(SHIPPED | {"datasets": datasets}))


@pytest.mark.parametrize(
    "text", ["a: " + "[" * 5000, f"seeds: [{'9' * 5000}]", "seeds: [0x" + "f" * 9000 + "]"]
)
def test_endless_yaml(tmp_path, text):
    (tmp_path / "endless.yaml").write_text(text)
    with pytest.raises(UserError, match=r"endless\.yaml: "):
        load_config(tmp_path / "endless.yaml")


def test_weights_of_a_terabyte(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.touch()
    os.truncate(path, 1 << 40)
    refused("is larger than weights of this network", lambda: load_weights(Small(), path))


def test_weights_of_an_endless_name(tmp_path):
    path, state = tmp_path / "weights.safetensors", Small().state_dict()
    state["a." * 200_000 + "fc.weight"] = state.pop("fc.weight")
    safetensors.torch.save_file(state, path)
    started = time.monotonic()
    refused("lacks 'fc.weight'", lambda: load_weights(Small(), path))
    assert time.monotonic() - started < 5


# What would leave the folder.


def external_link(file, other):
    file["images"] = h5py.ExternalLink(other, "/images")


def soft_link(file, other):
    file["elsewhere"] = np.zeros((3, 16, 16, 3), np.uint8)
    file["images"] = h5py.SoftLink("/elsewhere")


def external_storage(file, other):
    file.create_dataset("images", (3, 16, 16, 3), np.uint8, external=[(str(other), 0, 3 * 16 * 16 * 3)])


def virtual(file, other):
    layout = h5py.VirtualLayout((3, 16, 16, 3), np.uint8)
    layout[:] = h5py.VirtualSource(other, "images", shape=(3, 16, 16, 3))
    file.create_virtual_dataset("images", layout)


def bomb(file, other):
    """A chunk of 300 MB of which three images are in use."""
    shape, chunk = (3, 16, 16, 3), (400_000, 16, 16, 3)
    images = file.create_dataset(
        "images", shape, np.uint8, maxshape=(None, *shape[1:]), chunks=chunk, compression="gzip"
    )
    images.id.write_direct_chunk((0, 0, 0, 0), zlib.compress(bytes(np.prod(chunk))))


@pytest.mark.parametrize("put", [external_link, soft_link, external_storage, virtual, bomb])
def test_a_cache_reads_no_other_file_and_unpacks_nothing(tmp_path, put):
    path, other = tmp_path / "cache.h5", tmp_path / "secret.h5"
    write_cache(path, faces())
    write_cache(other, faces(subject="sub02"))
    with h5py.File(path, "r+") as file:
        del file["images"]
        put(file, other)
    seal(path)
    refused(r"cache\.h5: cannot be read .*\(images .*delete", lambda: read_cache(path), 200)


def test_a_table_is_not_sought_outside_of_the_root(tmp_path):
    write_casme2(tmp_path / "root")
    table = tmp_path / "root" / "CASME2-coding-20140508.xlsx"
    table.rename(tmp_path / "elsewhere.xlsx")
    table.symlink_to(tmp_path / "elsewhere.xlsx")
    refused("no annotation table", lambda: read(tmp_path / "root", casme2_settings()))
    samples, _ = read(tmp_path / "root", casme2_settings(workbook=str(tmp_path / "elsewhere.xlsx")))
    assert samples.included.all(), "naming it is a decision"


# Names and texts.

HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", "''@x", "'quoted'", '=HYPERLINK("http://x")']


def test_no_table_of_ours_holds_a_formula(tmp_path):
    rows = [annotated(f"c{n}", label_raw=text, action_units=text) for n, text in enumerate(HOSTILE)]
    frame = assemble(rows)
    write_manifest(frame, tmp_path / "m.csv")
    pd.testing.assert_frame_equal(read_manifest(tmp_path / "m.csv"), frame)
    findings = Findings({})
    for text in HOSTILE:
        findings.add("bad_name", text, row=text, file=text)
    write_csv(findings.table(), tmp_path / "d.csv")
    for name in ("m.csv", "d.csv"):
        with (tmp_path / name).open(newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert cells and not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


def test_names_of_folders_that_are_no_text(tmp_path):
    write_casme2(tmp_path, tree="Cropped")
    for name in (b"EP\xff", b"EP\n1", "EP\u202e".encode(), b"$(touch ran)", b"x" * 255):
        folder = tmp_path / "Cropped" / "sub01" / os.fsdecode(name)
        draw(tmp_path / "img1.jpg")
        folder.mkdir()
        (tmp_path / "img1.jpg").rename(folder / "img1.jpg")
    samples, defects = read(tmp_path, casme2_settings())
    assert samples.included.all()
    assert defects.defect.tolist().count("frames_without_annotation") == 5
    write_csv(defects, tmp_path / "defects.csv")
    assert all(line.isprintable() for line in (tmp_path / "defects.csv").read_text().splitlines())


def test_a_date_where_a_frame_should_be_is_shown(tmp_path):
    write_casme2(tmp_path)
    row = ("01", "EP02_01f", "1900-01-06", 8, 12, 12, "happiness")
    write_workbook(tmp_path / WORKBOOK, [row, *ROWS[1:]])
    _, defects = read(tmp_path, casme2_settings())
    assert defects.action[0] == "left out: onset '1900-01-06', offset '12'"


def test_a_manifest_without_a_sample_stops_the_run(tmp_path):
    write_manifest(assemble([left_out("a"), left_out("b")]), tmp_path / "samples.csv")
    write_csv(Findings({}).table(), tmp_path / "defects.csv")
    step = SimpleNamespace(
        threads=1,
        input=SimpleNamespace(samples=tmp_path / "samples.csv", defects=tmp_path / "defects.csv"),
        output=SimpleNamespace(manifest=tmp_path / "m.csv"),
        params=SimpleNamespace(root=str(tmp_path), alignment=SHIPPED["alignment"]),
    )
    script = runpy.run_path(str(ROOT / "workflow_scripts" / "write_manifest.py"))
    refused(r"samples\.csv: all 2 samples are left out; its column reason", lambda: script["main"](step))
    assert not (tmp_path / "m.csv").exists()


NAME = "a b'\"$(touch ran);{x} {dataset} `touch ran` %s \\n é & -rf"


def write_own(checkout, root, **changes):
    settings = {
        "experiment": "hostile",
        "source": None,
        "datasets": {"casme2": {"root": str(root), "subjects": ["sub01", "sub02"]}},
        "variants": [{"name": "plain", "attention": "none", "loss": "focal"}],
        "baselines": [],
        "doctor": {"severity": {"absent_class": "warning"}},
    }
    path = checkout.folder / "hostile.yaml"
    path.write_text(yaml.safe_dump(settings | changes, allow_unicode=True))
    return path.name


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return Checkout(tmp_path_factory.mktemp("hostile names"), "tests/tiny.yaml")


def test_no_shell_sees_the_name_of_a_folder(checkout, tmp_path):
    write_casme2(tmp_path / NAME, tree=NAME)
    config = write_own(checkout, tmp_path / NAME)
    done = checkout.run("results/hostile/manifests/casme2.csv", config=config)
    assert done.returncode == 0, done.stdout[-2000:]
    manifest = read_manifest(checkout.folder / "results" / "hostile" / "manifests" / "casme2.csv")
    assert manifest.included.all()
    assert manifest.frame_path.str.startswith(f"{NAME}/sub0").all()
    assert not list(checkout.folder.rglob("ran")) and not list(tmp_path.rglob("ran"))


def test_snakemake_refuses_what_would_run(checkout):
    tagged = "experiment: !!python/object/apply:os.system ['touch ran']\n"
    (checkout.folder / "tagged.yaml").write_text(tagged)
    target = "results/tiny/folds/dual/seed0/$(touch ran)/predictions.csv"
    for arguments, config, message in (
        ((), "tagged.yaml", "Config file is not valid"),
        ((target,), None, "MissingRuleException"),
        (("--config", "experiment=$(touch ran)"), None, "experiment: '$(touch ran)' is not allowed"),
    ):
        # Options after the target, since some of them take all words that follow.
        done = checkout.plan(*arguments, "--quiet", config=config)
        assert done.returncode == 1
        assert message in done.stdout
        assert not (checkout.folder / "ran").exists()


# Fuzz: what a valid file becomes under a hostile hand is read right, or refused in one sentence.

FUZZ = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
SEEDS = st.integers(0, 2**32)


def mutated(rng, data):
    """A few bytes overwritten, removed, repeated, or hostile ones put in."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        place, length = rng.randrange(len(data) + 1), rng.choice([1, 2, 10, 100])
        change = rng.randrange(5)
        if change == 0:
            data[place : place + length] = rng.randbytes(min(length, len(data) - place))
        elif change == 1:
            del data[place : place + length]
        elif change == 2:
            data[place:place] = data[place : place + length]
        else:
            data[place : place + rng.choice([0, length])] = rng.choice(TOKENS)
    return bytes(data)


@contextmanager
def one_sentence(name):
    """Lets a UserError pass that is one line about this file; sets the memory's limit."""
    with memory(1000):
        try:
            yield
        except UserError as error:
            assert name in str(error)
            assert "\n" not in str(error)
            assert len(str(error)) < 2000


@settings(max_examples=700, **FUZZ)
@given(SEEDS)
def test_fuzzed_workbooks(tmp_path, seed):
    """Behind the zip's checksums, where damage of the whole file never gets."""
    rng = random.Random(seed)
    form = rng.choice(["xlsx", "xlsx", "csv", "xls"])
    if form == "xlsx":
        data = to_xlsx(TABLE)
        name = rng.choice(["xl/worksheets/sheet1.xml"] * 3 + zipfile.ZipFile(io.BytesIO(data)).namelist())
        data = replace_part(data, name, mutated(rng, part(data, name)))
    else:
        data = mutated(rng, to_csv(TABLE) if form == "csv" else to_xls(TABLE))
    (tmp_path / "table").write_bytes(data)
    with one_sentence("table"):
        table = read_table(tmp_path / "table", COLUMNS)
        assert table.columns.tolist() == list(COLUMNS)
        assert table.map(lambda cell: isinstance(cell, str) and cell.isprintable()).all(axis=None)


def test_fuzzed_label_files(tmp_path):
    write_casme2(tmp_path / "casme2", ROWS[:2])
    (tmp_path / "casme2" / "CASME2-coding-20140508.xlsx").unlink()
    write_ckplus(tmp_path / "ckplus", [("S005", "001", 2, 3), ("S010", "002", 2, 5)])
    lines = ["Subject,Filename,OnsetFrame,ApexFrame,OffsetFrame,Action Units,Estimated Emotion"]
    table = "\n".join([*lines, *(",".join(map(str, row)) for row in ROWS)]).encode()
    emotion = next((tmp_path / "ckplus").rglob("S005*_emotion.txt"))
    label = emotion.read_bytes()

    @settings(max_examples=100, **FUZZ)
    @given(SEEDS)
    def check(seed):
        rng = random.Random(seed)
        (tmp_path / "casme2" / "casme2.csv").write_bytes(mutated(rng, table))
        emotion.write_bytes(mutated(rng, label))
        for name, own in (("casme2", casme2_settings(["sub01"])), ("ckplus", ckplus_settings())):
            with one_sentence("casme2.csv"):
                samples, defects = read(tmp_path / name, own)
                doctor.summarize(samples, defects, own, reading.published(own))
                used = samples[samples.included]
                assert used.label.isin(own.class_names).all()
                for path in used.frame_path:
                    assert (tmp_path / name / path).resolve().is_relative_to(tmp_path / name)

    check()


@settings(max_examples=150, **FUZZ)
@given(SEEDS)
def test_fuzzed_manifests(tmp_path, seed):
    write_manifest(assemble([annotated(), annotated("b", apex=47), left_out()]), tmp_path / "m.csv")
    (tmp_path / "m.csv").write_bytes(mutated(random.Random(seed), (tmp_path / "m.csv").read_bytes()))
    with one_sentence("m.csv"):
        frame = read_manifest(tmp_path / "m.csv")
        write_manifest(frame, tmp_path / "again.csv")
        pd.testing.assert_frame_equal(read_manifest(tmp_path / "again.csv"), frame)


@settings(max_examples=500, **FUZZ)
@given(SEEDS)
def test_fuzzed_predictions_and_their_records(tmp_path, seed):
    rng = random.Random(seed)
    changed, fold = rng.choice(["predictions.csv", "fold.json"]), tmp_path / "seed0" / "s1"
    if not fold.exists():
        write_fold(tmp_path, "s1")
        for name in ("predictions.csv", "fold.json"):
            (tmp_path / name).write_bytes((fold / name).read_bytes())
    for name in ("predictions.csv", "fold.json"):
        data = (tmp_path / name).read_bytes()
        (fold / name).write_bytes(mutated(rng, data) if name == changed else data)
    with one_sentence("s1"):
        rows = read_predictions([fold / "predictions.csv"], [0], partial=True).predictions
        assert rows["sample_id"].tolist() == ["d/s1/c1", "d/s1/c2"]
        assert rows["label"].tolist() == ["negative", "positive"]
        assert rows["predicted"].isin(CLASSES).all()
        assert rows["seed"].tolist() == [0, 0] and rows["seed"].dtype == "int64"
        assert rows[["p_negative", "p_positive"]].sum(axis=1).between(0.999, 1.001).all()


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ATTRIBUTES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=3), SCALARS)
COLUMN = st.tuples(
    st.sampled_from([*cache.ARRAYS, *cache.TEXTS]),
    st.sampled_from(["u1", "i1", ">u2", "f4", ">f8", "S1", "S400", "O", "V3", "c8", "?"]),
    st.lists(st.integers(0, 17), max_size=5),
)


@settings(max_examples=400, **FUZZ)
@given(SEEDS, st.none() | COLUMN, ATTRIBUTES, st.booleans(), st.booleans())
def test_fuzzed_caches(tmp_path, seed, column, attributes, replace_attributes, sealed):
    path, rng = tmp_path / "cache.h5", random.Random(seed)
    write_cache(path, faces())
    if column is None and not replace_attributes:
        path.write_bytes(mutated(rng, path.read_bytes()))
    else:
        with h5py.File(path, "r+") as file:
            if column is not None:
                name, kind, shape = column
                del file[name]
                kind = h5py.string_dtype() if kind == "O" else kind
                file.create_dataset(name, shape, kind)
            if replace_attributes:
                file.attrs["attributes"] = np.bytes_(json.dumps(attributes).encode())
        if sealed:
            seal(path)
    with one_sentence("cache.h5"):
        found = read_cache(path)
        if not sealed:
            assert_same(found, faces())
        json.dumps(found.attributes, allow_nan=False)


@settings(max_examples=300, **FUZZ)
@given(SEEDS)
def test_fuzzed_headers_of_weights(tmp_path, seed):
    whole, rng = safetensors.torch.save(Small(1.0).state_dict()), random.Random(seed)
    length = struct.unpack("<Q", whole[:8])[0]
    header = mutated(rng, whole[8 : 8 + length])
    length = rng.choice([len(header)] * 4 + [rng.randrange(2**64)])
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", length) + header + whole[8 + length :])
    with one_sentence("w.safetensors"):
        model = Small()
        load_weights(model, tmp_path / "w.safetensors")
        assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


CHUNKS = b"IHDR PLTE tRNS IDAT IEND gAMA cHRM tEXt zTXt iTXt eXIf acTL fcTL iCCP".split()


@settings(max_examples=700, **FUZZ)
@given(SEEDS)
def test_fuzzed_chunks_of_an_image(tmp_path, seed):
    """With checksums that fit, so that the damage is decoded."""
    rng = random.Random(seed)
    chunks = blank(6, 5)
    if rng.random() < 0.5:
        chunks[0][1] = struct.pack(">IIBBBBB", 6, 5, 8, 3, 0, 0, 0)  # by a palette
        chunks.insert(1, [b"PLTE", bytes(range(9))])
    for _ in range(rng.choice([1, 2, 3])):
        place = rng.randrange(len(chunks))
        change = rng.randrange(4)
        if change == 0:
            chunks[place][1] = mutated(rng, chunks[place][1])
        elif change == 1:
            chunks.insert(place, [rng.choice(CHUNKS), rng.randbytes(rng.choice([0, 1, 4, 13, 26]))])
        elif change == 2:
            chunks[place][0] = rng.choice(CHUNKS)
        elif len(chunks) > 1:
            del chunks[place]
    (tmp_path / "img1.png").write_bytes(png(chunks))
    with one_sentence("img1.png"):
        image = read_image(tmp_path / "img1.png")
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


UNREADABLE = {  # a file's name -> how it is read
    "x.h5": read_cache,
    "manifest.csv": read_manifest,
    "table.csv": read_csv,
    "predictions.csv": read_pooled,
    "x.png": read_image,
    "x.xlsx": lambda path: read_table(path, {"a": ["a"]}),
    "points.csv": lambda path: given_landmarks(str(path), Root(path.parent)),
    "S005_001_00000011_landmarks.txt": lambda path: given_landmarks("dataset", Root(path.parent, ["/proc"])),
    "pixels.csv": lambda path: unpack(path, path.parent / "out"),
    "model.json": lambda path: read_description(path.parent),
    "x.safetensors": lambda path: load_weights(Small(), path),
    "x.avi": lambda path: read_clip([path]),
    "y.avi": write_frames,
}


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file here whose reading fails")
@pytest.mark.parametrize("name", UNREADABLE)
def test_a_disk_that_does_not_give_a_file_costs_it_nothing(tmp_path, name):
    """Nobody is told to delete or replace what may be whole: to read /proc/self/mem fails."""
    (tmp_path / name).symlink_to("/proc/self/mem")
    with pytest.raises(UserError, match=r"Input/output error.*may be whole; run again") as caught:
        UNREADABLE[name](tmp_path / name)
    assert not re.search("delete|replace|anew|copy", str(caught.value).replace(str(tmp_path), ""))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file here whose reading fails")
@pytest.mark.parametrize("frame", ["img8", "img7"])
def test_a_frame_that_the_disk_does_not_give_is_not_left_out(tmp_path, frame):
    """With the disk back, the sample would be missing still."""
    write_casme2(tmp_path)
    samples, _ = read(tmp_path, casme2_settings())
    path = tmp_path / f"CASME2_RAW_selected/sub01/EP02_01f/{frame}.jpg"
    path.unlink()
    path.symlink_to("/proc/self/mem")
    failing = pytest.raises(UserError, match=rf"{frame}\.jpg: cannot be read \(Input/output error\)")
    with failing:
        read(tmp_path, casme2_settings(link_roots=("/proc",)))
    if frame == "img8":
        precropped = CONFIG.alignment.model_copy(update={"mode": "precropped", "size": 16})
        with failing:
            align_samples("casme2", samples, tmp_path, precropped, tmp_path / "x.h5", tmp_path / "x.csv")
        assert not (tmp_path / "x.csv").exists()


@contextmanager
def closed(folder, mode):
    """As somebody else where the tests run as root, who may enter everywhere."""
    me = os.geteuid()
    folder.chmod(mode)
    os.seteuid(me or 65534)
    try:
        yield
    finally:
        os.seteuid(me)
        folder.chmod(0o755)


@pytest.mark.parametrize("place", ["sub01", "sub01/EP02_01f"])
def test_a_folder_that_may_not_be_entered_is_not_passed_over(place):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        write_casme2(root)
        refusal = pytest.raises(UserError, match=rf"{place}.*cannot be read \(Permission denied\).*owner")
        with closed(root / "CASME2_RAW_selected" / place, 0o444), refusal:
            read(root, casme2_settings())


@pytest.mark.parametrize("named", ["tables", f"tables/{WORKBOOK}"])
@pytest.mark.parametrize("mode", [0o444, 0o000])
def test_a_table_in_a_folder_that_may_not_be_entered(named, mode):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        write_casme2(root / "root")
        (root / "tables").mkdir()
        (root / "root" / WORKBOOK).rename(root / "tables" / WORKBOOK)
        refusal = pytest.raises(UserError, match=r"tables.*cannot be read \(Permission denied\).*owner")
        with closed(root / "tables", mode), refusal:
            read(root / "root", casme2_settings(workbook=str(root / named)))
