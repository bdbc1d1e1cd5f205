"""What every job does: one log, publish by rename, and nothing from an orphan."""

from __future__ import annotations

import errno
import gc
import glob
import itertools
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import psutil

from mer_core.errors import Unreadable, UserError

# File systems without a call (shares, exFAT, Lustre by its mount options) refuse it with one of these.
NOT_THERE = {
    *(errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL),
    *(errno.ENOTTY, errno.EBADF),
}
# Something else stands where the file, or one of its folders, should.
IN_THE_WAY = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR}
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


# What a share or a disk says that does not answer just now.
NO_ANSWER = {
    *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH),
    *(errno.ENODEV, errno.ENXIO, errno.ENOLCK, errno.EBUSY, errno.ETXTBSY),
}
# In the words of the allocators of torch (CPU, CUDA, cuDNN), OpenCV, HDF5 and C++.
NO_MEMORY = (
    *("out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED", "can't allocate memory", "not enough memory"),
    *("Cannot allocate memory", "Insufficient memory", "memory allocation failed", "bad_alloc"),
    "bad allocation",
)


class Orphaned(BaseException):
    """The workflow that started this job is gone, so another may be computing the same file.

    As `Terminated` no `Exception`: whoever handles all that a damaged file may raise must let it pass.
    """


class Terminated(BaseException):
    """The scheduler (SIGTERM) or the user (SIGINT) asked this job to stop."""


def _lineage() -> tuple[int, ...]:
    """Process ids from this process up to the Snakemake that runs it; empty without one."""
    lineage = [os.getpid()]
    try:
        for parent in psutil.Process().parents():
            lineage.append(parent.pid)
            if any("snakemake" in Path(word).name for word in parent.cmdline()[:3]):
                return tuple(lineage)
    except psutil.Error:
        pass
    return ()


# Taken at import: a process that is killed later hands its children to another parent.
_STARTED_BY = _lineage()


def check_not_orphaned() -> None:
    """Raise `Orphaned` when a process between this one and its Snakemake has died.

    A Snakemake that is killed leaves its jobs running; the next run computes the same files, which
    an orphan must not overwrite.
    """
    for child, parent in itertools.pairwise(_STARTED_BY):
        try:
            alive = psutil.Process(child).ppid() == parent
        except psutil.Error:
            alive = False
        if not alive:
            raise Orphaned("the workflow that started this job is gone; nothing was written")


@contextmanager
def publish(path: str | os.PathLike[str], mode: int = 0o644) -> Iterator[Path]:
    """Write a file under a temporary name beside `path`, then rename it into place.

    Yields:
        The temporary path, with the suffix of `path`. Parent folders are made. Where the file system has no
        modes, the share's own hold; where it has no fsync, it is left to write when it likes.

    Raises:
        UserError: the folder cannot be written to, something else has its name, or the disk is full.
        Orphaned: see `check_not_orphaned`.
    """
    path = Path(path)
    try:
        if path.is_dir():  # which the rename would find out once all is written
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        check_not_orphaned()
        clear_leftovers(path)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
    except OSError as error:
        raise _cannot_write(path, error) from error
    temporary = Path(name)
    try:
        with writing(path):
            yield temporary
            with _where_there_is(), temporary.open("rb") as file:
                os.fsync(file.fileno())
            with _where_there_is():
                temporary.chmod(mode)
            check_not_orphaned()
            temporary.replace(path)
    finally:
        with suppress(OSError):  # of a share that is gone, which was said already
            temporary.unlink(missing_ok=True)


@contextmanager
def publish_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Fill a temporary folder beside `path`, which then takes its place; an older one goes only then.

    Raises:
        UserError, Orphaned: as `publish`.
    """
    path = Path(path)
    fresh, outgoing = (path.with_name(f".{path.name}.{os.getpid()}.{end}") for end in ("new", "old"))
    for end in ("new", "old"):
        for leftover in path.parent.glob(f".{glob.escape(path.name)}.[0-9]*.{end}"):  # of killed jobs
            shutil.rmtree(leftover, ignore_errors=True)
    try:
        with writing(path):
            fresh.mkdir(parents=True)
            yield fresh
            check_not_orphaned()
            if path.exists():
                path.rename(outgoing)
            fresh.rename(path)
    finally:
        if outgoing.exists() and not path.exists():
            outgoing.rename(path)
        for folder in (fresh, outgoing):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Say as a `UserError` what keeps `path` from being written: no room, no right, another file."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM | NO_ANSWER | IN_THE_WAY | {errno.EMFILE, errno.ENFILE}:
            raise _cannot_write(Path(path), error) from error
        raise


def check_keeps(inputs: Iterable[Path], outputs: Iterable[Path], remedy: str) -> None:
    """Raise a `UserError` if writing one of `outputs` would replace one of `inputs`, by any path or link.

    Files that are not there, or cannot be looked at, are left to those who open them.
    """
    kept = set(_identities(inputs).values())
    for path, identity in _identities(outputs).items():
        if identity in kept:
            raise UserError(f"{path}: is an input, which would be replaced; {remedy}")


def _identities(paths: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """What `os.path.samefile` compares, of each file that is there."""
    found = {}
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            found[path] = status.st_dev, status.st_ino
    return found


@contextmanager
def _where_there_is() -> Iterator[None]:
    """Do without a call that the file system lacks."""
    try:
        yield
    except OSError as error:
        if error.errno not in NOT_THERE:
            raise


def clear_leftovers(path: Path) -> None:
    """Remove the temporary files that killed jobs have left beside `path`.

    A job that is still at work on one is an orphan, since Snakemake runs one job for a file at a time.
    """
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.{'[a-z0-9_]' * 8}{path.suffix}"):
        leftover.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Publish a text file."""
    with publish(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Publish a JSON file; NaN and infinities are refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def importing() -> Iterator[None]:
    """Import what takes long, in a process that ends with its work.

    Modules stay, so that a search for cycles among their objects finds none. Searching while a fold's are
    loaded, and once more at the process's end, takes a third of what loading costs (benchmarks/fold_job.py).
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


@contextmanager
def logged(log: str | os.PathLike[str]) -> Iterator[None]:
    """Run a job's body: everything it prints goes to `log`, errors end the process with status 1.

    What a user can cause or has caused (a `UserError`, the end of a time limit) is one line in the log,
    anything else a traceback. SIGTERM, which schedulers send at the time limit, is raised as `Terminated`
    so that temporary files are removed.
    """
    path = Path(log)
    terminal = None
    with suppress(OSError):  # there may be none
        terminal = os.dup(2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # rather than emptied: an orphan may still be writing to it
        with path.open("w", buffering=1, encoding="utf-8") as file:
            # Descriptors rather than sys.stdout: libraries in C print, too.
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    except OSError as error:
        sys.exit(f"error: {_cannot_write(path, error)}")
    for stream in (sys.stdout, sys.stderr):  # whatever the locale, and names of files that are no text
        stream.reconfigure(line_buffering=True, encoding="utf-8", errors="backslashreplace")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _terminate)
    try:
        yield
    except (UserError, Terminated, Orphaned) as error:
        _end(f"error: {error}", terminal)
    except Exception as error:
        if is_out_of_memory(error):
            reason = f" ({' '.join(str(error).split())[:200]})" if str(error) else ""
            _end(
                f"error: out of memory{reason}; give the job more, or use a smaller alignment.size", terminal
            )
        elif isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:  # of the log, say
            _end(f"error: {_cannot_write(Path(error.filename or path), error)}", terminal)
        else:
            _end(traceback.format_exc().rstrip(), terminal)
    finally:
        gc.freeze()  # Python would search all that there is for cycles once more, and then end anyway


def _end(said: str, terminal: int | None) -> NoReturn:
    """Say in the log why a job ends, or where the log's disk is full, too, on the terminal; and end it."""
    try:
        print(said, file=sys.stderr, flush=True)
    except OSError:
        if terminal is not None:
            os.write(terminal, f"{said}\n".encode(errors="backslashreplace"))
    sys.exit(1)


def print_any_text() -> None:
    """Let no print fail for a letter that the terminal's encoding lacks."""
    sys.stdout.reconfigure(errors="backslashreplace")


def is_out_of_memory(error: Exception) -> bool:
    """Whether Python, the system, the GPU or a library in C had no memory left."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return any(text in str(error) for text in NO_MEMORY)


def _terminate(signum: int, frame: Any) -> None:
    name = signal.Signals(signum).name
    raise Terminated(f"stopped by {name} (time limit or cancellation); run the same command again")


def cannot_read(path: str | os.PathLike[str], error: OSError) -> UserError:
    """What an error of the operating system says of a file: never that it is damaged, it may be whole.

    Returns:
        An `Unreadable`, but for what is not there.
    """
    remedies = {
        errno.ENOENT: "check the path",
        errno.EISDIR: "name a file",
        errno.EACCES: "ask its owner for the right to read it",
        errno.EPERM: "ask its owner for the right to read it",
        errno.ENOTDIR: "check the path",
        errno.ELOOP: "mend its links",
        errno.ENAMETOOLONG: "check the path",
        errno.EAGAIN: "it is open in another program; close it there and run again",
        errno.ENOMEM: "the file may be whole; give the job more memory",
        errno.EMFILE: "the file may be whole; let more files be open at once (ulimit -n)",
    }
    remedy = remedies.get(error.errno, "the file may be whole; run again once its disk or share answers")
    not_there = error.errno in {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
    kind = UserError if not_there else Unreadable
    return kind(f"{path}: cannot be read ({os.strerror(error.errno)}); {remedy}")


def check_readable(path: str | os.PathLike[str]) -> None:
    """Raise a `UserError` if the system does not give a file, for those who would call it damaged then."""
    try:
        with Path(path).open("rb") as file:
            file.read(1)
    except OSError as error:
        raise cannot_read(path, error) from None


def awaits_fetching(head: bytes) -> str:
    """What to do about a file that only stands for its content, as large-file stores leave them in place.

    Args:
        head: its first bytes.

    Returns:
        What it is, with the command that fetches the content; empty for every other file.
    """
    if head.startswith(b"version https://git-lfs.github.com/"):
        return "is a pointer of Git LFS to the file; fetch it (git lfs pull)"
    if head.startswith(b"/annex/objects/"):
        return "is a pointer of git-annex to the file; fetch it (git annex get)"
    return ""


def _cannot_write(path: Path, error: OSError) -> UserError:
    remedy = "free space or mend permissions"
    if error.errno in IN_THE_WAY:
        remedy = "a file stands where a folder should; name another"
    if error.errno == errno.EISDIR:
        remedy = "a folder has this name; name a file"
    if error.errno in NO_ANSWER:
        remedy = "run again once its disk or share answers"
    if error.errno in {errno.EBUSY, errno.ETXTBSY}:
        remedy = "close it in other programs and run again"
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        remedy = "let more files be open at once (ulimit -n)"
    return UserError(f"{path}: cannot be written ({error.strerror or error}); {remedy}")
