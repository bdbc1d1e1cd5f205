"""Many pieces of work in one job: done by several processes, each kept as soon as it is done."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from mer_core import job
from mer_core.errors import UserError

_LOG = logging.getLogger(__name__)

PATIENCE = 2.0  # seconds of work before others are started to share it, which takes about as long
# A process for each core, and numpy's own threads beside it, would be in each other's way.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
_HEAD = struct.Struct("<64s32sQ")  # key, checksum of key and content, length of the content


@contextmanager
def workers(
    processes: int, start: Callable[..., None], *given: Any
) -> Iterator[Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]]:
    """A `map` that several processes work on, where the work lasts longer than they take to start.

    Args:
        processes: how many, of which no more are started than the machine has cores. One is this process;
            others are spawned, for which the calling script must be guarded by `if __name__ == "__main__"`.
        start: called with `given` in each of them first, and in this one. The others' linear algebra has one
            thread each.

    Yields:
        A function that applies a function to each of some arguments and gives the results in their order.
    """
    start(*given)
    processes = min(processes, os.cpu_count() or 1)
    if processes == 1:
        yield map
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, spawn, _start_worker, (start, given)) as pool:

        def spread(function: Callable[[Any], Any], arguments: Iterable[Any]) -> Iterator[Any]:
            left, end = deque(arguments), time.monotonic() + PATIENCE
            while left and time.monotonic() < end:
                yield function(left.popleft())
            with _environment(_ONE_THREAD):
                answers = pool.map(function, left)  # which starts them
            yield from answers

        try:
            yield spread
        except BrokenProcessPool:
            raise UserError(
                "a process was killed at its work, most likely for want of memory; run again with more "
                "memory, or fewer threads (--cores) or processes"
            ) from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables that processes started meanwhile inherit."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _start_worker(start: Callable[..., None], given: tuple[Any, ...]) -> None:
    # Nothing else ends a worker whose parent was killed: it would wait for work for ever.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    start(*given)


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


class Finished:
    """The finished pieces of a job's work, by key, in a file beside its output.

    A job that is killed leaves the file, and the next one goes on from it. Whatever a kill or a full disk has
    cut off is dropped; the job that publishes its outputs removes the file.

    Snakemake removes outputs before it makes them anew, and after a failure. So what is published gets a
    second name (a hard link, which takes no space), by which the next job finds it: see `earlier`.

    Args:
        outputs: what the job will publish; the pieces lie beside the first.
    """

    def __init__(self, *outputs: str | os.PathLike[str]) -> None:
        self.outputs = [*map(Path, outputs)]
        self.path = _beside(self.outputs[0], "finished")
        self._places: dict[str, tuple[int, int]] = {}

    def __enter__(self) -> Finished:
        with job.writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Private: the pieces are faces, or made of faces.
            self._file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        end = 0
        while (found := self._read_piece()) is not None:
            end = self._file.tell()
            key, content = found
            self._places[key] = (end - len(content), len(content))
        self._file.truncate(end)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if kind is not None:
            return
        self.path.unlink()
        for output in self.outputs:
            earlier(output).unlink(missing_ok=True)
            try:
                earlier(output).hardlink_to(output)
            except OSError as error:
                _LOG.info("%s: has no second name (%s): a change makes all of it anew", output, error)

    def republish(self) -> None:
        """Publish again what an earlier job has published."""
        for output in self.outputs:
            output.unlink(missing_ok=True)
            output.hardlink_to(earlier(output))
            output.touch()

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __getitem__(self, key: str) -> bytes:
        place, length = self._places[key]
        self._file.seek(place)
        return self._file.read(length)

    def add(self, key: str, content: bytes) -> None:
        """Keep a piece.

        Args:
            key: sha256 of all that the piece is made of, in hexadecimal.
            content: the piece.

        Raises:
            UserError: the disk is full.
            Orphaned: another job may be writing the same file.
        """
        job.check_not_orphaned()
        place = self._file.seek(0, os.SEEK_END)
        head = _HEAD.pack(key.encode(), _checksum(key, content), len(content))
        with job.writing(self.path):
            self._file.write(head + content)
            self._file.flush()
        self._places[key] = (place + _HEAD.size, len(content))

    def keep(self, pieces: Iterable[tuple[str, bytes]], wanted: Container[str]) -> None:
        """Keep those pieces of an earlier output that are wanted and not there yet; see `add`."""
        for key, content in pieces:
            if key in wanted and key not in self:
                self.add(key, content)

    def _read_piece(self) -> tuple[str, bytes] | None:
        head = self._file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        key, checksum, length = _HEAD.unpack(head)
        if length > os.fstat(self._file.fileno()).st_size:
            return None
        content = self._file.read(length)
        name = key.decode("ascii", "replace")
        return (name, content) if checksum == _checksum(name, content) else None


def earlier(output: str | os.PathLike[str]) -> Path:
    """Where an output lies that an earlier job has published, whether or not it is still there."""
    return _beside(Path(output), "earlier")


def _beside(output: Path, what: str) -> Path:
    return output.with_name(f".{output.name}.{what}")


def _checksum(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + content).digest()
