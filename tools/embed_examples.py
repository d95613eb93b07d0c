"""Make the embedded examples from scikit-learn's copies of them.

    python tools/embed_examples.py src/smalti/corpus/data

writes `digits.npz` and `photo.png` (see `smalti.corpus.embedded` and NOTICE). The photograph is cut to 426 x 640 and
halved to 213 x 320, in which form a single-image machine is of a practical size, and stored without loss. Needs
scikit-learn; run it only to change what is embedded.
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from smalti.corpus.decode import decode, quiet_pillow

PHOTO_SIZE = (213, 320)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 (1797, 8, 8), values v of 0 to 16 as round(v * 255 / 16), and labels uint8 (1797,)."""
    values, classes = load_digits(return_X_y=True)
    images = np.rint(np.asarray(values) * 255 / 16).astype(np.uint8).reshape(-1, 8, 8)
    return images, np.asarray(classes).astype(np.uint8)


def photo() -> np.ndarray:
    """The photograph `flower.jpg`, uint8 (213, 320, 3)."""
    with quiet_pillow(), (resources.files("sklearn.datasets.images") / "flower.jpg").open("rb") as stream:
        return decode(stream, name="flower.jpg", size=PHOTO_SIZE).pixels


def main() -> None:
    """Write both files into the folder given as the only argument."""
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/embed_examples.py FOLDER")
    folder = Path(sys.argv[1])
    images, labels = digits()
    np.savez_compressed(folder / "digits.npz", images=images, labels=labels)
    Image.fromarray(photo()).save(folder / "photo.png", optimize=True)


if __name__ == "__main__":
    main()
