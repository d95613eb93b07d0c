"""Receipts of small real runs for the tests of the page: names that try to be HTML, every kind of picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from cli_program import blocks
from smalti.corpus import ImageCorpus
from smalti.machines import BorderAware, EquivariantLocal, Machine
from smalti.receipts.record import plan, record
from smalti.sampling import DDIM

NAMES = (
    "</script><script>window.broken = true</script>",
    "<b onmouseover=alert(1)>bold</b> & <img src=x onerror='window.broken = 1'>",
    "صورة رقم ١٢ (نسخة).png",
    "line\u2028separator\u2029 <!-- and comment",
    "a-very-long-name-" + 30 * "of-a-picture-" + ".png",
    "plain.png",
    "plain-2.png",
    "plain-10.png",
)


@cache
def odd_names() -> Machine:
    """A border-aware machine on 24 grey pictures of 9 x 7 with labels, metadata and odd names."""
    images = blocks(24, size=(7, 9))[..., None]
    names = [NAMES[n] if n < len(NAMES) else f"images[{n}]" for n in range(24)]
    corpus = ImageCorpus.from_arrays(images, labels=list("abc") * 8, names=names)
    licences = ("CC0-1.0", "<i>unknown</i>", "CC-BY-4.0")
    columns = [
        {"artist": NAMES[2] if n % 4 else "Ida"} | ({"licence": licences[n % 3]} if n % 5 else {}) for n in range(24)
    ]
    return BorderAware(replace(corpus, metadata=tuple(columns)), scales=3)


@cache
def see_through() -> Machine:
    """A machine that wraps around, on 5 pictures of 8 x 8 with opacity, without labels or metadata."""
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (5, 8, 8, 4), dtype=np.uint8)
    images[:, 2:6, 2:6, 3] = 255
    return EquivariantLocal(ImageCorpus.from_arrays(images), scales=3)


def records_of(
    machine: Machine, *, seeds: Iterable[int] = (0,), steps: int = 4, top: int = 4, size: tuple[int, int] | None = None
) -> list[dict[str, Any]]:
    """The records of a run, with all steps."""
    trace = DDIM(machine, steps=steps)(seeds=seeds, size=size)
    return [record(one.receipt, plan(one.receipt, top=top), folder="out/run") for one in trace]
