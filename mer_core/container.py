"""HDF5 files that vouch for themselves: published whole, private, sealed by a checksum.

HDF5 can crash or hang on a damaged file. Its user block, the first 512 bytes, therefore holds the file's
schema and a checksum of all that follows, which is verified before HDF5 sees anything. Datasets lie in the
file in one piece: chunked or compressed ones read up to a thousand times slower and save nothing here.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from mer_core import job
from mer_core.errors import UserError

BLOCK = 512  # bytes, the smallest user block


@contextmanager
def create(path: str | Path, schema: str) -> Iterator[h5py.File]:
    """A new file to be filled; it gets its name, and the seal, when the context ends without an error.

    Readable by its owner alone, since what stands in it was made of faces.

    Raises:
        UserError: the disk is full, or the folder cannot be written to.
    """
    with job.publish(path, mode=0o600) as temporary:
        with _Guarded(temporary, "r+") as disk:
            with h5py.File(disk, "w", userblock_size=BLOCK) as file:
                yield file
            if disk.failure:
                raise disk.failure
        with temporary.open("r+b") as disk:
            header = _header(disk, schema)
            disk.seek(0)
            disk.write(header)


@contextmanager
def opened(path: str | Path, schema: str) -> Iterator[h5py.File]:
    """A file open for reading, its seal verified.

    Raises:
        UserError: the file is missing, damaged or of another schema; also for whatever HDF5 or numpy complain
            about in the body of the context.
    """
    path = Path(path)
    again = "delete this file and run again"
    try:
        if not path.is_file():
            raise UserError(f"{path}: there is no such file; run the workflow up to this file")
        # Opened by Python rather than by HDF5, which would ask for locks that some file systems lack.
        with path.open("rb") as disk:
            if not disk.read(BLOCK).startswith(_title(schema)):
                raise UserError(f"{path}: is not a file of {schema!r}; {again}")
            expected = _header(disk, schema)
            disk.seek(0)
            if disk.read(BLOCK) != expected:
                _check_nobody_writes(disk)
                raise UserError(f"{path}: the data do not match their checksum; {again}")
            with h5py.File(disk, "r") as file:
                yield file
    except UserError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        if job.is_out_of_memory(error):
            raise
        if isinstance(error, OSError) and error.errno:  # of the system, so no word on the file
            raise job.cannot_read(path, error) from error
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read as a file of {schema!r} ({reason}); {again}") from error


def seal(path: str | Path) -> str:
    """The checksum in the seal of a file, by which one content is told from another; it is not verified.

    Raises:
        UserError: the file is missing or none of ours.
    """
    try:
        with Path(path).open("rb") as disk:
            found = re.search(rb"\nsha256 ([0-9a-f]{64})\n", disk.read(BLOCK))
    except OSError as error:
        raise job.cannot_read(path, error) from error
    if not found:
        raise UserError(f"{path}: bears no checksum of this workflow; delete this file and run again")
    return found[1].decode()


def column(file: h5py.File, name: str, kind: str) -> h5py.Dataset:
    """A dataset of an opened file; refused if it would read other files or take more memory than the file.

    Raises:
        ValueError: it is missing, a link, of another kind (numpy's letters), or not in the file in one piece.
    """
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is missing or only a link")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in kind:
        raise ValueError(f"{name} is not of kind {kind}")
    created = dataset.id.get_create_plist()
    if created.get_layout() != h5py.h5d.CONTIGUOUS or created.get_external_count():
        raise ValueError(f"{name} does not lie in the file in one piece")
    if dataset.nbytes > file.id.get_filesize():
        raise ValueError(f"{name} is larger than the file")
    return dataset


def put_texts(file: h5py.File, name: str, texts: Sequence[str]) -> None:
    """A column of UTF-8 texts of fixed width: unlike HDF5's variable strings they lie in one piece."""
    encoded = [text.encode() for text in texts]
    file[name] = np.array(encoded, h5py.string_dtype("utf-8", max(1, *map(len, encoded), 1)))


def texts(file: h5py.File, name: str, where: slice = slice(None)) -> list[str]:
    """What `put_texts` has written."""
    encoded = column(file, name, "S")
    if encoded.ndim != 1:
        raise ValueError(f"{name} is no list of texts")
    return [text.decode() for text in encoded[where]]


def _title(schema: str) -> bytes:
    return f"{schema}\nsha256 ".encode()


def _header(disk: BinaryIO, schema: str) -> bytes:
    disk.seek(BLOCK)
    digest = hashlib.file_digest(disk, "sha256").hexdigest()
    return (_title(schema) + f"{digest}\n".encode()).ljust(BLOCK, b"\0")


def _check_nobody_writes(disk: BinaryIO) -> None:
    """Raise `BlockingIOError` if another program has the file open for writing, as HDF5 locks it then."""
    try:
        fcntl.flock(disk, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        pass


class _Guarded(io.FileIO):
    """A file that keeps its first failure to itself: HDF5 crashes when the disk is full."""

    failure: OSError | None = None

    def write(self, data: bytes) -> int:
        rest = memoryview(data).cast("B")
        try:
            while rest and not self.failure:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0
