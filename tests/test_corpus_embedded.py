"""The embedded examples: what they are, and that they are what scikit-learn distributes."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from smalti.corpus import BUILTIN, ImageCorpus
from smalti.errors import UsageError

TOOL = Path(__file__).parent.parent / "tools" / "embed_examples.py"


def test_digits_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    images, target = datasets.load_digits(return_X_y=True)
    corpus = ImageCorpus.builtin("digits")
    assert (len(corpus), corpus.size, corpus.mode) == (1797, (8, 8), "L")
    assert corpus.labels is not None
    assert sorted(set(corpus.labels)) == list("0123456789")
    for name, label, item in zip(corpus.names, corpus.labels, corpus.images, strict=True):
        index = int(name.removeprefix("digits[").removesuffix("]"))
        assert label == str(target[index])
        # The only tie, v = 8 -> 127.5, goes to the even 128.
        assert item.ravel().tolist() == [round(v * 255 / 16) for v in images[index]]


def test_the_photograph_is_that_of_scikit_learn():
    pytest.importorskip("sklearn")
    photo = runpy.run_path(str(TOOL))["photo"]()
    corpus = ImageCorpus.builtin("photo")
    assert (len(corpus), corpus.size, corpus.mode) == (1, (213, 320), "RGB")
    # Two decoders of JPEG may differ by 1 in each of Y, Cb, Cr, so by at most 1 + 1.772 < 3 in a colour. The filter's
    # two passes have weights whose absolute values sum to less than 1.5 each, and rounding adds 1:
    # 3 * 1.5 * 1.5 + 1 < 8.
    assert np.abs(corpus.images[0].astype(int) - photo).max() < 8


def test_the_embedded_bytes_have_not_changed():
    digests = {name: ImageCorpus.builtin(name).digest for name in BUILTIN}
    assert digests == {
        "digits": "a86a2e834c1c1e814979abea6a853f4a491cc7cdbad8b448a10ef1313ccdf817",
        "photo": "4320ebe7d2b6d58cb710c7af6306c2f8e3ea4bcfb99604fdee510bece3469890",
    }


def test_an_unknown_name_is_refused():
    with pytest.raises(UsageError) as caught:
        ImageCorpus.builtin("cats")
    assert str(caught.value) == "there is no built-in example 'cats': choose one of digits, photo."


def test_the_examples_are_small_and_their_origin_is_stated():
    folder = TOOL.parent.parent / "src" / "smalti" / "corpus" / "data"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 200_000
    notice = (TOOL.parent.parent / "NOTICE").read_text()
    assert {path.name for path in folder.iterdir()} == {"digits.npz", "photo.png"}
    assert all(path.name in notice for path in folder.iterdir())
