"""Writing files so that a reader sees the whole of a file or none of it, whenever the machine stops.

The content goes to a temporary file in the same folder, is forced to the disk, and takes the place of the old file in
one operation of the file system. What a killed process leaves behind is a file whose name `is_leftover` recognises.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from smalti.errors import InputError, disk_full

__all__ = ["check_creatable", "claimed", "is_leftover", "remove_leftovers", "said_plainly", "write_file"]

_LEFTOVER = re.compile(r"\..+\.[0-9]+\.partial")


def write_file(path: Path, content: bytes) -> None:
    """Writes a file, replacing one that is there: all of the content or, if anything fails, nothing.

    Args:
        path: the file.
        content: its content.

    Raises:
        InputError: the disk is full, or the file cannot be written for another reason.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with said_plainly(path):
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            _sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise


def check_creatable(path: Path) -> None:
    """Refuses, before long work, a file or folder that could not be made; its parents are made with it, later.

    Args:
        path: the file or folder, there or not. Nothing is left behind.

    Raises:
        InputError: no file can be created where it would be.
    """
    there = path if path.is_dir() else path.parent
    while not there.exists() and there != there.parent:
        there = there.parent
    with said_plainly(path), tempfile.TemporaryFile(dir=there):
        pass


@contextlib.contextmanager
def said_plainly(path: Path) -> Iterator[None]:
    """Turns what the file system says while something is written into one sentence.

    Args:
        path: the file or folder that is written; named in the sentence.

    Raises:
        InputError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            again = "run the same command again, with --resume for a run (what is finished is kept)"
            raise disk_full(str(path), then=again) from error
        raise InputError(
            f"{path} cannot be written ({error.strerror or error}); choose a place where files can be created."
        ) from error


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Makes the folder of a run and keeps other processes out; the claim ends with the process, however that ends.

    Args:
        folder: the folder.

    Raises:
        InputError: another process has claimed it, it is a file, or it cannot be made.
    """
    import fcntl

    with said_plainly(folder):
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file, and a run needs a folder; choose another place.")
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"Another process is writing to {folder}; wait for it, or choose another folder."
            ) from error
        except OSError:
            pass  # some network file systems have no locks; writes are still whole or not at all
        yield
    finally:
        os.close(handle)


def is_leftover(path: Path) -> bool:
    """Whether a file is the unfinished work of a process that was stopped inside `write_file`."""
    return _LEFTOVER.fullmatch(path.name) is not None


def remove_leftovers(path: Path) -> None:
    """Removes what processes that were stopped while they wrote a file left beside it; others' work stays.

    Args:
        path: the file, there or not.

    Raises:
        InputError: the file system refuses.
    """
    wanted = re.compile(re.escape(f".{path.name}.") + r"([1-9][0-9]{0,8})\.partial")
    with said_plainly(path):
        for beside in path.parent.iterdir() if path.parent.is_dir() else ():
            found = wanted.fullmatch(beside.name)
            if found and not _is_running(int(found[1])):
                beside.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is another person's
    return True


def _sync_folder(folder: Path) -> None:
    """Forces the new name to the disk; some file systems cannot, and need no telling."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
