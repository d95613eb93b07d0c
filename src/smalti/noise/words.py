"""Random words as a function of what they are for.

The words are those of Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), a
counter-based generator, whose key is derived from (purpose, seed, step).
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from smalti.errors import whole_number

__all__ = ["random_words", "uniforms"]


def random_words(count: int, *, seed: int, purpose: str, step: int = 0) -> NDArray[np.uint64]:
    """Independent 64-bit words. Tier: *bitwise*.

    Args:
        count: how many.
        seed: seed of the sample, from 0.
        purpose: what they are for; another purpose gives independent words.
        step: step of the sampler, from 0; another step gives independent words.

    Returns:
        The words; the first ones do not depend on how many are asked for. Shape (count,).

    Raises:
        UsageError: seed or step is not a whole number from 0.
    """
    seed = whole_number(seed, "A seed is a whole number from 0")
    step = whole_number(step, "A step is a whole number from 0")
    digest = hashlib.sha256(f"smalti/{purpose}/{seed}/{step}".encode()).digest()
    key = np.array([int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little")], dtype=np.uint64)
    return np.random.Philox(key=key).random_raw(count)


def uniforms(count: int, *, seed: int, purpose: str, step: int = 0) -> NDArray[np.float64]:
    """Independent numbers from [0, 1), whole multiples of 2^-53; arguments as `random_words`. Shape (count,)."""
    words = random_words(count, seed=seed, purpose=purpose, step=step) >> np.uint64(11)
    return words.astype(np.float64) * 2.0**-53
