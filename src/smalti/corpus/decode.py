"""From a picture file to an array of pixels, with Pillow.

A file mode is an encoding, not a property of the picture: palettes, 16-bit greys, CMYK and opaque alpha channels are
all brought to the fewest of 1 (grey), 3 (red, green, blue) and 4 (with opacity) uint8 channels that hold what was
decoded, and every step that changed or left out something is told in words. Pixel values are taken as stored: colour
profiles are not applied.

*Bitwise* on any machine for files that are stored without loss and not resized. Lossy formats (JPEG, WebP, AVIF) and
resizing are bitwise for one version of Pillow and its libraries; another version may differ in a last bit, which the
content ids then show.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from smalti.corpus import pixels as px
from smalti.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = (
    "AVIF", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "QOI", "SGI", "TIFF",
    "WEBP",
)  # fmt: skip
"""Formats tried on every file. Left out: those that start another program (EPS), or that almost any bytes fit."""

SUFFIX_FORMATS = {".tga": "TGA"}
"""Formats without a signature, tried only on files that carry their name."""


_FILTER = "with a Lanczos filter"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One decoded picture.

    pixels: uint8 (H, W, C), C the fewest of 1, 3, 4 that hold it.
    conversions: what was changed or left out on the way, in words.
    """

    pixels: px.Pixels
    conversions: tuple[str, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keep Pillow's warnings away from the user: each one is an outcome that this module names or refuses itself.

    Warning filters and loggers belong to the whole process, so this is entered once, by the thread that starts the
    workers. What libtiff itself writes about damaged files to the error stream of the process is beyond reach.
    """
    from PIL import Image

    Image.init()
    logger = logging.getLogger("PIL")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)


def shown(path: str | os.PathLike[str]) -> str:
    """A path as text that can be printed, whatever bytes the file system allows in it."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def decode_file(path: Path, *, size: tuple[int, int] | None = None) -> Picture:
    """Decode the picture file at `path`, and resize it if a size (height, width) is given.

    Raises `InputError`, naming the file, if it cannot be opened, is no picture, is damaged, or is too large. Call
    within `quiet_pillow`.
    """
    name = f"'{shown(path)}'"
    try:
        # Asked before opening: to open a named pipe would wait for ever.
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise InputError(f"{name} is not a regular file: give a picture file.")
        with path.open("rb") as stream:
            return decode(stream, name=name, suffix=path.suffix, size=size)
    except FileNotFoundError as error:
        state = "is a link to a file that does not exist" if path.is_symlink() else "does not exist"
        raise InputError(f"{name} {state}: check the path, or remove the link.") from error
    except OSError as error:
        raise InputError(
            f"{name} cannot be opened ({error.strerror or error}): make it readable, or take it out."
        ) from error


def decode(stream: IO[bytes], *, name: str, suffix: str = "", size: tuple[int, int] | None = None) -> Picture:
    """Decode the picture in an open binary file; `name` is what messages call it. Otherwise as `decode_file`."""
    from PIL import Image, UnidentifiedImageError

    if not stream.read(1):
        raise InputError(f"{name} is empty (0 bytes): replace it by a picture, or take it out.")
    stream.seek(0)
    formats = [*FORMATS, *filter(None, [SUFFIX_FORMATS.get(suffix.lower())])]
    done: list[str] = []
    # Pillow's readers raise nearly every type of error on damaged bytes, so all are caught; what they mean depends only
    # on how far reading came.
    try:
        with Image.open(stream, formats=[one for one in formats if one in Image.OPEN]) as image:
            if image.width * image.height > px.LARGEST_PICTURE:
                raise _too_large(name, f"{image.width * image.height:,} pixels, more")
            if getattr(image, "n_frames", 1) > 1:
                done.append("only the first of several frames or pages read")
            if image.mode in ("RGB", "RGBA", "LA") and any(";16" in str(tile) for tile in image.tile or ()):
                done.append("16-bit colours cut to their upper 8 bits")
            # Pillow itself turns a TIFF while it loads. For other formats asking may load the picture, and would hide
            # that it is damaged, so they are loaded first.
            turned = _turn(image) if image.format == "TIFF" else None
            image.load()
            left_to_do = _turn(image)
            turned = turned or left_to_do
            upright = image.transpose(Image.Transpose[left_to_do]) if left_to_do else image
            if turned:
                done.append("turned upright as its EXIF orientation says")
            pixels, conversions = _pixels(upright, image, name)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name} cannot be read as a picture: convert it to PNG or JPEG if it is one, otherwise take it out of "
            "the folder."
        ) from error
    except Image.DecompressionBombError as error:
        raise _too_large(name, "far more") from error
    except MemoryError as error:
        raise InputError(f"{name} does not fit in memory: give a smaller picture.") from error
    except Exception as error:
        raise InputError(
            f"{name} is damaged or cut short, and cannot be decoded: replace it, or take it out."
        ) from error
    picture = Picture(pixels=pixels, conversions=(*done, *conversions))
    return picture if size is None else resized(picture, size)


def resized(picture: Picture, size: tuple[int, int]) -> Picture:
    """The picture at exactly `size` (height, width): cut around its centre to the target's shape, then resampled.

    Resampling is Pillow's Lanczos filter, after whole-number box reduction where a picture is six or more times too
    large. Colours are weighted by opacity, so hidden colours do not bleed into visible ones. A picture that has the
    size already comes back as it is.
    """
    from PIL import Image

    if picture.size == size:
        return picture
    (height, width), (to_height, to_width) = picture.size, size
    left, top = 0.0, 0.0
    if width * to_height > height * to_width:
        left = (width - height * to_width / to_height) / 2
    elif width * to_height < height * to_width:
        top = (height - width * to_height / to_width) / 2
    how = "enlarged" if to_height > height - 2 * top else "resized"
    how = f"{how} to {px.shown_size(size)} {_FILTER}"
    if left or top:
        how = f"cut to the shape of {px.shown_size(size)} around the centre, then {how}"
    grey = picture.pixels.shape[-1] == 1
    source = Image.fromarray(picture.pixels[..., 0] if grey else picture.pixels)
    box = (left, top, width - left, height - top)
    result = np.asarray(source.resize((to_width, to_height), Image.Resampling.LANCZOS, box, reducing_gap=3.0))
    # A picture of a store may have been resized before it was put in: one note tells of both, in their order.
    conversions = list(picture.conversions)
    earlier = [done for done in conversions if done.endswith(_FILTER)]
    if earlier:
        conversions.remove(earlier[-1])
        how = f"{earlier[-1]}, then {how}"
    return Picture(pixels=_least(result[..., None] if grey else result), conversions=(*conversions, how))


def _too_large(name: str, claim: str) -> InputError:
    return InputError(
        f"{name} claims {claim} than the {px.LARGEST_PICTURE:,} pixels a picture may have: make it smaller first."
    )


_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""EXIF orientation -> what undoes it. (Pillow's own function also writes EXIF anew, which fails on odd blocks.)"""


def _turn(image: Image.Image) -> str | None:
    """The transposition that EXIF asks for. A damaged block asks for none: the picture is then taken as it lies."""
    from PIL import ExifTags

    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return None


def _least(pixels: px.Pixels) -> px.Pixels:
    return px.with_channels(pixels, px.needed_channels(pixels))


def _pixels(image: Image.Image, source: Image.Image, name: str) -> tuple[px.Pixels, list[str]]:
    """Pixels of a loaded picture; `source` is the opened file, which keeps the facts that turning the picture loses."""
    done: list[str] = []
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and source.format in ("PNG", "PPM")):
        pixels = _sixteen_bit(image, source)
        done.append("16-bit values rounded to 8 bits")
    elif mode in ("I", "F", "LAB"):
        holds = {"I": "32-bit whole numbers", "F": "floating-point values", "LAB": "CIELAB colours"}[mode]
        raise InputError(
            f"{name} holds {holds}, which have no defined black and white: save it as an 8-bit or 16-bit picture."
        )
    elif image.has_transparency_data:
        pixels = np.array(image.convert("RGBA"))
    else:
        pixels = np.array(image.convert("L" if mode in ("1", "L") else "RGB"))
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    least = _least(pixels)

    if mode == "1":
        done.append("black and white (1 bit) stored as 0 and 255")
    elif mode in ("P", "PA"):
        done.append("palette replaced by its colours")
    elif mode not in ("L", "LA", "RGB", "RGBA", "I") and not mode.startswith("I;16"):
        done.append(f"converted from {mode} to RGB")
    if pixels.shape[-1] == 4 and least.shape[-1] < 4:
        done.append("alpha channel left out, since it is opaque everywhere")
    if _foreign_profile(source):
        done.append("colour profile other than sRGB not applied")
    return least, done


def _sixteen_bit(image: Image.Image, source: Image.Image) -> px.Pixels:
    values = np.asarray(image).astype(np.int64)
    bits = 16
    if source.format == "TIFF":
        # Pillow leaves the 12-bit values of some cameras and microscopes unscaled in 16-bit words.
        bits = source.tag_v2.get(258, (16,))[0]  # pyright: ignore[reportAttributeAccessIssue]
    top = 2**bits - 1
    grey = ((510 * values + top) // (2 * top)).clip(0, 255).astype(np.uint8)[..., None]
    transparent = source.info.get("transparency")
    if not isinstance(transparent, int):
        return grey
    opacity = np.where(values == transparent, 0, 255).astype(np.uint8)[..., None]
    return np.concatenate([grey, grey, grey, opacity], axis=-1)


def _foreign_profile(source: Image.Image) -> bool:
    """Whether the file carries a colour profile that does not call itself sRGB (in ASCII, or in UTF-16 as version 4
    profiles do).
    """
    profile = source.info.get("icc_profile")
    return bool(profile) and b"sRGB" not in profile and "sRGB".encode("utf-16-be") not in profile
