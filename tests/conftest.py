"""What all tests share: hypothesis without deadlines (timings are never tested), the digits, and someone's folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from smalti.corpus import ImageCorpus

# Machines of continuous integration are shared, so slow generation of an example says nothing about the code either.
settings.register_profile("smalti", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("smalti")


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test touches the ledger or the cache of who runs the tests, nor does a program that a test starts."""
    folder = tmp_path_factory.mktemp("user")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALTI_CACHE", str(folder / "cache"))
        patch.setenv("SMALTI_LEDGER", str(folder / "ledger.sqlite"))
        yield


@pytest.fixture(scope="session")
def digits() -> ImageCorpus:
    """The 1,797 embedded digits, 8 x 8, grey."""
    return ImageCorpus.builtin("digits")


@pytest.fixture(scope="session")
def few_digits(digits: ImageCorpus) -> ImageCorpus:
    """Each 15th of the embedded digits: 120 items."""
    return digits.without(i for i in range(len(digits)) if i % 15)


@pytest.fixture
def someone() -> Iterator[Path]:
    """A folder seen by an ordinary user, whom permissions bind (they do not bind the administrator, who may run the
    tests).
    """
    folder = Path(tempfile.mkdtemp())
    Image.init()
    administrator = os.geteuid() == 0
    if administrator:
        shutil.chown(folder, 65534)
        os.seteuid(65534)
    yield folder
    if administrator:
        os.seteuid(0)
    for path in folder.rglob("*"):
        path.chmod(0o700)
    shutil.rmtree(folder)
