"""Weights on disk: what is written comes back, and nothing damaged or foreign gets in."""

import argparse
import errno
import gzip
import hashlib
import io
import json
import logging
import os
import pickle
import re
import struct
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_core.errors import UserError
from mer_core.models import ATTENTION, build_model, build_network
from mer_core.models.weights import copy_weights, digest_path, load_weights, save_weights


def model_of(kind, num_classes=5, seed=0):
    torch.manual_seed(seed)
    return build_model(kind, num_classes)


def equal(first, second, but=()):
    a, b = first.state_dict(), second.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a if not name.startswith(tuple(but)))


class Small(torch.nn.Module):
    """Few bytes, so that damage can be tried everywhere."""

    def __init__(self, value=0.0):
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)
        self.fc = torch.nn.Linear(2, 2)
        for parameter in self.parameters():
            torch.nn.init.constant_(parameter, value)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "small.safetensors"
    save_weights(Small(1.0), path)
    return path


def resign(path):
    """Give a changed file a digest that fits."""
    digest_path(path).write_text(hashlib.sha256(path.read_bytes()).hexdigest())


def refuse(path, match, model=None, **options):
    """The error is of one line that begins with the file, and the model keeps its values."""
    model = model or Small(7.0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UserError, match=match) as error:
        load_weights(model, path, **options)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("kind", list(ATTENTION))
def test_round_trip(kind, tmp_path):
    path = tmp_path / "run0" / "weights.safetensors"
    first, second = model_of(kind), model_of(kind, seed=1)
    first.to(memory_format=torch.channels_last)(
        torch.randn(2, 3, 32, 32)
    )  # moves the batch norms' statistics
    save_weights(first, path)
    load_weights(second, path)
    assert equal(first, second)
    digest, name = digest_path(path).read_text().split()
    assert (digest, name) == (hashlib.sha256(path.read_bytes()).hexdigest(), "weights.safetensors")
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name, digest_path(path).name]


def test_same_weights_same_bytes(tmp_path):
    for name in "ab":
        save_weights(Small(1.0), tmp_path / f"{name}.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.mark.parametrize("kind", list(ATTENTION))
def test_torchvision_resnet18_fits_every_kind(kind, tmp_path, caplog):
    path = tmp_path / "resnet18.safetensors"
    theirs = torchvision.models.resnet18(weights=None)  # 1000 classes
    safetensors.torch.save_file(theirs.state_dict(), path)
    model, fresh = model_of(kind), model_of(kind)
    with caplog.at_level(logging.INFO):
        load_weights(model, path, skip_classifier=True)
    backbone, new = theirs.state_dict(), fresh.state_dict()
    for name, tensor in model.state_dict().items():
        kept = ".attention." in name or name.startswith("fc.")
        assert torch.equal(tensor, new[name] if kept else backbone[name]), name
    assert ("holds no attention" in caplog.text) == (kind != "none")
    refuse(path, r"fc\.\w+ has shape \(1000.*leave out the classifier", model_of(kind))


def test_files_without_counters_load(tmp_path):
    path = tmp_path / "old.safetensors"
    state = {k: v for k, v in model_of("none").state_dict().items() if "num_batches" not in k}
    safetensors.torch.save_file(state, path)
    model = model_of("none", seed=1)
    load_weights(model, path)
    assert equal(model, model_of("none"))


def test_transfer_leaves_the_classifier_new(tmp_path):
    path = tmp_path / "weights.safetensors"
    pretrained, fresh, model = model_of("dual", 7), model_of("dual", 5, seed=1), model_of("dual", 5, seed=1)
    save_weights(pretrained, path)
    load_weights(model, path, skip_classifier=True)
    assert equal(model, pretrained, but=["fc."])
    assert torch.equal(model.fc.weight, fresh.fc.weight)
    refuse(path, r"fc\.\w+ has shape \(7", fresh)


def test_other_attention_is_refused_by_name(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(model_of("spatial"), path)
    refuse(path, r"lacks 'layer1\.0\.attention\.channel.* and \d+ more", model_of("dual"))
    refuse(path, r"has unexpected 'layer1\.0\.attention\.spatial", model_of("none"))
    other = tmp_path / "partial.safetensors"
    state = model_of("dual").state_dict()
    del state["layer2.0.attention.spatial.conv.weight"]
    safetensors.torch.save_file(state, other)
    refuse(other, r"lacks 'layer2\.0\.attention\.spatial\.conv\.weight';", model_of("dual"))


def test_missing_file_and_folder(tmp_path):
    refuse(tmp_path / "none.safetensors", "No such file")
    refuse(tmp_path, "Is a directory")


def test_our_files_need_their_digest(saved):
    digest_path(saved).unlink()
    refuse(saved, "small.safetensors.sha256 is missing")


def test_renamed_file_comes_with_its_digest(saved):
    other = saved.with_name("other.safetensors")
    saved.rename(other)
    refuse(other, "other.safetensors.sha256 is missing")
    digest_path(saved).rename(digest_path(other))
    load_weights(model := Small(), other)
    assert equal(model, Small(1.0))


@pytest.mark.parametrize("content", ["0" * 64, "SHA256 (small.safetensors) = " + "0" * 64])
def test_wrong_digest_is_refused(saved, content):
    digest_path(saved).write_text(content)
    refuse(saved, "differs from the sha256")


@pytest.mark.parametrize("content", ["", "abc", "é", "0" * 63, "0" * 65, "\0" * 200])
def test_a_digest_file_without_a_digest_is_named(saved, content):
    digest_path(saved).write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"small\.safetensors\.sha256: holds no sha256"):
        load_weights(Small(), saved)


@pytest.mark.parametrize(
    "form",
    [
        "{digest}",
        "{digest}  small.safetensors\n",
        "{digest} *small.safetensors\r\n",
        "\\{digest}  with\\\\backslash\n",
        "SHA256 (small.safetensors) = {digest}\n",
        "SHA2-256(small.safetensors)= {digest}\n",
        "SHA256          {digest}       C:\\weights\\small.safetensors\r\n",
        "SHA256 hash of small.safetensors:\r\n{digest}\r\nCertUtil: command completed successfully.\r\n",
        '"Algorithm","Hash","Path"\r\n"SHA256","{digest}","small.safetensors"\r\n',
        "sha256:{digest}",
        '{{"sha256": "{digest}"}}',
        f"{'0' * 64}  other\n{{digest}}  small.safetensors\n",
        f"{'0' * 64}  old-small.safetensors\n{{digest}}  small.safetensors\n",
        f"{'0' * 64}  small.safetensors.bak\n{{digest}}  ./small.safetensors\n",
        f"{'0' * 64}  fp16/small.safetensors\n{{digest}}  small.safetensors\n",
        f"{'0' * 64}  other\n{{digest}}  Small.safetensors\n",
    ],
)
@pytest.mark.parametrize("case", [str.lower, str.upper])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_digests_are_read_in_the_forms_that_other_tools_write(saved, form, case, encoding):
    digest = hashlib.sha256(saved.read_bytes()).hexdigest()
    digest_path(saved).write_bytes(form.format(digest=case(digest)).encode(encoding))
    load_weights(model := Small(), saved)
    assert equal(model, Small(1.0))


def test_the_digest_of_another_file_is_not_enough(saved):
    digest = hashlib.sha256(saved.read_bytes()).hexdigest()
    digest_path(saved).write_text(f"{digest}  old-small.safetensors\n{'0' * 64}  small.safetensors\n")
    refuse(saved, "differs from the sha256")


@pytest.mark.parametrize("between", [" ", ":", "-"])
def test_a_digest_may_be_written_by_bytes(saved, between):
    digest = hashlib.sha256(saved.read_bytes()).digest()
    digest_path(saved).write_text(f"SHA256 {digest.hex(between)}\n")
    load_weights(Small(), saved)
    digest_path(saved).write_text(f"SHA256 {digest[::-1].hex(between)}\n")
    refuse(saved, "differs from the sha256")


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_a_disk_that_fails_says_nothing_against_the_file(saved, monkeypatch, number):
    def fail(path):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(UserError, match=os.strerror(number)) as caught:
        load_weights(Small(), saved)
    assert "delete" not in str(caught.value)


@pytest.mark.parametrize(
    "prefix",
    ["module.", "model.", "backbone.", "model.module.", "_orig_mod.", "module._orig_mod.", "encoder.0."],
)
def test_a_prefix_of_all_names_is_taken_off(tmp_path, prefix):
    state = {f"{prefix}{name}": tensor for name, tensor in Small(1.0).state_dict().items()}
    safetensors.torch.save_file(state, tmp_path / "wrapped.safetensors")
    load_weights(model := Small(), tmp_path / "wrapped.safetensors")
    assert equal(model, Small(1.0))


def test_a_model_averaged_by_torch(tmp_path):
    averaged = torch.optim.swa_utils.AveragedModel(Small(1.0))
    safetensors.torch.save_file(averaged.state_dict(), tmp_path / "averaged.safetensors")
    load_weights(model := Small(), tmp_path / "averaged.safetensors")
    assert equal(model, Small(1.0))


@pytest.mark.parametrize("wrapper", ["_orig_mod", "module", "_fsdp_wrapped_module"])
def test_wrappers_of_blocks_are_taken_out(tmp_path, wrapper):
    state = {f"model.{name}": tensor for name, tensor in Small(1.0).state_dict().items()}
    state = {name.replace("layer.", f"layer.{wrapper}."): tensor for name, tensor in state.items()}
    safetensors.torch.save_file(state, tmp_path / "wrapped.safetensors")
    load_weights(model := Small(), tmp_path / "wrapped.safetensors")
    assert equal(model, Small(1.0))


@pytest.mark.parametrize(
    ("prefix", "beside"),
    [
        ("model.", {"criterion.weight": torch.ones(2)}),
        ("net.", {"train_acc.total": torch.tensor(0)}),
        ("state_dict.", {"epoch": torch.tensor(3)}),
        ("model.backbone.", {"model.head.weight": torch.ones(2, 2), "model.head.bias": torch.ones(2)}),
    ],
)
@pytest.mark.parametrize("headless", [False, True])
def test_a_network_is_taken_out_of_a_larger_module(tmp_path, caplog, prefix, beside, headless):
    path, state = tmp_path / "larger.safetensors", Small(1.0).state_dict()
    own = {f"{prefix}{name}": t for name, t in state.items() if not (headless and name.startswith("fc."))}
    safetensors.torch.save_file(own | beside, path)
    with caplog.at_level(logging.INFO):
        load_weights(model := Small(), path, skip_classifier=headless)
    assert equal(model, Small(1.0), but=["fc."] if headless else [])
    assert f"takes '{prefix}*', leaves out" in caplog.text and all(
        repr(name) in caplog.text for name in beside
    )
    safetensors.torch.save_file(own | beside | {f"{prefix}extra": torch.ones(1)}, path)
    refuse(path, "has unexpected 'extra'", skip_classifier=headless)
    del own[f"{prefix}layer.bias"]
    safetensors.torch.save_file(own | beside, path)
    refuse(path, "lacks 'layer.bias'", skip_classifier=headless)


@pytest.mark.parametrize("prefixes", [("encoder_k.", "encoder_q."), ("", "ema."), ("", "module.")])
def test_a_network_that_is_there_twice_is_refused(tmp_path, prefixes):
    path, state = tmp_path / "twice.safetensors", Small(1.0).state_dict()
    twice = {f"{prefix}{name}": tensor.clone() for prefix in prefixes for name, tensor in state.items()}
    safetensors.torch.save_file(twice, path)
    named = [re.escape(repr(f"{prefix}*")) for prefix in prefixes]
    refuse(path, f"more than once, as {' and '.join(named)}; keep one of them")


@pytest.mark.parametrize("change", [torch.Tensor.half, torch.Tensor.int, lambda counter: counter.reshape(1)])
def test_counters_of_other_tools_are_left(tmp_path, change):
    state = model_of("none").state_dict()
    counters = {name: change(tensor) for name, tensor in state.items() if "num_batches" in name}
    safetensors.torch.save_file(state | counters, tmp_path / "foreign.safetensors")
    load_weights(model := model_of("none", seed=1), tmp_path / "foreign.safetensors")
    assert equal(model, model_of("none"))


@pytest.mark.parametrize(
    ("network", "channels", "remedy"),
    [
        ({"kind": "ststnet"}, 3, "attention$"),
        ({"kind": "resnet18", "attention": "none", "reduction": 16}, 2, "attention$"),
        ({"kind": "resnet18", "attention": "none", "reduction": 16}, 3, "attention, or of a plain ResNet18$"),
    ],
)
@pytest.mark.parametrize("foreign", ["dual", "none", None])
def test_what_does_not_fit_is_told_what_would(tmp_path, network, channels, remedy, foreign):
    path, model = tmp_path / "foreign.safetensors", build_network(network, 5, channels)
    state = model_of(foreign).state_dict() if foreign else Small().state_dict()
    safetensors.torch.save_file(state, path)
    if foreign == "none" and remedy.endswith("ResNet18$"):
        load_weights(model, path)
    else:
        refuse(path, f"; use weights of this same network, input and {remedy}", model)


def test_the_size_is_held_against_the_network(tmp_path, monkeypatch):
    monkeypatch.setattr("mer_core.models.weights.MAX_BYTES", 1000)
    path, model = tmp_path / "large.safetensors", torch.nn.Linear(64, 64).double()
    save_weights(model, path)
    copy_weights(path, tmp_path / "copy.safetensors")
    load_weights(torch.nn.Linear(64, 64), tmp_path / "copy.safetensors")
    refuse(path, "is larger than weights of this network; name a safetensors file of them alone")


@pytest.mark.parametrize(
    ("wrap", "trusted"),
    [
        (lambda s: s, False),
        (lambda s: {"model": s}, False),
        (lambda s: {"state_dict": s, "epoch": 3}, False),
        (lambda s: {"net": s, "acc": 93.0}, False),
        (lambda s: {"model": s, "args": argparse.Namespace(lr=0.1)}, True),
        (lambda s: {"epoch": 3, "model": Small(1.0)}, True),
        (lambda s: Small(1.0), True),
    ],
)
def test_a_pickle_is_converted_as_the_documents_say(tmp_path, monkeypatch, wrap, trusted):
    text = (Path(__file__).parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
    [snippet] = [part for part in re.findall("```python\n(.*?)```", text, re.DOTALL) if "torch.load(" in part]
    state = {f"model.{name}": tensor for name, tensor in Small(1.0).state_dict().items()}
    state["model.layer.weight"] = state["model.layer.weight"].t().contiguous().t()
    monkeypatch.chdir(tmp_path)
    torch.save(wrap(state | {"criterion.weight": torch.ones(2), "model._extra": 1.0}), "weights.pth")
    if trusted:
        with pytest.raises(pickle.UnpicklingError):
            exec(snippet, {})
        snippet = snippet.replace("weights_only=True", "weights_only=False")
    exec(snippet, {})
    load_weights(model := Small(), tmp_path / "weights.safetensors")
    assert equal(model, Small(1.0))


def test_what_else_a_file_is_is_said(saved):
    """Fetching an archive or a web page again gives the same once more."""
    page = b"\n<!doctype html>\n<html>" + 200 * b" "
    packed = gzip.compress(saved.read_bytes()), zipped(saved.read_bytes(), saved.name)
    for content, said in (*((one, "is an archive; unpack it") for one in packed), (page, "is a web page")):
        saved.write_bytes(content)
        resign(saved)
        refuse(saved, said)


def zipped(content, name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def test_prefixes_that_are_not_shared_are_refused(tmp_path):
    state = Small(1.0).state_dict()
    mixed = {f"{'model' if name.startswith('fc') else 'head'}.{name}": t for name, t in state.items()}
    safetensors.torch.save_file(mixed, tmp_path / "mixed.safetensors")
    refuse(tmp_path / "mixed.safetensors", "has unexpected 'head.layer")


def test_every_truncation_and_a_flip_of_any_bit_are_refused(saved):
    data = saved.read_bytes()
    for length in range(len(data)):
        saved.write_bytes(data[:length])
        refuse(saved, "differs from the sha256")
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        saved.write_bytes(changed)
        refuse(saved, "differs from the sha256")


def test_a_copy_has_its_own_digest_and_damage_is_not_copied(saved):
    copy = saved.with_name("copy.safetensors")
    copy_weights(saved, copy)
    assert copy.read_bytes() == saved.read_bytes()
    assert digest_path(copy).read_text() == digest_path(saved).read_text().replace("small", "copy")
    saved.write_bytes(saved.read_bytes()[:-1] + b"!")
    with pytest.raises(UserError, match=r"small\.safetensors: differs from the sha256 .* delete both"):
        copy_weights(saved, saved.with_name("damaged.safetensors"))
    assert not saved.with_name("damaged.safetensors").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_pickles_never_run(tmp_path, suffix):
    class Bomb:
        def __reduce__(self):
            return (exec, ("import pathlib; pathlib.Path('ran').touch()",))

    path = tmp_path / f"weights{suffix}"
    for write in (
        lambda: torch.save(Small().state_dict(), path),
        lambda: torch.save(Small().state_dict(), path, _use_new_zipfile_serialization=False),
        lambda: path.write_bytes(pickle.dumps(Bomb())),
        lambda: path.write_bytes(pickle.dumps(Bomb(), protocol=0)),
    ):
        write()
        refuse(path, "is a pickle|is not a whole safetensors file")
        resign(path)
        refuse(path, "is a pickle|is not a whole safetensors file")
        digest_path(path).unlink()


def header_and_body(path):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def write_with_header(path, header, body):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    resign(path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"shape": [3, 2]}, r"layer.weight has shape \(3, 2\), the model needs \(2, 3\)"),
        ({"shape": [2, 4]}, "is not a whole safetensors file"),
        ({"shape": [2**40, 2**40]}, "is not a whole safetensors file"),
        ({"shape": [-2, -3]}, "is not a whole safetensors file"),
        ({"data_offsets": [0, 2**40]}, "is not a whole safetensors file"),
        ({"data_offsets": [24, 0]}, "is not a whole safetensors file"),
        ({"dtype": "I32"}, "layer.weight holds torch.int32, the model needs torch.float32"),
        ({"dtype": "F8_E4M3", "shape": [4, 6]}, "layer.weight has shape"),
        ({"dtype": "C64", "shape": [3]}, "layer.weight has shape"),
        ({"dtype": "F16"}, "is not a whole safetensors file"),
        ({"dtype": "F31"}, "is not a whole safetensors file"),
    ],
)
def test_lying_headers_are_refused(saved, change, match):
    header, body = header_and_body(saved)
    header["layer.weight"] |= change
    write_with_header(saved, header, body)
    refuse(saved, match)


def test_overlapping_tensors_and_absurd_header_length_are_refused(saved):
    header, body = header_and_body(saved)
    header["layer.bias"]["data_offsets"] = header["fc.bias"]["data_offsets"]
    write_with_header(saved, header, body)
    refuse(saved, "is not a whole safetensors file")
    saved.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    resign(saved)
    refuse(saved, "is not a whole safetensors file")


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e300])
def test_numbers_that_are_not_finite_are_refused(tmp_path, value):
    path = tmp_path / "weights.safetensors"
    model = Small().double()
    model.layer.bias.data[1] = value
    save_weights(model, path)
    refuse(path, "layer.bias holds numbers that are not finite")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float64])
def test_other_precisions_are_converted(tmp_path, dtype):
    path = tmp_path / "foreign.safetensors"
    state = {name: tensor.to(dtype) for name, tensor in Small(1.0).state_dict().items()}
    safetensors.torch.save_file(state, path)
    load_weights(model := Small(), path)
    assert equal(model, Small(1.0))


def test_odd_names_and_empty_metadata_stay_one_line(tmp_path):
    path = tmp_path / "foreign.safetensors"
    state = Small(1.0).state_dict()
    safetensors.torch.save_file(state | {"two\nlines": torch.zeros(1)}, path)
    refuse(path, r"has unexpected 'two\\nlines'")
    safetensors.torch.save_file(state, path)
    header, body = header_and_body(path)
    write_with_header(path, header | {"__metadata__": None}, body)
    load_weights(Small(), path)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_without_a_digest_is_refused_or_harmless(data, tmp_path_factory):
    """A foreign file has no digest: whatever its bytes, either an error of one line or finite weights."""
    path = tmp_path_factory.getbasetemp() / "foreign.safetensors"
    whole = safetensors.torch.save(Small(1.0).state_dict())
    changed = bytearray(whole[: data.draw(st.integers(0, len(whole)))] + data.draw(st.binary(max_size=4)))
    for position in data.draw(st.lists(st.integers(0, max(len(changed) - 1, 0)), max_size=3)):
        if changed:
            changed[position] = data.draw(st.integers(0, 255))
    path.write_bytes(changed)
    model = Small()
    try:
        load_weights(model, path)
    except UserError as error:
        assert "\n" not in str(error)
        assert equal(model, Small())
    else:
        assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
