"""Arrays of pixels: what a stack of pictures must be, and the operations on it that need no picture library.

Pixels are uint8, channels last. One channel is brightness (L), three are red, green, blue (RGB), and a fourth is
opacity (RGBA, 255 = opaque). Everything here is *bitwise*: integers and SHA-256 only.
"""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from smalti.errors import InputError, UsageError

Pixels: TypeAlias = npt.NDArray[np.uint8]
Size: TypeAlias = int | tuple[int, int]

MODES = {1: "L", 3: "RGB", 4: "RGBA"}

LARGEST_PICTURE = 100_000_000
"""Most pixels one picture may have (a file that claims more is refused before it is decoded)."""

LARGEST_CORPUS = 8 * 2**30
"""Most bytes of pixels one corpus may hold, N * H * W * C."""


def shown_size(size: tuple[int, int]) -> str:
    """A size as people write it: `48x32`, width first."""
    return f"{size[1]}x{size[0]}"


def check_size(size: Size | None) -> tuple[int, int] | None:
    """The target size as (height, width); one number means a square, None means as it is.

    Raises `UsageError` if a side is not a whole number of at least 1, or the picture would be larger than
    `LARGEST_PICTURE`.
    """
    if size is None:
        return None
    try:
        sides = [operator.index(side) for side in (size if isinstance(size, tuple | list) else (size, size))]
    except TypeError:
        sides = []
    if len(sides) != 2 or min(sides) < 1 or isinstance(size, bool):
        raise UsageError(
            f"size {size!r} has no meaning: give one whole number of pixels, or (height, width), each at least 1."
        )
    height, width = sides
    if height * width > LARGEST_PICTURE:
        raise UsageError(
            f"size {shown_size((height, width))} is more than the {LARGEST_PICTURE:,} pixels a picture may have: "
            "give a smaller one."
        )
    return height, width


def check_memory(what: str, *, count: int, size: tuple[int, int], channels: int) -> None:
    """Raise `InputError` if `count` pictures of this size need more than `LARGEST_CORPUS` bytes."""
    need = count * size[0] * size[1] * channels
    if need > LARGEST_CORPUS:
        raise InputError(
            f"{what}: {count:,} {MODES[channels]} pictures of {shown_size(size)} take {need / 2**30:,.1f} GiB, "
            f"more than the {LARGEST_CORPUS / 2**30:,.1f} GiB a corpus may have: give a smaller size, or fewer "
            "pictures."
        )


def check_images(images: npt.ArrayLike, *, what: str = "images") -> Pixels:
    """The array as a stack of pictures.

    Main argument: `images`, uint8 of shape (N, H, W) or (N, H, W, C), C in {1, 3, 4}. Returns shape (N, H, W, C),
    without copying. Raises `InputError`, naming `what`, for any other type or shape, and for no pictures at all.
    """
    try:
        array = np.asarray(images)
    except ValueError as error:
        raise InputError(f"{what} is not one array: all pictures must have one shape, so resize them first.") from error
    if array.ndim and len(array) == 0:
        raise InputError(f"{what} holds no picture: give at least one.")
    if array.dtype.kind == "f":
        flaw = " and holds NaN" if np.isnan(array).any() else ""
        raise InputError(
            f"{what} is {array.dtype}{flaw}, but pictures are uint8 from 0 to 255: "
            "convert values in [0, 1] with numpy.rint(255 * images).astype(numpy.uint8)."
        )
    if array.dtype != np.uint8:
        raise InputError(
            f"{what} is {array.dtype}, but pictures are uint8 from 0 to 255: bring the values there and use "
            ".astype(numpy.uint8)."
        )
    if array.ndim not in (3, 4):
        hint = ": a single picture needs a leading axis, images[None]" if array.ndim == 2 else ""
        raise InputError(
            f"{what} has shape {array.shape}, but must be (pictures, height, width) or (pictures, height, width, "
            f"channels){hint}."
        )
    if array.ndim == 3:
        array = array[..., None]
    if array.shape[-1] not in MODES:
        hint = ": channels come last, so use .transpose(0, 2, 3, 1)" if array.shape[1] in MODES else ""
        raise InputError(
            f"{what} has {array.shape[-1]} channels (shape {array.shape}), but pictures have 1, 3 or 4{hint}."
        )
    if 0 in array.shape:
        raise InputError(f"{what} has shape {array.shape}, but a picture has at least one pixel.")
    return array


def check_labels(labels: Sequence[Any] | npt.NDArray[Any], count: int, *, what: str = "labels") -> tuple[str, ...]:
    """The labels as strings, one per picture; whole numbers become their decimal digits.

    Raises `InputError`, naming `what`, for a wrong number of labels, and for a label that is neither text nor a whole
    number, or is empty.
    """
    if isinstance(labels, str | bytes):
        raise InputError(f"{what} is one piece of text, but must be one label for each of the {count:,} pictures.")
    if isinstance(labels, np.ndarray) and labels.ndim != 1:
        raise InputError(
            f"{what} has shape {labels.shape}, but must be one label for each of the {count:,} pictures, shape "
            f"({count},)."
        )
    if len(labels) != count:
        raise InputError(f"{what} has length {len(labels)} for {count} pictures: give one label for each.")
    return tuple(_label(label, f"{what}[{index}]") for index, label in enumerate(labels))


def _label(label: object, what: str) -> str:
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, bytes):
        try:
            label = label.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{what} is {label!r}, which is not UTF-8 text: store labels as text or whole numbers."
            ) from error
    if isinstance(label, int) and not isinstance(label, bool):
        return str(label)
    if not isinstance(label, str):
        raise InputError(f"{what} is {label!r}: a label is text or a whole number.")
    if not label:
        raise InputError(f"{what} is empty: give every picture a label, or none at all.")
    return label


def needed_channels(pixels: Pixels) -> int:
    """The fewest channels that hold the picture without loss: 1 if it is grey, 3 if it is opaque, otherwise 4."""
    channels = pixels.shape[-1]
    if channels == 4 and (pixels[..., 3] != 255).any():
        return 4
    if channels == 1 or ((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all()):
        return 1
    return 3


def with_channels(pixels: Pixels, channels: int) -> Pixels:
    """The same picture with another number of channels, at least those needed: grey is repeated, opacity is 255."""
    have = pixels.shape[-1]
    if channels == have:
        return pixels
    if channels < have:
        return pixels[..., :channels]
    colours = pixels if have == 3 else np.repeat(pixels, 3, axis=-1)
    if channels == 3:
        return colours
    return np.concatenate([colours, np.full((*pixels.shape[:-1], 1), 255, np.uint8)], axis=-1)


def without_hidden(pixels: Pixels) -> Pixels:
    """The picture with the colour under fully transparent pixels set to 0; the same object if there is none to set."""
    if pixels.shape[-1] < 4:
        return pixels
    hidden = (pixels[..., 3] == 0) & (pixels[..., :3] != 0).any(axis=-1)
    if not hidden.any():
        return pixels
    pixels = pixels.copy()
    pixels[hidden] = 0
    return pixels


def content_id(pixels: Pixels) -> str:
    """Hex SHA-256 of the picture's shape and pixels, in the fewest channels that hold it.

    A grey picture so has one id, whether it was stored as L, RGB or RGBA, and whatever else is in the corpus.
    """
    least = np.ascontiguousarray(with_channels(pixels, needed_channels(pixels)))
    return hashlib.sha256("{} {} {}\n".format(*least.shape).encode() + least.tobytes()).hexdigest()


def corpus_digest(channels: int, ids: Sequence[str], labels: Sequence[str] | None) -> str:
    """Hex SHA-256 of the number of channels and the multiset of (content id, label); their order does not enter."""
    content = ["smalti images 1", channels, sorted(zip(ids, labels or (None,) * len(ids), strict=True))]
    return hashlib.sha256(json.dumps(content).encode("ascii")).hexdigest()


def check_alike(size: tuple[int, int], other: tuple[int, int], *, labelled: bool, other_labelled: bool) -> None:
    """Raise `UsageError` if pictures of two corpora cannot be in one: sizes differ, or only one has labels."""
    if size != other:
        raise UsageError(
            f"pictures of {shown_size(size)} and {shown_size(other)} cannot be in one corpus: read both with one size."
        )
    if labelled != other_labelled:
        raise UsageError("one corpus has labels and the other has none: give labels to both, or to neither.")
