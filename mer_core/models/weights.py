"""Weights on disk: safetensors with its sha256 beside it. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Set
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from mer_core.errors import UserError
from mer_core.job import awaits_fetching, cannot_read, is_out_of_memory, publish, write_text

_LOG = logging.getLogger(__name__)
MAX_BYTES = 1 << 30  # of a file; a ResNet18 with attention has 45 MB
_DIGEST = re.compile(
    r"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{2}(?:[ :][0-9a-f]{2}){31})(?![0-9a-f])", re.IGNORECASE
)
_WRITER = "mer_core"
_CLASSIFIER = "fc."
_ATTENTION = ".attention."
_COUNTER = ".num_batches_tracked"  # absent from old files, and without use in training
_AVERAGED = "n_averaged"  # which torch's AveragedModel counts beside its `module.`


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
    was built with, and the log says so. A prefix that all names share (`module.` of DataParallel,
    `_orig_mod.` of torch.compile, `model.`, `backbone.`) is taken off. In all else names, shapes and kinds
    of number must agree.

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
    state = _without_wrapping(_read(path), wanted.keys())
    if skip_classifier:
        state, wanted = _without_classifier(state), _without_classifier(wanted)
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
        raise UserError(f"{path}: {problem}; use weights of the same attention, or of a plain ResNet18")
    for name, tensor in state.items():
        _check_tensor(path, name, tensor, wanted[name])
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


def _verified(path: Path) -> bytes:
    """The bytes of a file, held against its digest where it has one."""
    beside = digest_path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: is larger than any ResNet18; name a safetensors file of one")
        data = path.read_bytes()
        recorded = _digest_in(beside.read_bytes(), path.name) if beside.exists() else None
    except OSError as error:
        raise cannot_read(error.filename or path, error) from None
    if recorded == "":
        raise UserError(f"{beside}: holds no sha256; write it anew, as sha256sum does")
    if recorded not in (None, _sha256(data)):
        raise UserError(
            f"{path}: differs from the sha256 in {beside.name}; fetch or copy both again; "
            "of files that the workflow made, delete both and run again"
        )
    return data


def _digest_in(content: bytes, name: str) -> str:
    """The digest in a checksum file, whatever tool wrote it (sha256sum, openssl, certutil, ...); '' if none.

    In capitals or not, in one piece or by bytes, UTF-8 or UTF-16, with a byte-order mark or without; of
    several digests that of the file `name`.
    """
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    lines = content.decode(encoding, errors="replace").splitlines()
    found = [(name in line, match[0]) for line in lines for match in _DIGEST.finditer(line)]
    return re.sub("[ :]", "", max(found, key=lambda one: one[0])[1]).lower() if found else ""


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that is read once, so that what was verified is what is used."""
    data = _verified(path)
    try:
        state = load(data)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        if problem := awaits_fetching(data):
            raise UserError(f"{path}: {problem}") from None
        # Only now: the length that begins a safetensors file may look like a pickle, too.
        if data.startswith((b"PK", b"\x80")):
            problem = (
                "is a pickle, which may run code, and is not opened; convert it to safetensors "
                "(docs/models.md shows how)"
            )
        else:
            reason = " ".join(str(error).split())
            problem = f"is not a whole safetensors file ({reason}); make or fetch it again"
        raise UserError(f"{path}: {problem}") from None
    if metadata_of(data).get("writer") == _WRITER and not digest_path(path).exists():
        raise UserError(f"{path}: {digest_path(path).name} is missing beside it; copy both files")
    return state


def _without_wrapping(state: dict[str, Tensor], wanted: Set[str]) -> dict[str, Tensor]:
    """The tensors without what modules around the network have put before all of their names."""
    bare = {name: tensor for name, tensor in state.items() if name != _AVERAGED}
    while bare and not bare.keys() & wanted:
        if len({name.partition(".")[0] for name in bare}) > 1 or not all("." in name for name in bare):
            return state
        bare = {name.partition(".")[2]: tensor for name, tensor in bare.items()}
    return bare


def _check_tensor(path: Path, name: str, tensor: Tensor, wanted: Tensor) -> None:
    if tensor.shape != wanted.shape:
        found, needed = tuple(tensor.shape), tuple(wanted.shape)
        remedy = "leave out the classifier" if name.startswith(_CLASSIFIER) else "use weights of a ResNet18"
        raise UserError(f"{path}: {name} has shape {found}, the model needs {needed}; {remedy}")
    if tensor.is_floating_point() != wanted.is_floating_point():
        raise UserError(f"{path}: {name} holds {tensor.dtype}, the model needs {wanted.dtype}; make it again")
    if not tensor.to(wanted.dtype).isfinite().all():
        raise UserError(f"{path}: {name} holds numbers that are not finite; make or fetch it again")


def _without_classifier(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith(_CLASSIFIER)}


def _listed(verb: str, names: Set[str]) -> list[str]:
    """One phrase such as `lacks 'a', 'b', 'c' and 9 more`; none when there are no names."""
    first = [repr(name) for name in sorted(names)[:3]]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [f"{verb} {', '.join(first)}{more}"] if names else []


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
