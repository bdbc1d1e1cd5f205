"""Weights on disk: safetensors with its sha256 beside it. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
from collections import Counter
from collections.abc import Set
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from mer_core.errors import UserError
from mer_core.job import awaits_fetching, cannot_read, is_out_of_memory, publish, write_text

_LOG = logging.getLogger(__name__)
MAX_BYTES = 1 << 30  # of a file, beside what the network's own numbers take
_DIGEST = re.compile(
    r"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{2}(?:[ :-][0-9a-f]{2}){31})(?![0-9a-f])", re.IGNORECASE
)
_ARCHIVES = (b"PK", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf")
_WRITER = "mer_core"
_CLASSIFIER = "fc."
_ATTENTION = ".attention."
_COUNTER = ".num_batches_tracked"  # absent from old files, and without use in training
_AVERAGED = "n_averaged"  # which torch's AveragedModel counts beside its `module.`
# What DataParallel, torch.compile, FSDP and checkpointed activations put into names.
_WRAPPER = re.compile(r"(?<![^.])(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Write a model's state as safetensors, and its digest to `<path>.sha256` (as sha256sum does).

    Args:
        model: any module, on any device.
        path: the file to write. It appears whole or not at all; its digest follows, and a file
            without its digest is refused by load_weights.
    """
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    _write(Path(path), save(state, metadata={"writer": _WRITER}))


def copy_weights(source: str | Path, path: str | Path) -> None:
    """Copy a weights file, and its digest under the new name.

    Raises:
        UserError: the source cannot be read or differs from its digest.
    """
    _write(Path(path), _verified(Path(source)))


def load_weights(model: nn.Module, path: str | Path, skip_classifier: bool = False) -> set[str]:
    """Fill a model from a safetensors file: one of ours, or one of torchvision's ResNet18.

    A file of a plain ResNet18 fits every kind of attention: the attention then keeps the weights it
    was built with, and the log says so. What torch's wrappers put into names is taken out (`module.` of
    DataParallel, `_orig_mod.` of torch.compile). Of a larger module the network's part is taken (`model.`,
    `backbone.`), and the log names what is left out. In all else names, shapes and kinds of number must
    agree.

    Args:
        model: made by build_model; left unchanged when an error is raised.
        path: the file. `<path>.sha256` is checked where it exists, and must exist for files of ours.
        skip_classifier: leave the classifier as it is (for transfer to other classes).

    Returns:
        The names of the attention's tensors, where it keeps the weights it was built with.

    Raises:
        UserError: when the file is missing, not safetensors (a pickle, say), damaged, or does not fit.
    """
    path = Path(path)
    wanted = model.state_dict()
    limit = MAX_BYTES + 8 * sum(tensor.numel() for tensor in wanted.values())  # in double precision
    state = _without_wrappers(_read(path, limit))
    if skip_classifier:
        wanted = _without_classifier(wanted)
    state = _network_in(path, state, wanted.keys())
    if skip_classifier:
        state = _without_classifier(state)
    missing = {name for name in wanted.keys() - state.keys() if not name.endswith(_COUNTER)}
    kept: set[str] = set()
    if not any(_ATTENTION in name for name in state):
        kept = {name for name in missing if _ATTENTION in name}
        missing -= kept
    if kept:
        _LOG.info("%s holds no attention: its %d tensors keep their initial values", path, len(kept))
    unexpected = state.keys() - wanted.keys()
    if missing or unexpected:
        problem = "; ".join([*_listed("lacks", missing), *_listed("has unexpected", unexpected)])
        raise UserError(f"{path}: {problem}; {_remedy(wanted)}")
    state = {name: tensor for name, tensor in state.items() if not _is_odd_counter(name, tensor)}
    for name, tensor in state.items():
        _check_tensor(path, name, tensor, wanted)
    model.load_state_dict(state, strict=False)
    return kept


def metadata_of(data: bytes) -> dict[str, str]:
    """What stands beside the tensors in a safetensors file that was read without an error."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return header.get("__metadata__") or {}


def digest_path(path: str | Path) -> Path:
    """Where the sha256 of a weights file stands."""
    return Path(f"{path}.sha256")


def _write(path: Path, data: bytes) -> None:
    with publish(path) as temporary:
        temporary.write_bytes(data)
    write_text(digest_path(path), f"{_sha256(data)}  {path.name}\n")


def _verified(path: Path, limit: float = math.inf) -> bytes:
    """The bytes of a file of `limit` bytes at most, held against its digest where it has one."""
    beside = digest_path(path)
    try:
        if path.stat().st_size > limit:
            raise UserError(
                f"{path}: is larger than weights of this network; name a safetensors file of them alone"
            )
        data = path.read_bytes()
        recorded = _digests_in(beside.read_bytes(), path.name) if beside.exists() else None
    except OSError as error:
        raise cannot_read(error.filename or path, error) from None
    if recorded == set():
        raise UserError(f"{beside}: holds no sha256; write it anew, as sha256sum does")
    if recorded is not None and _sha256(data) not in recorded:
        raise UserError(
            f"{path}: differs from the sha256 in {beside.name}; fetch or copy both again; "
            "of files that the workflow made, delete both and run again"
        )
    return data


def _digests_in(content: bytes, name: str) -> set[str]:
    """The digests in a checksum file, whatever tool wrote it (sha256sum, openssl, certutil, ...).

    In capitals or not, in one piece or by bytes, UTF-8 or UTF-16, with a byte-order mark or without; where
    lines name the file `name`, in whatever folder, theirs alone.
    """
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    lines = content.decode(encoding, errors="replace").splitlines()
    whole = re.compile(rf"(?<![\w.+-]){re.escape(name)}(?![\w.+-])", re.IGNORECASE)
    found = [
        (whole.search(line) is not None, re.sub("[ :-]", "", match[0]).lower())
        for line in lines
        for match in _DIGEST.finditer(line)
    ]
    return {digest for named, digest in found if named} or {digest for _, digest in found}


def _read(path: Path, limit: float) -> dict[str, Tensor]:
    """The tensors of a file that is read once, so that what was verified is what is used."""
    data = _verified(path, limit)
    try:
        state = load(data)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        if problem := awaits_fetching(data):
            raise UserError(f"{path}: {problem}") from None
        # Only now: the length that begins a safetensors file may look like another's beginning, too.
        if data.startswith(b"\x80") or (data.startswith(b"PK") and b"data.pkl" in data[:1000]):
            problem = (
                "is a pickle, which may run code, and is not opened; convert it to safetensors "
                "(docs/models.md shows how)"
            )
        elif data.startswith(_ARCHIVES) or data[257:262] == b"ustar":
            problem = "is an archive; unpack it and name the file that was in it"
        elif data[:100].lstrip().startswith(b"<"):
            problem = "is a web page, as links to a file's page give; fetch it by the link of its download"
        else:
            reason = " ".join(str(error).split())
            problem = f"is not a whole safetensors file ({reason}); make or fetch it again"
        raise UserError(f"{path}: {problem}") from None
    if metadata_of(data).get("writer") == _WRITER and not digest_path(path).exists():
        raise UserError(f"{path}: {digest_path(path).name} is missing beside it; copy both files")
    return state


def _without_wrappers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by their names without wrappers; as they are where two would have one name."""
    kept = {name: tensor for name, tensor in state.items() if name.rpartition(".")[2] != _AVERAGED}
    bare = {_WRAPPER.sub("", name): tensor for name, tensor in kept.items()}
    return bare if len(bare) == len(kept) else kept


def _network_in(path: Path, state: dict[str, Tensor], wanted: Set[str]) -> dict[str, Tensor]:
    """The tensors below the prefix under which most of those wanted stand, by their names there.

    Raises:
        UserError: under several prefixes nothing is missing.
    """
    needed = {name for name in wanted if _ATTENTION not in name and not name.endswith(_COUNTER)}
    depth = max((name.count(".") for name in needed), default=0)
    found: Counter[str] = Counter()
    for name in state:
        parts = name.split(".")
        for start in range(max(0, len(parts) - 1 - depth), len(parts)):
            end = ".".join(parts[start:])
            if end in needed:
                found[name.removesuffix(end)] += 1
    most = max(found.values(), default=0)
    prefixes = [prefix for prefix, count in found.items() if count == most]
    if len(prefixes) > 1 and most == len(needed):
        listed = " and ".join(repr(f"{prefix[:100]}*") for prefix in sorted(prefixes))
        raise UserError(f"{path}: holds the network more than once, as {listed}; keep one of them")
    if len(prefixes) != 1:  # then nothing is shared, and the message tells the full names
        return state
    [prefix] = prefixes
    if others := {name for name in state if not name.startswith(prefix)}:
        _LOG.info("%s: takes %r, %s", path, f"{prefix[:100]}*", *_listed("leaves out", others))
    return {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}


def _is_odd_counter(name: str, tensor: Tensor) -> bool:
    """Whether it is one that other tools made a number of half precision, or a list of one number."""
    return name.endswith(_COUNTER) and (tensor.is_floating_point() or tensor.ndim > 0)


def _check_tensor(path: Path, name: str, tensor: Tensor, model: dict[str, Tensor]) -> None:
    wanted = model[name]
    if tensor.shape != wanted.shape:
        found, needed = tuple(tensor.shape), tuple(wanted.shape)
        remedy = "leave out the classifier" if name.startswith(_CLASSIFIER) else _remedy(model)
        raise UserError(f"{path}: {name} has shape {found}, the model needs {needed}; {remedy}")
    if tensor.is_floating_point() != wanted.is_floating_point():
        raise UserError(f"{path}: {name} holds {tensor.dtype}, the model needs {wanted.dtype}; make it again")
    if not tensor.to(wanted.dtype).isfinite().all():
        raise UserError(f"{path}: {name} holds numbers that are not finite; make or fetch it again")


def _remedy(wanted: dict[str, Tensor]) -> str:
    """Which weights would fit."""
    is_resnet18 = "layer4.1.conv2.weight" in wanted
    plain = ", or of a plain ResNet18" if is_resnet18 and wanted["conv1.weight"].shape[1] == 3 else ""
    return f"use weights of this same network, input and attention{plain}"


def _without_classifier(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith(_CLASSIFIER)}


def _listed(verb: str, names: Set[str]) -> list[str]:
    """One phrase such as `lacks 'a', 'b', 'c' and 9 more`; none when there are no names."""
    first = [repr(name[:100]) for name in sorted(names)[:3]]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [f"{verb} {', '.join(first)}{more}"] if names else []


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
