"""Two examples of real data that come with Smalti: `digits` and `photo`. Origins and licences are in the file NOTICE.

`digits`: 1,797 handwritten digits, 8 x 8, grey, labels "0" to "9" (E. Alpaydin and C. Kaynak, as distributed with
scikit-learn; values v of 0 to 16 are stored as round(v * 255 / 16)).

`photo`: a dahlia before dark leaves, 213 x 320 (height x width), RGB, a reduced copy of scikit-learn's sample
photograph `flower.jpg`. It is stored without loss, because decoders of JPEG differ in the last bit.

Both are made by `tools/embed_examples.py`. Tier: *bitwise*.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

from smalti.corpus import pixels as px
from smalti.corpus.archive import read_archive_stream
from smalti.corpus.decode import decode, quiet_pillow
from smalti.errors import UsageError

BUILTIN = ("digits", "photo")
"""Names of the embedded examples."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """An embedded example: images uint8 (N, H, W, C), labels or None, and one name per picture."""

    images: px.Pixels
    labels: tuple[str, ...] | None
    names: tuple[str, ...]


def load_example(name: str) -> Example:
    """The embedded example called `name`. Raises `UsageError`, listing the names, if there is none."""
    if name not in BUILTIN:
        raise UsageError(f"there is no built-in example {name!r}: choose one of {', '.join(BUILTIN)}.")
    data = resources.files("smalti.corpus") / "data"
    if name == "digits":
        with (data / "digits.npz").open("rb") as stream:
            archive = read_archive_stream(stream, name="digits")
        return Example(
            images=archive.images,
            labels=archive.labels,
            names=tuple(f"digits[{i}]" for i in range(len(archive.images))),
        )
    with quiet_pillow(), (data / "photo.png").open("rb") as stream:
        picture = decode(stream, name="photo")
    return Example(images=picture.pixels[None], labels=None, names=("photo",))
