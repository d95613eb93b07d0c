"""What all tests share: hypothesis without deadlines (timings are never tested), and the embedded digits."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from smalti.corpus import ImageCorpus

# Machines of continuous integration are shared, so slow generation of an example says nothing about the code either.
settings.register_profile("smalti", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("smalti")


@pytest.fixture(scope="session")
def digits() -> ImageCorpus:
    """The 1,797 embedded digits, 8 x 8, grey."""
    return ImageCorpus.builtin("digits")


@pytest.fixture(scope="session")
def few_digits(digits: ImageCorpus) -> ImageCorpus:
    """Each 15th of the embedded digits: 120 items."""
    return digits.without(i for i in range(len(digits)) if i % 15)
