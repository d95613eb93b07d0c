"""Pictures from a NumPy archive.

`images` is uint8 (N, H, W) or (N, H, W, C); `labels`, if there, holds N whole numbers or texts.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from smalti.corpus import pixels as px
from smalti.corpus.decode import shown
from smalti.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Archive:
    """What an archive holds: images uint8 (N, H, W, C), labels as text or None, and notes on what was left out."""

    images: px.Pixels
    labels: tuple[str, ...] | None
    notes: tuple[str, ...]


def read_archive(path: Path) -> Archive:
    """Read the `.npz` file at `path`. Nothing in it is executed: pickled objects are refused.

    Raises `InputError`, naming the file, if it cannot be opened, is no such archive, is damaged, or its arrays are not
    as described above.
    """
    name = f"'{shown(path)}'"
    try:
        with path.open("rb") as stream:
            return read_archive_stream(stream, name=name)
    except OSError as error:
        raise InputError(
            f"{name} cannot be opened ({error.strerror or error}): check the path, and make it readable."
        ) from error


def read_archive_stream(stream: IO[bytes], *, name: str) -> Archive:
    """Read an open archive; `name` is what messages call it. Otherwise as `read_archive`."""
    try:
        with zipfile.ZipFile(stream) as archive:
            members = [member.removesuffix(".npy") for member in archive.namelist()]
            if "images" not in members:
                raise InputError(
                    f"{name} has no array 'images' (it has {', '.join(sorted(members)) or 'nothing'}): save it with "
                    "numpy.savez(file, images=...)."
                )
            images = _array(archive, "images", name)
            labels = _array(archive, "labels", name) if "labels" in members else None
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{name} does not fit in memory: save fewer or smaller pictures.") from error
    except zipfile.BadZipFile as error:
        raise InputError(
            f"{name} is not a NumPy archive, or is damaged: save it again with numpy.savez(file, images=...)."
        ) from error
    # Damaged members end in errors of zlib, struct, tokenize or the operating system, and encrypted ones in a
    # RuntimeError.
    except Exception as error:
        raise InputError(
            f"{name} is damaged and cannot be read: save it again with numpy.savez(file, images=...)."
        ) from error
    checked = px.check_images(images, what=f"{name}: images")
    others = sorted(set(members) - {"images", "labels"})
    return Archive(
        images=checked,
        labels=None if labels is None else px.check_labels(labels, len(checked), what=f"{name}: labels"),
        notes=(f"left out, arrays other than images and labels: {', '.join(others)}",) if others else (),
    )


def _array(archive: zipfile.ZipFile, member: str, name: str) -> np.ndarray[Any, np.dtype[Any]]:
    """One array. Its header is read first, since a small archive can claim and hold terabytes of zeros."""
    with archive.open(f"{member}.npy") as stream:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(stream)
    if dtype.hasobject:
        raise InputError(
            f"{name}: {member} holds Python objects, which are never loaded: save it as an array of numbers or text."
        )
    need = int(np.prod([int(side) for side in shape], dtype=object)) * dtype.itemsize
    if need > px.LARGEST_CORPUS:
        raise InputError(
            f"{name}: {member} takes {need / 2**30:,.1f} GiB, more than the {px.LARGEST_CORPUS / 2**30:,.1f} GiB a "
            "corpus may have: save fewer or smaller pictures."
        )
    with archive.open(f"{member}.npy") as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)
